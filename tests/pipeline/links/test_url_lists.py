import codecs
import gzip
from pathlib import Path

import pytest

from pipeline.links.url_lists import RECORD_LINES, read_urls
from pipeline.reddit import LineFault, Post, RejectedLine
from tokenizer.errors import InputError

A, B = "http://a.example/1,2?b=3", "https://b.example/é#top"


def read(tmp_path: Path, content: bytes | str) -> list[tuple[str, int | None]]:
    """The URLs of a list with their karma; asserts that every line is accounted for."""
    path = tmp_path / "list"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [(post.url, post.score) for post in read_urls(str(path), "list") if isinstance(post, Post)]


def test_lists_of_urls_are_read_as_submissions(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("http://example.com/a\n\nhttp://example.com/b\t17\r\nhttp://example.com/c\tmany\n")
    parsed = list(read_urls(str(path), "list.txt"))
    assert [(p.id, p.url, p.score) for p in parsed if isinstance(p, Post)] == [
        ("list.txt:1", "http://example.com/a", None),
        ("list.txt:3", "http://example.com/b", 17),
        ("list.txt:4", "http://example.com/c", None),
    ]
    assert [p.reason for p in parsed if isinstance(p, RejectedLine)] == [LineFault.BLANK_LINE]


SPELLINGS = [
    f"{A}\n{B}\n",
    f"{A}\n{B}",
    f"{A}\r\n{B}\r\n",
    f"{A}\r{B}\r",
    f"\n \n\t\n{A}\n\n{B}\n\n",
    f"# links\n#http://c.example/\n{A}\n  # more\n{B} # the second\n",
    f"  {A}  \n\t{B}\n",
    f"<{A}>\n<{B}>\n",
    f'"{A}"\n"{B}"\n',
    f"url\n{A}\n{B}\n",
    f"# of ours\nURL\n{A}\n{B}\n",
    f'id\turl\ttitle\n1\t{A}\ta "title\n2\t{B}\tanother\n',
    f'id,url,title\n1,"{A}","Hello, world"\n2,{B},"a ""word"""\n',
    f'"Id","Link","Title"\r\n"1","{A}","one\r\ntwo, http://c.example/"\r\n"2","{B}",""\r\n',
    f'title;url\n"a;b";{A}\nc;{B}\n',
    f"title|url\na|{A}\nc|{B}\n",
]
ENCODINGS = {
    "UTF-8": str.encode,
    "UTF-8 with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 big end first": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "Windows-1252": lambda text: text.encode("cp1252"),
    "gzip": lambda text: gzip.compress(text.encode()),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", SPELLINGS)
def test_spellings_of_a_list_give_the_same_urls(tmp_path: Path, text: str, encoding: str) -> None:
    if encoding == "UTF-16 without a mark" and not text[:2].isascii():
        return
    assert read(tmp_path, ENCODINGS[encoding](text)) == [(A, None), (B, None)]


@pytest.mark.parametrize(
    "text",
    [
        "url,karma\nhttp://a.example/,7\n",
        "score,url\n7,http://a.example/\n",
        'title,Score,URL\n"a,b",7.0,http://a.example/\n',
        "url\tpoints\nhttp://a.example/\t7\n",
        "http://a.example/\t7\n",
        "http://a.example/\t7\ta title\n",
        "  url ; ups \r\nhttp://a.example/ ; 7 \r\n",
    ],
)
def test_karma_is_read_from_its_column(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == [("http://a.example/", 7)]


def test_comments_headers_and_blank_lines_are_rejected_by_reason(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("# ours\n\nurl,title\nhttp://a.example/,a\n#http://b.example/,b\n")
    rejected = [line for line in read_urls(str(path), "list") if isinstance(line, RejectedLine)]
    assert [(line.line, line.reason) for line in rejected] == [
        (1, LineFault.COMMENT),
        (2, LineFault.BLANK_LINE),
        (3, LineFault.HEADER),
        (5, LineFault.COMMENT),
    ]


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"# a\n# b\n", b"url\n", b"\xef\xbb\xbfurl,score\r\n", b"\n# none\nurl\tkarma\n\n", gzip.compress(b"")],
    ids=["0-bytes", "blank", "comments", "header", "header-with-mark", "all", "gzip"],
)
def test_a_list_without_content_is_an_empty_list(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list"
    path.write_bytes(content)
    lines = list(read_urls(str(path), "list"))
    assert all(isinstance(line, RejectedLine) for line in lines)
    assert len(lines) == (0 if content.startswith(b"\x1f\x8b") else content.count(b"\n"))


REFUSED = [
    ("example.com/a\nwww.example.com\n", "list: none of its 2 lines is a URL"),
    ("http://\nhttps://exa mple/\n", "list: none of its 2 lines is a URL"),
    ("website,title\nexample.com,a\n", "list: none of its 2 lines is a URL"),
    ("ftp://a.example/\nmailto:a@a.example\n", "list: none of its 2 lines is a URL"),
    (
        '{"id": "abc", "url": "http://a.example/"}\n',
        "list: JSON, not a list of URLs; give a dump of submissions with --submissions",
    ),
    ('\n["http://a.example/"]\n', "list: JSON"),
    ("<!DOCTYPE html>\n<a href='http://a.example/'>\nhttp://a.example/\n", "list: HTML or XML"),
    ("\n  <html>\nhttp://a.example/\n</html>", "list: HTML or XML"),
    ("<?xml version='1.0'?><urlset>\nhttp://a.example/\n", "list: HTML or XML"),
    ("PAR1\0\0\x15\nhttp://a.example/\n", "list: not a text file"),
    ('https://example.com/a,10,"Hello"\n', "list: a table without a header"),
    ("https://example.com/a,10\nhttps://example.com/b,-3\n", "list: a table without a header"),
    ("https://example.com/a, a title\nhttps://example.com/b, b\n", "list: a table without a header"),
    ('"https://example.com/a","10"\n"https://example.com/b","9"\n', "list: a table without a header"),
    ("https://example.com/a;10\nhttps://example.com/b;11\n", "list: a table without a header"),
    ("website,karma\nhttps://example.com/a,10\n", "list: a table without a header"),
    ('url,title\nhttp://a.example/,"open\n' + "http://b.example/,x\n" * RECORD_LINES, "list:2: a quote that no quote closes"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_no_list_raises_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "lines",
    [
        ["http://www.spiegel.de/politik/0,1518,4711,00.html", "http://a.example/"],
        ["http://en.wikipedia.org/wiki/Paris,_Texas", "http://en.wikipedia.org/wiki/London,_Ontario"],
        ["http://a.example/;jsessionid=1", "http://a.example/;jsessionid=2"],
        ["http://a.example/?q=a|b"],
        ["http://a.example/ b", "http://a.example/?q=c, d"],
        ["http://a.example/#!/user", "http://a.example/a#b"],
    ],
)
def test_commas_and_the_like_may_belong_to_a_url(tmp_path: Path, lines: list[str]) -> None:
    assert [url for url, _ in read(tmp_path, "\n".join(lines))] == lines


def test_a_header_of_one_column_gives_the_commas_to_the_urls(tmp_path: Path) -> None:
    assert read(tmp_path, "url\nhttp://a.example/a,10\nhttp://a.example/b,11\n") == [
        ("http://a.example/a,10", None),
        ("http://a.example/b,11", None),
    ]


@pytest.mark.parametrize(
    ("lines", "urls"),
    [
        (["http://a.example/?b&amp;c"], ["http://a.example/?b&c"]),
        (["http://a.example/?b&amp;c", "http://a.example/"], ["http://a.example/?b&c", "http://a.example/"]),
        (["http://a.example/?b&amp;c\t5", "http://b.example/?&lt;d&gt;"], ["http://a.example/?b&c", "http://b.example/?<d>"]),
        (["http://a.example/?b&amp;amp;c"], ["http://a.example/?b&amp;c"]),
        (["http://a.example/?b&amp;c", "http://a.example/?b&c"], ["http://a.example/?b&amp;c", "http://a.example/?b&c"]),
        (["http://a.example/?b&amp;c&d"], ["http://a.example/?b&amp;c&d"]),
        (["http://a.example/?b&quot;c&amp;d"], ["http://a.example/?b&quot;c&amp;d"]),
        (["url,title", "http://a.example/?b&amp;c,R&D"], ["http://a.example/?b&c"]),
        (["# a & b", "http://a.example/?b&amp;c"], ["http://a.example/?b&c"]),
        (["http://a.example/?b&copy=1"], ["http://a.example/?b&copy=1"]),
    ],
)
def test_a_list_whose_every_ampersand_is_escaped_is_made_of_dumps(tmp_path: Path, lines: list[str], urls: list[str]) -> None:
    assert [url for url, _ in read(tmp_path, "\n".join(lines))] == urls
