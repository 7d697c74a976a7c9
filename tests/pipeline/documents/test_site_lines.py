"""Lines that repeat over many pages of one site: which are furniture, and the pass that removes them."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_folders import STORY, write_pages

from pipeline.cli.main import run as webtext
from pipeline.documents.settings import DocumentsSettings
from pipeline.documents.site_lines import SiteLineRules, entries_of, furniture_of, hash_of, may_be_furniture, strip
from pipeline.documents.stage import STAGE
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.records import Document, Page
from pipeline.storage import files
from pipeline.storage.manifest import FileEntry, StageManifest

RULES = SiteLineRules()


@pytest.mark.parametrize(("line", "expected"), [
    ("About the author", True), ("Written by our harbour desk", True), ("Share: mail, print", True), ("Über uns", True), ("関連記事", True),
    ("Members", True), ("level 2", True), ("Photo credit: the Harbour Post", True), ("Read in app →", True), ("Новости по теме", True),
    ("He nodded.", False), ("“Yes!”", False), ("Why not?", False), ("今日は静かだった。", False), ("And so on…", False),
    ("    return x", False), ("\tindented", False), ("import numpy as np", False), ("x = 1", False), ("print(x)", False), ("}", False),
    ("$ make check", False), (">>> 1", False), ("#include <stdio.h>", False), ("1984", False), ("* * *", False), ("", False),
    ("a\tb | c", False), ("- a list's item", False), ("word " * 300, False),
])  # fmt: skip
def test_only_what_is_no_sentence_and_no_code_may_be_furniture(line: str, expected: bool) -> None:
    assert may_be_furniture(line, prose=False) == expected


@pytest.mark.parametrize("line", ["We use cookies to improve the site.", "The Harbour Post has reported since 1880!", "Really?"])
def test_prose_is_furniture_when_asked(line: str) -> None:
    assert not may_be_furniture(line, prose=False)
    assert may_be_furniture(line, prose=True)


def furniture(texts: list[tuple[str, str]], rules: SiteLineRules = RULES) -> set[tuple[int, int]]:
    found = furniture_of(np.concatenate([entries_of(site, text, rules) for site, text in texts]), rules)
    return set(map(tuple, found.tolist()))


def site(name: str, pages: int, every: int = 1, line: str = "About the author") -> list[tuple[str, str]]:
    """Pages of a site, of which each `every`th has the line."""
    return [
        (name, f"Story {i} of {name}\n{line if i % every == 0 else 'Another end'}{'' if i % every == 0 else i}")
        for i in range(pages)
    ]


@pytest.mark.parametrize(("texts", "rules", "lines"), [
    (site("a.org", 5), RULES, {("a.org", "About the author")}),
    (site("a.org", 4), RULES, set()),
    (site("a.org", 10, every=2), RULES, {("a.org", "About the author")}),
    (site("a.org", 20, every=3), RULES, set()),
    (site("a.org", 3), SiteLineRules(pages=3), {("a.org", "About the author")}),
    (site("a.org", 20, every=3), SiteLineRules(share=0.3), {("a.org", "About the author")}),
    (site("a.org", 4) + site("b.org", 4), RULES, set()),
    (site("a.org", 5) + site("b.org", 5, line="By staff"), RULES, {("a.org", "About the author"), ("b.org", "By staff")}),
    ([("a.org", "Same story\nAbout the author")] * 9, RULES, set()),
    ([("a.org", f"Story {i}" + "\nTwice" * 3) for i in range(4)], RULES, set()),
    (site("a.org", 9, line="He nodded."), RULES, set()),
    (site("a.org", 9, line="He nodded."), SiteLineRules(prose=True), {("a.org", "He nodded.")}),
    (site("a.org", 6, line="About the author  "), RULES, {("a.org", "About the author")}),
])  # fmt: skip
def test_furniture_stands_on_enough_distinct_texts_of_a_site(
    texts: list[tuple[str, str]], rules: SiteLineRules, lines: set[tuple[str, str]]
) -> None:
    expected = {(hash_of(site), hash_of(line)) for site, line in lines}
    assert furniture(texts, rules) == expected
    mixed = list(texts)
    random.Random(1).shuffle(mixed)
    assert furniture(mixed, rules) == expected


def test_a_preface_of_a_series_stays() -> None:
    preface = "This is one part of our long series on the lighthouses of the northern coast, written by three keepers."
    texts = [("a.org", f"{preface}\nPart {i}.") for i in range(12)]
    assert not furniture(texts)
    assert furniture(texts, SiteLineRules(prose=True))


def test_most_of_a_text_never_goes() -> None:
    lines = frozenset(map(hash_of, ("One line of it", "Another of them")))
    assert strip("One line of it\nAnother of them\nshort", lines, RULES).removed == ()
    stripped = strip("One line of it\n\nAnother of them\n" + "long " * 20, lines, RULES)
    assert stripped.text == ("long " * 20).strip()
    assert stripped.removed == ("One line of it", "Another of them")
    assert strip(stripped.text, lines, RULES) == (stripped.text, ())


def stories(tmp_path: Path, indexes: int = 1, byline: str = "By the harbour desk") -> Path:
    """Texts of three sites as plain text: ten pages with a byline, four with one, one whose text is short without it."""
    texts = [f"{STORY} Page {i}.\n{byline}\n{STORY[:90]} End {i}." for i in range(10)]
    texts += [f"{STORY} Page {i}.\nBy the other desk" for i in range(10, 14)]
    texts += [f"{'word ' * 24}end\n{byline}"]
    tmp_path.mkdir(exist_ok=True)
    folder = write_pages(tmp_path / "pages", [text.encode() for text in texts], indexes)
    manifest, entries = StageManifest.load(str(folder)), []
    for entry in manifest.files:
        if entry.kind != "pages":
            entries.append(entry)
            continue
        path = str(folder / entry.name)
        rows = files.read_table(path).to_pylist()
        for row in rows:
            number = int(row["url"].rpartition("/")[2])
            row |= {"media_type": "text/plain", "domain": "four.org" if 10 <= number < 14 else "ten.org"}
        digest = files.publish_table(path, Page.table(map(Page.from_row, rows)))
        entries.append(FileEntry(entry.name, entry.kind, entry.rows, digest.bytes, digest.sha256))
    StageManifest(manifest.stage, manifest.settings, manifest.inputs, tuple(entries), manifest.books).save(str(folder))
    return folder


def run(pages: Path, output: Path, workers: int = 1, *, replace: bool = False, **settings: Any) -> StageManifest:
    chosen = DocumentsSettings(plain_text=True, languages=("all",), **settings)
    return STAGE.run(Call({"pages": str(pages)}, str(output), chosen, Engine(workers, replace=replace)))


def rows_of(folder: Path, kind: str) -> list[dict[str, Any]]:
    manifest = StageManifest.load(str(folder))
    return [row for entry in manifest.of_kind(kind) for row in files.read_table(str(folder / entry.name)).to_pylist()]


def test_the_stage_removes_a_sites_lines_and_keeps_its_books(tmp_path: Path) -> None:
    pages = stories(tmp_path)
    before = run(pages, tmp_path / "before")
    after = run(pages, tmp_path / "after", site_lines=True)
    texts = {row["url"]: row["text"] for row in rows_of(tmp_path / "before", "documents")}
    now = {row["url"]: Document.from_row(row) for row in rows_of(tmp_path / "after", "documents")}
    assert len(texts) == 15
    assert all("By the harbour desk" not in document.text for document in now.values())
    assert all(
        document.text == texts[url].replace("By the harbour desk\n", "")
        for url, document in now.items()
        if "By the other" in texts[url]
    )
    assert sum("By the other desk" in document.text for document in now.values()) == 4
    assert all(len(document.document_id) == 16 for document in now.values())
    removed = rows_of(tmp_path / "after", "site_lines")
    assert {row["removed"] for row in removed} == {"By the harbour desk"}
    assert len(removed) == after.counters["site_line_documents"] == 10
    assert after.counters["site_line_characters"] == sum(row["characters"] for row in removed) == 10 * len("By the harbour desk")
    assert after.counters["site_lines_found"] == after.counters["sites_with_lines"] == 1
    assert after.books.items_in == before.books.items_in == 15
    assert after.books.items_out == len(now) == 14
    assert after.books.dropped == {"too_short": 1}
    assert after.counters["text_bytes"] == sum(len(document.text.encode()) for document in now.values())
    assert before.counters["text_bytes"] > after.counters["text_bytes"]
    assert [row["detail"] for row in rows_of(tmp_path / "after", "drops")] == [
        "123 characters, at least 128, without lines of its site"
    ]
    assert sorted(path.name for path in (tmp_path / "after").iterdir() if path.name.startswith(".")) == []


def test_a_removed_page_leaves_the_table_of_lines(tmp_path: Path) -> None:
    run(stories(tmp_path), tmp_path / "corpus/documents", site_lines=True)
    kept = rows_of(tmp_path / "corpus/documents", "site_lines")
    command = ["remove", "--corpus", str(tmp_path / "corpus"), "--output", str(tmp_path / "next"), "--document-ids"]
    command.append(kept[3]["document_id"].hex())
    assert webtext(command) == 0
    assert rows_of(tmp_path / "next/documents", "site_lines") == [*kept[:3], *kept[4:]]
    counters = StageManifest.load(str(tmp_path / "next/documents")).counters
    assert counters["site_line_documents"] == 9
    assert counters["site_line_characters"] == 9 * len("By the harbour desk")


BYLINE = "By Joan Doe at the harbour desk"


def listed(folder: Path, kind: str, value: str) -> str:
    path = folder / "list.csv"
    path.write_text(f"date,reference,kind,value\n2026-11-29,MAIL-1,{kind},{value}\n")
    return str(path)


def test_a_listed_passage_goes_where_it_was_cut_as_a_line(tmp_path: Path) -> None:
    """The table of cut lines and the WARC records keep what the documents have lost."""
    run(stories(tmp_path / "corpus", byline=BYLINE), tmp_path / "corpus/documents", site_lines=True)
    assert BYLINE not in "".join(row["text"] for row in rows_of(tmp_path / "corpus/documents", "documents"))
    path = listed(tmp_path, "text", "joan doe  at the HARBOUR desk")
    assert webtext(["remove", "--corpus", str(tmp_path / "corpus"), "--replace", "--list", path]) == 0
    (report,) = (tmp_path / "corpus/removals").iterdir()
    assert [request["pages"] for request in json.loads(report.read_text())["requests"]] == [11]  # and one without a document
    manifest = StageManifest.load(str(tmp_path / "corpus/documents"))
    assert manifest.books.items_out == 4
    assert "site_line_documents" not in manifest.counters
    assert rows_of(tmp_path / "corpus/documents", "site_lines") == []
    for warc in (tmp_path / "corpus/pages").glob("*.warc.gz"):
        assert b"Joan Doe" not in gzip.decompress(warc.read_bytes())
    assert webtext(["verify", "--corpus", str(tmp_path / "corpus")]) == 0
    for command in (
        ["inspect", "--url", "http://example.org/12"],
        ["inspect"],
        ["card", "--name", "A corpus", "--contact", "a@b.org"],
    ):
        assert webtext([command[0], "--corpus", str(tmp_path / "corpus"), *command[1:]]) == 0


@pytest.mark.parametrize("kind", ["address", "document", "text"])
def test_what_is_taken_down_stays_out_when_the_documents_are_made_anew(tmp_path: Path, kind: str) -> None:
    corpus = tmp_path / "corpus"
    pages = stories(corpus, byline=BYLINE)
    before = run(pages, corpus / "documents", site_lines=True)
    rows = {row["url"]: row for row in rows_of(corpus / "documents", "documents")}
    gone = rows["http://example.org/3"]
    path = listed(
        tmp_path, kind, {"address": gone["url"], "document": gone["document_id"].hex(), "text": f"Page 3. {BYLINE} The old"}[kind]
    )
    if kind != "text":  # the passage reaches over the cut line: only the extraction sees it whole
        assert webtext(["remove", "--corpus", str(corpus), "--replace", "--keep-pages", "--list", path]) == 0
        assert {row["url"] for row in rows_of(corpus / "documents", "documents")} == rows.keys() - {gone["url"]}
    after = run(pages, corpus / "documents", site_lines=True, takedown=path, replace=True)
    assert after.books.dropped["taken_down"] == 1
    assert after.books.items_out == before.books.items_out - 1
    now = {row["url"]: row for row in rows_of(corpus / "documents", "documents")}
    assert now == {url: row for url, row in rows.items() if url != gone["url"]}
    assert gone["url"] not in {row["url"] for row in rows_of(corpus / "documents", "site_lines")}
    assert after.counters["site_line_documents"] == len(rows_of(corpus / "documents", "site_lines")) == 9


@pytest.mark.slow
def test_any_number_of_workers_and_parts_gives_the_same_bytes(tmp_path: Path) -> None:
    pages = stories(tmp_path, indexes=3)
    one = run(pages, tmp_path / "one", 1, site_lines=True)
    two = run(pages, tmp_path / "two", 2, site_lines=True)
    assert len(one.of_kind("documents")) == 3
    assert one.sha256 == two.sha256
    (tmp_path / "whole").mkdir()
    run(stories(tmp_path / "whole"), tmp_path / "three", 1, site_lines=True)
    by_url = [{row["url"]: row for row in rows_of(tmp_path / name, "documents")} for name in ("one", "three")]
    assert by_url[0] == by_url[1]


@pytest.mark.parametrize(("settings", "message"), [
    ({"site_line_pages": 2}, "--site-line-pages 2: at least 3"), ({"site_line_share": 0.0}, "--site-line-share 0.0: must be more than 0"),
    ({"site_line_share": 1.5}, "--site-line-share 1.5: must be more than 0 and at most 1"),
])  # fmt: skip
def test_thresholds_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        DocumentsSettings(site_lines=True, **settings)
