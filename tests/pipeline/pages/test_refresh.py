import random

import pytest
from resiliparse.parse.html import HTMLTree

from pipeline.pages.http_response import HttpResponse
from pipeline.pages.refresh import MAX_DELAY_SECONDS, SEARCHED_BYTES, elements, parse_refresh, refresh_target

URL = "http://a.example/b/c?d"
NEXT = "http://a.example/next"
META = '<meta http-equiv="refresh" content="0; url=/next">'


def target(body: str | bytes = "", *headers: tuple[str, str], kind: str = "text/html", status: int = 200) -> str | None:
    data = body.encode() if isinstance(body, str) else body
    return refresh_target(HttpResponse(URL, status, "OK", (("Content-Type", kind), *headers), data, ()))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0; url=/a", (0, "/a")),
        ("0;url=/a", (0, "/a")),
        ("0,url=/a", (0, "/a")),
        ("0 url=/a", (0, "/a")),
        ("0 ; url = /a ", (0, "/a")),
        (" \t5\n;\r\nURL\t=\t/a", (5, "/a")),
        ("0; Url='/a b' c", (0, "/a b")),
        ('0; url="/a', (0, "/a")),
        ("0; url=/a'b", (0, "/a'b")),
        ("0; /a", (0, "/a")),
        ("0; '/a'", (0, "/a")),
        ("0 /a", (0, "/a")),
        ("0;a;b", (0, "a;b")),
        ("0; url", (0, "url")),
        ("0; urls=/a", (0, "urls=/a")),
        ("0.5; url=/a", (0, "/a")),
        ("3.9.1; url=/a", (3, "/a")),
        (".7; url=/a", (0, "/a")),
        ("0099; url=/a", (99, "/a")),
        ("9" * 5000 + "; url=/a", (999999999, "/a")),
        ("0", (0, "")),
        ("300;", (300, "")),
        ("5; url=", (5, "")),
        ("5; url=''", (5, "")),
        ("5 , ", (5, "")),
        ("", None),
        ("url=/a", None),
        ("; url=/a", None),
        ("-1; url=/a", None),
        ("+1; url=/a", None),
        ("0url=/a", None),
        ("0x; url=/a", None),
        ("soon; url=/a", None),
        ("\u0663; url=/a", None),
    ],
)
def test_refresh_is_parsed_as_by_the_html_standard(value: str, expected: tuple[int, str] | None) -> None:
    assert parse_refresh(value) == expected


@pytest.mark.parametrize(
    "page",
    [
        META,
        "<META HTTP-EQUIV=REFRESH CONTENT=0;URL=/next>",
        "<meta content='0; url=/next' http-equiv='Refresh'/>",
        '<meta\n\thttp-equiv = " refresh "\n content = "0; url=&#x2F;next"\n>',
        '<meta id=x http-equiv="refresh" name="" content="0;URL=\'/next\'">',
        '<meta/http-equiv="refresh"/content="0;/next">',
        '<meta http-equiv="refresh" content="0; url=http://a.example/next#top">',
        '<meta http-equiv="refresh" content="0; url=//a.example/next">',
        '<meta http-equiv="refresh" content="0; url=\\next">',
        '<base href="/x/"><meta http-equiv="refresh" content="0; url=../next">',
        '<base target=_top><base href="//a.example/x/y"><base href="/z"><meta http-equiv="refresh" content="0; url=/next">',
        f"<!doctype html><html><head><title>Moved</title></head><body><p>Moved{META}",
        f"<!-- a comment -->{META}",
        f"<!-->{META}<!-- -->",
        f"<script>if (a < b) '</scr' + 'ipt>'</script>{META}",
        f'<style>a > b {{}}</style><p title="a > b">{META}',
        f"<p title=It's>{META}<p title=It's>",
        '<meta http-equiv="refresh" content="soon; url=/a"><meta http-equiv="refresh" content="0; url=/next">',
        '<meta http-equiv="refresh" content="0; url=http://[/"><meta http-equiv="refresh" content="0; url=/next">',
        '<meta http-equiv="refresh" content="0; url=/next"><meta http-equiv="refresh" content="0; url=/a">',
        f'<meta http-equiv="refresh" content="{MAX_DELAY_SECONDS}; url=/next">',
    ],
)
def test_meta_refresh_to_another_page_is_a_redirect(page: str) -> None:
    assert target(page) == NEXT
    assert target(page, kind="application/xhtml+xml") == NEXT
    assert target("\ufeff" + page) == NEXT
    assert target(("\ufeff" + page).encode("utf-16-le")) == NEXT
    assert target(("\ufeff" + page).encode("utf-16-be")) == NEXT


@pytest.mark.parametrize(
    "page",
    [
        '<meta http-equiv="refresh" content="30">',
        '<meta http-equiv="refresh" content="30; url=">',
        '<meta http-equiv="refresh" content="0; url=/b/c?d">',
        '<meta http-equiv="refresh" content="0; url=#top">',
        '<meta http-equiv="refresh" content="0; url=http://A.example:80/b/./c?d#e">',
        '<meta http-equiv="refresh" content="30"><meta http-equiv="refresh" content="0; url=/next">',
        f'<meta http-equiv="refresh" content="{MAX_DELAY_SECONDS + 1}; url=/next">',
        '<meta http-equiv="refresh" content="600; url=/next"><meta http-equiv="refresh" content="0; url=/next">',
        '<meta http-equiv="refresh" content="0; url=javascript:alert(1)">',
        '<meta http-equiv="refresh" content="0; url=mailto:me@a.example">',
        '<meta http-equiv="refresh" content="0; url=http://[/">',
        '<meta http-equiv="refreshed" content="0; url=/next">',
        '<meta name="refresh" content="0; url=/next" lang="http-equiv">',
        '<meta http-equiv="x" http-equiv="refresh" content="0; url=/next">',
        '<metas http-equiv="refresh" content="0; url=/next">',
        f"<!-- {META} -->",
        f"<!-- {META}",
        f"<noscript>{META}</noscript>",
        f"<NoScript >{META}</noscripts></NOSCRIPT >",
        f"<script>document.write('{META}')</script>",
        f"<textarea>{META}</textarea>",
        f"<title>{META}</title>",
        f"<template>{META}</template>",
        f"<p title='{META}'>",
        f"<xmp>{META}</xmp><iframe>{META}</iframe>",
        f"<p {META.replace('<', '')}",
        f"<p>{' ' * SEARCHED_BYTES}{META}",
    ],
)
def test_page_that_sends_nowhere_else_is_a_page(page: str) -> None:
    assert target(page) is None


@pytest.mark.parametrize("kind", ["text/plain", "application/pdf", "image/svg+xml", "application/json"])
def test_elements_of_other_types_send_nowhere(kind: str) -> None:
    assert target(META, kind=kind) is None


@pytest.mark.parametrize("status", [204, 299])
def test_header_counts_for_any_success(status: int) -> None:
    assert target("", ("Refresh", "0; url=/next"), status=status) == NEXT


@pytest.mark.parametrize("status", [301, 304, 404, 410, 500, 503])
def test_refresh_of_other_statuses_sends_nowhere(status: int) -> None:
    assert target(META, ("Refresh", "0; url=/next"), status=status) is None


def test_header_comes_before_the_elements() -> None:
    other = META.replace("/next", "/other")
    assert target(other, ("refresh", "0; url=/next")) == NEXT
    assert target(other, ("Refresh", "60")) is None
    assert target(META, ("Refresh", "soon")) == NEXT
    assert target(META, ("Refresh", "0; url=mailto:me@a.example")) == NEXT
    assert target("", ("Refresh", "0; url=/caf\xc3\xa9")) == "http://a.example/caf%C3%A9"
    assert target("<base href='/x/'>", ("Refresh", "0; url=next")) == "http://a.example/b/next"


@pytest.mark.parametrize(
    ("content", "encoding", "expected"),
    [
        ("/caf\xe9", "utf-8", "/caf%C3%A9"),
        ("/caf\xe9", "latin-1", "/caf%E9"),
        ("/caf&eacute;", "utf-8", "/caf%C3%A9"),
        ("/\u4e2d", "utf-16", "/%E4%B8%AD"),
        ("/a?b=1&amp;c=2", "utf-8", "/a?b=1&c=2"),
        ("/a?b=1&copy=2", "utf-8", "/a?b=1&copy=2"),
        ("/a?b=&#38;", "utf-8", "/a?b=&"),
    ],
)
def test_url_is_read_in_the_page_s_encoding(content: str, encoding: str, expected: str) -> None:
    page = f'<html><meta http-equiv="refresh" content="0; url={content}"><p>na\xefve'.encode(encoding)
    assert target(page) == f"http://a.example{expected}"


PIECES = [
    META, '<meta http-equiv=refresh content=1>', "<meta content='a>b' http-equiv='refresh'>", "<base href=/x>", "<p>text", "<!--",
    "-->", "<!-->", "--!>", "<script>", "</script>", "<script src='a>b'>", "<style>", "</style >", "<title>", "</title>", "<xmp>",
    "</xmp>", "<textarea>", "</textarea>", "'", '"', "<p title=It's>", '<p title="a > b">', "<a b='", "'>", "</p", "< p>", "<1>",
    "<br/>", "<?php ?>", "<!doctype html>", "\n", "=", "<div a = b c=/d >", "</>", "&lt;", "<iframe>", "</iframe>",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_elements_are_those_of_an_html_parser(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(1000):
        page = "<!doctype html><body>" + "".join(chance.choices(PIECES, k=chance.randrange(2, 12)))
        theirs = [element.getattr("content") for element in HTMLTree.parse(page).document.query_selector_all("meta")]
        assert [found.get("content") for name, found in elements(page) if name == "meta"] == theirs, page
