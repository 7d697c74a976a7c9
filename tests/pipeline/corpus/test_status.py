"""`status` tells of each stage whether it is up to date, and why not."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.corpus import status
from pipeline.corpus.status import StageStatus, corpus_status, size_text
from pipeline.storage.manifest import Books, Input, StageManifest, stage_input
from pipeline.storage.places import naming
from tokenizer.errors import InputError
from tokenizer.folder_lock import folder_lock


@pytest.fixture
def corpus(chosen: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(chosen.folder, tmp_path / "corpus"))


NOT_MADE = ("vocabulary", "overlap")
"""The stages that the chosen corpus lacks."""


def states(corpus: Path) -> dict[str, str]:
    return {item.stage: item.state for item in corpus_status(str(corpus))}


def one(corpus: Path, stage: str) -> StageStatus:
    return next(item for item in corpus_status(str(corpus)) if item.stage == stage)


def change(corpus: Path, stage: str) -> None:
    """Write another version of a stage's manifest."""
    manifest = StageManifest.load(str(corpus / stage))
    replace(manifest, settings={**manifest.settings, "changed": True}).save(str(corpus / stage))


def test_a_finished_corpus_is_up_to_date_and_its_counts_are_the_manifests(corpus: Path) -> None:
    for item in corpus_status(str(corpus)):
        if item.stage in NOT_MADE:
            assert item == StageStatus(item.stage, "not started")
            continue
        manifest = StageManifest.load(str(corpus / item.stage))
        assert (item.state, item.detail) == ("up to date", "")
        assert (item.items_in, item.items_out, item.dropped) == (
            manifest.books.items_in,
            manifest.books.items_out,
            manifest.books.dropped,
        )
        assert item.bytes == sum((corpus / item.stage / entry.name).stat().st_size for entry in manifest.files)


@pytest.mark.parametrize("changed", ["links", "pages", "documents", "dedup"])
def test_every_stage_after_a_changed_one_is_stale(corpus: Path, changed: str) -> None:
    before = states(corpus)
    change(corpus, changed)
    after = states(corpus)
    reads = {name: StageManifest.load(str(corpus / name)).inputs for name in after if name not in NOT_MADE}
    stale = {changed}
    for name, inputs in reads.items():
        stale |= {name} if stale & inputs.keys() else set()
    stale.remove(changed)
    assert stale
    assert after == before | dict.fromkeys(stale, "stale")
    first = next(name for name in after if name in stale)
    assert one(corpus, first).detail == f"'{changed}' has changed since"


def test_a_vocabulary_of_all_months_is_not_waited_for(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = StageManifest.load(str(corpus / "tokens"))
    elsewhere = {"vocabulary": Input("../../vocabulary", "ab" * 32)}
    replace(manifest, inputs={name: entry for name, entry in manifest.inputs.items() if name == "dedup"} | elsewhere).save(
        str(corpus / "tokens")
    )
    assert (one(corpus, "vocabulary").state, one(corpus, "vocabulary").detail) == (
        "shared",
        "tokens read that in ../../vocabulary",
    )
    status.TOOL.run(["--corpus", str(corpus)])
    assert "next:" not in capsys.readouterr().out


def test_a_stage_whose_input_is_gone_is_stale(corpus: Path) -> None:
    shutil.rmtree(corpus / "pages")
    assert one(corpus, "pages").state == "not started"
    assert (one(corpus, "documents").state, one(corpus, "documents").detail) == ("stale", "its input 'pages' is not started")


def test_an_unfinished_stage_tells_its_parts_and_its_last_error(corpus: Path) -> None:
    (corpus / "tokens" / "manifest.json").unlink()
    work = corpus / "tokens" / ".work" / "0123456789abcdef" / "main"
    (work / "errors").mkdir(parents=True)
    for number in range(3):
        (work / f"{number:05d}-of-00009.receipt.json").write_text("{}")
    assert (one(corpus, "tokens").state, one(corpus, "tokens").detail) == ("unfinished", "3 parts done")
    (work / "errors" / "00004-of-00009.error").write_text("documents-00004.parquet: damaged\n")
    assert one(corpus, "tokens").detail == "3 parts done; last error: documents-00004.parquet: damaged"


def test_a_locked_stage_is_running(corpus: Path) -> None:
    with folder_lock(corpus / "documents"):
        assert one(corpus, "documents").state == "running"
        assert "process" in one(corpus, "documents").detail
    assert one(corpus, "documents").state == "up to date"


def test_a_damaged_manifest_is_named(corpus: Path) -> None:
    (corpus / "dedup" / "manifest.json").write_text("{")
    assert one(corpus, "dedup").state == "damaged"
    assert "manifest.json: not a manifest" in one(corpus, "dedup").detail
    assert one(corpus, "tokens").state == "stale"


def test_a_moved_corpus_is_still_up_to_date(corpus: Path) -> None:
    moved = corpus.rename(corpus.parent / "elsewhere")
    assert {name for name, state in states(moved).items() if state != "up to date"} == set(NOT_MADE)


def test_output_is_a_table_or_json(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(corpus, "documents")
    status.TOOL.run(["--corpus", str(corpus)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["stage", "state", "in", "out", "size", "took", "finished"]
    assert [line.split()[0] for line in lines[1:8]] == [item.stage for item in corpus_status(str(corpus))]
    assert lines[-1].startswith("next: dedup (stale)")
    status.TOOL.run(["--corpus", str(corpus), "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert {row["stage"]: row["state"] for row in rows} == states(corpus)


def test_an_empty_folder_has_no_started_stage_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    assert set(states(tmp_path).values()) == {"not started"}
    with pytest.raises(InputError, match="no such folder"):
        status.TOOL.run(["--corpus", str(tmp_path / "none")])


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (123_456, "123 kB"), (3_100_000, "3.1 MB"), (5e15, "5.0 PB")],
)
def test_sizes_have_decimal_units(size: float, text: str) -> None:
    assert size_text(size) == text


def test_a_shared_vocabulary_elsewhere_is_no_missing_stage(corpus: Path) -> None:
    outside = corpus.parent / "vocabulary"
    StageManifest("vocabulary", {}, {}, (), Books()).save(str(outside))
    tokens = StageManifest.load(str(corpus / "tokens"))
    entry = stage_input(str(outside), str(corpus / "tokens"))
    replace(tokens, inputs={**tokens.inputs, "vocabulary": entry}).save(str(corpus / "tokens"))
    assert one(corpus, "tokens").state == "up to date"
    replace(StageManifest.load(str(outside)), settings={"vocab_size": 9}).save(str(outside))
    with naming(str(corpus.parent)):
        assert one(corpus, "tokens").state == "stale"
        assert "vocabulary' " in one(corpus, "tokens").detail


@pytest.mark.parametrize(
    "record",
    [
        lambda path: os.mkfifo(path),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.write_bytes(bytes(25 << 20)),
        lambda path: path.write_text('{"seconds": "a", "finished_at": 7}'),
        lambda path: path.write_text('{"seconds": 1e300, "finished_at": "' + "a" * 70_000 + '"}'),
        lambda path: path.write_text("[" * 100_000),
    ],
    ids=["a FIFO", "a device", "large", "other types", "out of range", "nested"],
)
def test_a_foreign_record_of_a_run_is_left_out(corpus: Path, record: Callable[[Path], object]) -> None:
    before = one(corpus, "dedup")
    (corpus / "dedup" / "run.json").unlink(missing_ok=True)
    record(corpus / "dedup" / "run.json")
    assert one(corpus, "dedup") == replace(before, seconds=None, finished_at=None)
