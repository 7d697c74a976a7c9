"""Labels, prescan and decoders by the vectors of the encoding and HTML standards (the README of `shared/data/standards`)."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents import encodings, html
from pipeline.documents.charset_prescan import declared_encoding

DECODER = {"gbk": "gb18030", "iso-8859-8-i": "iso-8859-8"}
"""Encodings whose decoder is another's."""


def vectors(shared_data: Path, name: str) -> list[list[Any]]:
    path = shared_data / "standards" / name / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return json.loads(path.read_text())["vectors"]


def test_every_label_of_the_encoding_standard_is_known(shared_data: Path) -> None:
    rows = vectors(shared_data, "encoding_labels")
    wrong = [(label, name) for label, name in rows if encodings.name_of(label) != DECODER.get(name.lower(), name.lower())]
    assert len(rows) == 228
    assert wrong == []
    assert {label for label, _ in rows} == set(encodings.LABELS)


def test_single_bytes_decode_as_the_encoding_standard_says(shared_data: Path) -> None:
    rows = vectors(shared_data, "single_byte")
    assert len(rows) == 27
    assert [name for name, text in rows if encodings.decode(bytes(range(128, 256)), name) != text] == []


def test_multi_byte_sequences_decode_as_the_encoding_standard_says(shared_data: Path) -> None:
    for name, data, text in vectors(shared_data, "multi_byte"):
        decoded = encodings.decode(b64decode(data), name)
        assert [pair for pair in zip(decoded.split(" "), text.split(" "), strict=True) if len(set(pair)) > 1] == [], name


def test_pages_declare_what_the_html_standard_finds(shared_data: Path) -> None:
    rows = [(b64decode(body), name) for body, name, _ in vectors(shared_data, "charset_prescan")]
    without_mark = [(body, name) for body, name in rows if not body.startswith(b"\xef\xbb\xbf")]
    assert len(without_mark) == 80
    assert [(body, name) for body, name in without_mark if (declared_encoding(body) or "windows-1252") != name] == []


@pytest.mark.parametrize("label", ["LATIN2", " latin2", "latin2\n", "\tIso-8859-2\r", "l2", "ISO_8859-2:1987", "csISOLatin2",
                                   "iso88592", "iso8859-2", "iso-ir-101"])  # fmt: skip
def test_labels_match_in_any_case_between_blanks(label: str) -> None:
    assert encodings.name_of(label) == "iso-8859-2"


@pytest.mark.parametrize("label", [None, "", "latin 2", "punycode", "idna", "utf-7", "utf-32", "cp437", "u\x00tf-8", "\N{KELVIN SIGN}oi8-r",
                                   "hex", "\xa0utf-8"])  # fmt: skip
def test_names_that_the_standard_does_not_have_mean_nothing(label: str | None) -> None:
    assert encodings.name_of(label) is None


FILLER = b"<!-- " + b"x" * 1100 + b" -->"


@pytest.mark.parametrize(
    ("markup", "name"),
    [
        (b"<meta charset=latin2>", "iso-8859-2"),
        (b"<META CharSet = 'Latin2' >", "iso-8859-2"),
        (b"<meta/charset=latin2>", "iso-8859-2"),
        (b"<meta name=x content=y charset=\"latin2\"/>", "iso-8859-2"),
        (b"<meta http-equiv=content-type content='text/html;charset=latin2'>", "iso-8859-2"),
        (b"<meta content='charset=\"latin2\"' http-equiv=Content-Type>", "iso-8859-2"),
        (b"<!-- <meta charset=big5> --><meta charset=latin2>", "iso-8859-2"),
        (b"<!--> <meta charset=latin2>", "iso-8859-2"),
        (b"<a title='<meta charset=big5>'><meta charset=latin2>", "iso-8859-2"),
        (b"<meta charset=nonsense><meta charset=latin2>", "iso-8859-2"),
        (b"<metacharset=big5><meta charset=latin2>", "iso-8859-2"),
        (b"</meta charset=big5><meta charset=latin2>", "iso-8859-2"),
        (b"<?xml version='1.0' encoding='latin2'?><html>", "iso-8859-2"),
        (b"<?xml version='1.0' encoding='big5'?><meta charset=latin2>", "iso-8859-2"),
        (b"<meta charset=utf-16>", "utf-8"),
        (b"<meta charset=x-user-defined>", "windows-1252"),
        (b"<script>'<meta charset=latin2>'</script>", "iso-8859-2"),
        (FILLER + b"<meta charset=latin2>", "iso-8859-2"),
        (FILLER + b"<script>'<meta charset=big5>'</script><meta charset=latin2>", "iso-8859-2"),
        (FILLER + b"<title><meta charset=big5></title><meta charset=latin2>", "iso-8859-2"),
        (b"<script>" + b"x" * 1100 + b"'<meta charset=big5>'</script><meta charset=latin2>", "iso-8859-2"),
        (FILLER + b"<body><p>a<meta charset=latin2>", "iso-8859-2"),
        ("<html><meta charset=latin2>".encode("utf-16le"), "utf-16le"),
        ("\n<?xml version='1.0'?>".encode("utf-16be"), "utf-16be"),
        (b"<meta charset=latin2", None),
        (b"<meta name=charset content=latin2>", None),
        (b"<meta content='text/html; charset=latin2'>", None),
        (b"<meta http-equiv=content-type content='text/html; charset='>", None),
        (b"<!-- <meta charset=latin2>", None),
        (b"<p title=\"<meta charset=latin2>", None),
        (FILLER + b"<style><meta charset=latin2></style>", None),
        (b"charset=latin2", None),
    ],
)  # fmt: skip
def test_a_page_declares_its_encoding_in_markup(markup: bytes, name: str | None) -> None:
    assert declared_encoding(markup) == name


@pytest.mark.parametrize(
    ("data", "name", "text"),
    [
        (b"\xad\xa1\xa4\xa2", "euc-jp", "①あ"),
        (b"\xa9\xa1\xa4\xa2", "euc-jp", "\ufffdあ"),
        (b"\x8e\xb1\x8f\xb0\xa1", "euc-jp", "ｱ丂"),
        (b"\xf9\xfe", "euc-jp", "德"),
        (b"\x1b$B-!$\"\x1b(B!", "iso-2022-jp", "①あ!"),
        (b"\x1b$B$\"\n$$\x1b(Jc\\\x1b(I1\x1b(B", "iso-2022-jp", "あ\nいc¥ｱ"),
        (b"\x87@\x82\xa0", "shift_jis", "①あ"),
        (b"\x82<p>", "shift_jis", "\ufffd<p>"),
        (b"\xa1<p>", "big5", "\ufffd<p>"),
        (b"\xa2A\xa4@\xa1\xfe", "big5", "∕一／"),
        (b"\x80\xa3\xa0", "gb18030", "€\u3000"),
        (b"\x81<p>", "gb18030", "\ufffd<p>"),
        (b"\xa1<p>", "euc-kr", "\ufffd<p>"),
        (b"\x93a\x94\x81", "windows-1252", "“a”\x81"),
        (b"\xe9", "x-user-defined", "\uf7e9"),
        (b"~{<:Ky~}", "replacement", "\ufffd"),
    ],
)  # fmt: skip
def test_rare_and_damaged_characters_leave_their_neighbours_alone(data: bytes, name: str, text: str) -> None:
    assert encodings.decode(data, name) == text


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(sorted(encodings.LABELS_BY_NAME)))
def test_every_encoding_decodes_any_bytes_and_keeps_markup(data: bytes, name: str) -> None:
    assert isinstance(encodings.decode(data, name), str)
    if not name.startswith(("utf-16", "iso-2022", "replacement")):
        assert encodings.decode(data + b"\0<p>", name).endswith("<p>")


def test_character_references_are_read_as_the_html_standard_says(shared_data: Path) -> None:
    path = shared_data / "standards" / "entities" / "named_entities.json"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    rows = json.loads(path.read_text())["vectors"]
    assert len(rows) == 4210
    texts = [tree.text_content() if (tree := html.parse(f"<p>{markup}</p>")) is not None else None for markup, _ in rows]
    assert [(row, text) for row, text in zip(rows, texts, strict=True) if row[1] != text] == []
