import hashlib
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from deduplication import dedup, document, rows, write_documents
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dedup import words
from pipeline.dedup.settings import DedupSettings
from pipeline.dedup.spans import cut
from pipeline.engine.runner import Engine
from pipeline.storage.document_shards import document_shards, text_bytes
from pipeline.storage.manifest import StageManifest


def texts_of(folder: Path) -> dict[str, tuple[bytes, str]]:
    batches = [b for shard in document_shards(str(folder)) for b in shard.batches(["url", "document_id", "text"])]
    return {row["url"]: (row["document_id"], row["text"]) for batch in batches for row in batch.to_pylist()}


def uncut_by_brute_force(texts: list[str], length: int) -> list[list[str]]:
    """The words of each text outside runs of `length` words that also occur in an earlier text or at an earlier place."""
    first: dict[tuple[str, ...], tuple[int, int]] = {}
    uncut = []
    for number, text in enumerate(texts):
        folded = words.words(text)
        cut_words: set[int] = set()
        for i in range(len(folded) - length + 1):
            where, end = first.setdefault(tuple(folded[i : i + length]), (number, i + length))
            if (where, end) != (number, i + length):
                cut_words.update(range(max(i, end) if where == number else i, i + length))
        uncut.append([word for i, word in enumerate(folded) if i not in cut_words])
    return uncut


@pytest.mark.parametrize("length", [2, 5])
def test_cut_runs_equal_brute_force(tmp_path: Path, length: int) -> None:
    draw = random.Random(length)
    vocabulary = ["Alpha", "béta", "吾", "x_1", "ß", "no", "e\u0301tude"]
    texts = [" - ".join(draw.choices(vocabulary, k=draw.randrange(2, 60))) for _ in range(60)]
    documents = [document(text, f"u{i}", day=i) for i, text in enumerate(texts)]
    folder = write_documents(tmp_path / "documents", [documents[40:], documents[:25], documents[25:40]])
    settings = DedupSettings(threshold=1.0, substring=length)
    manifest = dedup(folder, tmp_path / "dedup", settings)
    removed = {row["item"] for row in rows(tmp_path / "dedup", "drops") if row["reason"] != "nothing_left"}
    order = [i for i in range(60) if f"u{i}" not in removed]
    expected = uncut_by_brute_force([texts[i] for i in order], length)
    cut_texts = texts_of(tmp_path / "dedup")
    assert {url: words.words(text) for url, (_, text) in cut_texts.items()} == {
        f"u{i}": uncut for i, uncut in zip(order, expected, strict=True) if uncut
    }
    assert text_bytes(manifest) == sum(len(text.encode()) for _, text in cut_texts.values())
    assert all(hashlib.blake2b(text.encode(), digest_size=16).digest() == identity for identity, text in cut_texts.values())
    assert manifest.counters["bytes_cut"] == sum(row["cut_bytes"] for row in rows(tmp_path / "dedup", "rewritten")) > 0


def test_paragraphs_of_an_earlier_document_are_cut(tmp_path: Path) -> None:
    notice = "Subscribe to our newsletter and never miss a story."
    first = document(f"A first story of some length.\n{notice}\nIts end.", "a", day=1)
    second = document(f"{notice.upper()}\nA second story, about other things.\nIts end.", "b", day=2)
    third = document(f"{notice}\n{notice}", "c", day=3)
    folder = write_documents(tmp_path / "documents", [[third, second, first]])
    manifest = dedup(folder, tmp_path / "dedup", DedupSettings(paragraphs=5))
    texts = texts_of(tmp_path / "dedup")
    assert texts["a"] == (first.document_id, first.text)
    assert texts["b"][1] == "A second story, about other things.\nIts end."
    assert "c" not in texts
    assert manifest.books.dropped == {"nothing_left": 1}
    rewritten = {row["url"]: row for row in rows(tmp_path / "dedup", "rewritten")}
    assert rewritten["b"]["original_id"] == second.document_id
    assert rewritten["b"]["document_id"] == texts["b"][0]


@pytest.mark.slow
def test_two_workers_cut_equal_spans(tmp_path: Path) -> None:
    texts = [" ".join(f"w{(i * 7 + j) % 90}" for j in range(60)) for i in range(40)]
    documents = [document(text, f"u{i}", day=i) for i, text in enumerate(texts)]
    folder = write_documents(tmp_path / "documents", [documents[:20], documents[20:]])
    settings = DedupSettings(threshold=1.0, substring=12)
    one, two = dedup(folder, tmp_path / "one", settings), dedup(folder, tmp_path / "two", settings, Engine(workers=2))
    assert one.files == two.files


RULE = "the keeper of the lamp must never sleep before the sun is up"


@pytest.mark.parametrize(("text", "left"), [
    (f"- {RULE}\n- a point of its own", "- a point of its own"),
    (f"A line that ends so: {RULE}\nA second paragraph.", "A line that ends so:\nA second paragraph."),
    (f"Before.\n{RULE}.\nAfter.", "Before.\nAfter."),
    (f"Before. {RULE}. After.", "Before. After."),
    (f"Before.\n\n{RULE}.\n\nAfter.", "Before.\n\nAfter."),
    (f"Before.\n\n{RULE}.\nAfter.", "Before.\n\nAfter."),
    (f"    {RULE}\n    if a:\n        b()", "    if a:\n        b()"),
    (f"if a:\n    b()  # {RULE}\n    c()", "if a:\n    b()  #\n    c()"),
    (f"    {RULE} and more", "    and more"),
    (f"He said “{RULE}” and left.", "He said and left."),
    (f"A note ({RULE}) in brackets.", "A note in brackets."),
    (f"1. {RULE}!\n2. Second", "2. Second"),
    (f"{RULE}", ""),
    (f"...{RULE}...", ""),
    (f"* * {RULE}\n\n\nEnd", "End"),
    (f"守塔人 {RULE}。\n第二行。", "守塔人\n第二行。"),
    (f"a,{RULE},b", "a,,b"),
    (f"{RULE}; then", "then"),
])  # fmt: skip
def test_a_cut_leaves_lines_and_their_indentation(text: str, left: str) -> None:
    start = len(text[: text.index(RULE)].encode())
    assert cut(text.encode(), [(start, start + len(RULE))]).decode() == left


def test_overlapping_cuts_and_cuts_over_lines() -> None:
    assert cut(b"one two three", [(4, 7)]) == b"one three"
    assert cut(b"one two three four", [(0, 3), (4, 7), (6, 13)]) == b"four"
    assert cut(b"one two three four", [(6, 13), (4, 18)]) == b"one"
    assert cut(b"one two\nthree four\nfive six", [(4, 23)]) == b"one\nsix"
    assert cut(b"one\n\ntwo\n\nthree", [(0, 8)]) == b"three"
    assert cut(b" one \n", []) == b" one"
    assert cut("é one ü".encode(), [(3, 6)]).decode() == "é ü"


@given(st.lists(st.sampled_from(["one", "two", " ", "\n", "  ", ".", "ü", "- "]), max_size=30), st.data())
def test_cutting_keeps_the_words_outside_and_no_others(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(f"{piece} " if piece.isalpha() else piece for piece in pieces)
    found = [(len(text[: m.start()].encode()), len(text[: m.end()].encode()), m[0]) for m in re.finditer(r"\w+", text)]
    chosen = data.draw(st.sets(st.integers(0, max(0, len(found) - 1)), max_size=len(found)))
    left = cut(text.encode(), [found[i][:2] for i in chosen if found]).decode()
    assert re.findall(r"\w+", left) == [word for i, (_, _, word) in enumerate(found) if i not in chosen]


def test_without_span_rules_no_documents_are_written(tmp_path: Path) -> None:
    folder = write_documents(tmp_path / "documents", [[document("one two three four five six", "a")]])
    dedup(folder, tmp_path / "dedup")
    assert not StageManifest.load(str(tmp_path / "dedup")).of_kind("documents")


def test_a_document_that_cuts_leave_too_short_is_dropped(tmp_path: Path) -> None:
    notice = "Subscribe to our newsletter and never miss a story of ours again."
    texts = {
        "a": f"{notice}\nThe first.",
        "b": f"{notice}\n{'A long story of its own. ' * 6}",
        "c": f"{notice}\nShort of it.",
        "d": "Little.",
    }
    folder = write_documents(
        tmp_path / "documents", [[document(text, url, day=i) for i, (url, text) in enumerate(texts.items())]]
    )
    documents = StageManifest.load(str(folder))
    replace(documents, settings={"min_characters": 100}).save(str(folder))
    manifest = dedup(folder, tmp_path / "dedup", DedupSettings(paragraphs=5))
    assert set(texts_of(tmp_path / "dedup")) == {"a", "b", "d"}
    assert manifest.books.dropped == {"too_short": 1}
