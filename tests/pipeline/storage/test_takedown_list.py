"""A take-down list says the same as text, as a table and as JSON lines; what names nothing is refused with its line."""

from pathlib import Path

import pytest

from pipeline.storage.takedown_list import Entry, entries, fold, site_of
from tokenizer.errors import InputError

IDENTITY = "3E268C6B0F4B1F6A9E6A1C1F2B7D4E55"
PASSAGE = "A passage of at least twenty characters"
KEY = "https://example.org/story?a=1"


def listed(folder: Path, content: str) -> list[Entry]:
    path = folder / "list"
    path.write_text(content, encoding="utf-8")
    return entries(str(path))


def values(found: list[Entry]) -> list[tuple[str, str]]:
    return [(entry.kind, entry.value) for entry in found]


EXPECTED = [
    ("URL", KEY),
    ("domain", "example.net"),
    ("submission", "7h2k9x"),
    ("document", IDENTITY.lower()),
]


@pytest.mark.parametrize("content", [
    f"https://www.example.org/story/?a=1&utm_source=x  by mail\n*.example.net\nt3_7H2K9x # post\n{IDENTITY}\n",
    f"value,kind\nhttps://example.org/story?a=1,address\nexample.net,Site\n7h2k9x,submission\n{IDENTITY},document id\n",
    f"date,reference,kind,value\n2026-01-02,A,url,example.org/story?a=1\n,,host,.EXAMPLE.net.\n,,post,t3_7h2k9x\n,,document,{IDENTITY}\n",
    f"\ufeffkind\tvalue\npage\thttp://m.example.org/story?a=1#top\ndomain\texample.net\npost\tT3_7h2k9x\ndocument_id\t{IDENTITY}\n",
    f"reference;value\r\nA;http://example.org/story?a=1\r\nB;example.net\r\nC;t3_7h2k9x\r\nD;{IDENTITY}\r\n",
    f'Value,Date\n"http://example.org/story?a=1",2026-01-01\n\n#x,y\n"example.net",\n"t3_7h2k9x",\n"{IDENTITY}",\n',
    '{"value": "http://user:pw@example.org:80/story?a=1"}\n{"kind": "site", "value": "example.net"}\n\n'
    f'{{"kind": "submission", "value": "7h2k9x", "date": null}}\n{{"value": "{IDENTITY}"}}\n',
])  # fmt: skip
def test_every_form_lists_the_same(tmp_path: Path, content: str) -> None:
    assert values(listed(tmp_path, content)) == EXPECTED


def test_a_table_keeps_date_and_reference_and_a_passage_of_several_lines(tmp_path: Path) -> None:
    passage = PASSAGE.replace(" ", "\n  ").upper()
    found = listed(
        tmp_path, f'date,reference,kind,value\n2026-11-06,MAIL-20,text,"{passage}, ""quoted"""\n2026-11-07,B,site,a.example\n'
    )
    assert (found[0].date, found[0].reference, found[0].value) == ("2026-11-06", "MAIL-20", f'{PASSAGE.lower()}, "quoted"')
    assert found[1].reference == "B"
    assert PASSAGE.lower() not in found[0].detail
    assert found[0].detail != found[1].detail


@pytest.mark.parametrize(("content", "message"), [
    ("kind,value\naddress,\n", "line 2: has no value"),
    ("kind,value\nperson,J. Doe\n", "line 2: no kind 'person' of take-down"),
    ("kind,value\ndocument,123\n", "line 2: '123' is no document id"),
    ("kind,value\nsubmission,what is it\n", "line 2: 'what is it' is no id of a Reddit submission"),
    ("kind,value\ntext,the\n", "line 2: the text 'the' is too short"),
    ("kind,value\naddress,no address\n", "line 2: 'no address' is neither a URL"),
    ("kind,value,who\nsite,a.example,me\n", "no column 'who' in a take-down list"),
    ('{"value": "a.example"}\n{"value": \n', "line 2: no JSON object"),
    ('{"value": "a.example", "why": 1}\n', "line 1: not an object with the keys date, reference, kind, value"),
    ("t3_\n", "line 1: 't3_' is neither a URL"),
])  # fmt: skip
def test_what_names_nothing_is_refused_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        listed(tmp_path, content)


def test_an_empty_list_lists_nothing(tmp_path: Path) -> None:
    for content in ("", "\n\n", "# only a comment\n", "date,reference,kind,value\n"):
        assert listed(tmp_path, content) == []


def test_passages_are_compared_without_case_and_blanks() -> None:
    assert fold("ŠTRASSE\u00a0 der\tStadt") == "štrasse der stadt"
    assert site_of("A.b.Example.org.", {"example.org"}) == "example.org"
    assert site_of("badexample.org", {"example.org"}) is None
