"""A take-down list goes through months that were compared with each other, one after the other."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from deduplication import OTHER, PROSE, document, kept_urls, write_documents

from pipeline.corpus import remove, verify
from pipeline.dedup.settings import DedupSettings
from pipeline.dedup.stage import STAGE
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.records import Document
from pipeline.urls import dedup_key
from tokenizer.errors import InputError

TEXTS = {"2017-10": PROSE, "2017-11": OTHER, "2017-12": f"{OTHER[100:]} {PROSE[100:]}"}
REPLACING = Engine(replace=True)


def page(name: str, text: str) -> Document:
    url = f"http://a.example/{name}"
    return replace(document(text, url), dedup_key=dedup_key(url))


def compare(root: Path, name: str) -> None:
    against = tuple(str(root / other / "dedup") for other in TEXTS if other < name)
    inputs = {"documents": str(root / name / "documents")}
    STAGE.run(Call(inputs, str(root / name / "dedup"), DedupSettings(against=against), REPLACING))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three months of two documents each."""
    for name, text in TEXTS.items():
        write_documents(tmp_path / name / "documents", [[page(f"{name}/gone", text[:150]), page(f"{name}/kept", text)]])
        compare(tmp_path, name)
    (tmp_path / "list.txt").write_text("".join(f"http://a.example/{name}/gone\n" for name in TEXTS))
    return tmp_path


def take_down(root: Path, name: str) -> None:
    remove.TOOL.run(["--corpus", str(root / name), "--replace", "--list", str(root / "list.txt"), "--also-read", str(root)])


@pytest.mark.parametrize("order", [tuple(TEXTS), tuple(reversed(TEXTS))], ids=["oldest-first", "newest-first"])
def test_every_month_loses_what_is_listed(root: Path, order: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for name in order:
            take_down(root, name)
    for name in TEXTS:
        assert kept_urls(root / name / "dedup") == [f"http://a.example/{name}/kept"]
    stale = [record.getMessage() for record in caplog.records if "has changed since" in record.getMessage()]
    assert len(stale) == (2 if order == tuple(TEXTS) else 0)
    assert all("run 'dedup' in" in line and "--replace" in line for line in stale)
    for name in TEXTS:
        compare(root, name)
        verify.TOOL.run(["--corpus", str(root / name), "--also-read", str(root)])


def test_a_stage_that_does_not_follow_from_its_own_corpus_is_refused(root: Path) -> None:
    write_documents(root / "2017-12" / "documents", [[page("2017-12/gone", PROSE[:150]), page("2017-12/kept", OTHER)]])
    with pytest.raises(InputError, match=r"2017-12/dedup: its input 'documents' .* has changed since"):
        take_down(root, "2017-12")
