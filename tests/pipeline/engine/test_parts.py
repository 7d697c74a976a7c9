"""Parts, receipts and the folder of a stage: each part runs once, whatever fails in between."""

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.engine.parts import Part, Receipt, numbered
from pipeline.engine.runner import Engine
from pipeline.engine.stage_folder import close_stage, open_stage
from pipeline.engine.writer import PartWriter
from pipeline.records import Drop
from pipeline.storage import files
from pipeline.storage.manifest import StageManifest
from tokenizer.errors import InputError


@dataclass(frozen=True)
class Double:
    """Doubles even numbers, drops odd ones, refuses negative ones."""

    log: str

    def __call__(self, part: Part, writer: PartWriter) -> None:
        with Path(self.log).open("a") as log:
            log.write(f"{part.key}\n")
        kept = []
        for number in part.work:
            if number < 0:
                raise InputError(f"{number}: negative")
            writer.items_in += 1
            if number % 2:
                writer.drop(Drop("double", str(number), "odd"))
            else:
                writer.items_out += 1
                kept.append(2 * number)
        writer.publish_table("doubles", pa.table({"number": kept}))


def run(
    folder: Path, works: list[tuple[int, ...]], engine: Engine, *, replace: bool = False, factor: int = 2
) -> StageManifest | None:
    settings = {"factor": factor}
    phase = open_stage("double", str(folder), settings, {}, replace=replace)
    if phase is None:
        return None
    receipts = engine.work(phase, numbered(works), Double(str(folder.parent / "log")))
    return close_stage(phase, settings, {}, receipts)


WORKS = [(1, 2, 3), (4,), (), (5, 6)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_manifest_holds_books_and_files(tmp_path: Path, engine: Engine) -> None:
    manifest = run(tmp_path / "out", WORKS, engine)
    assert manifest is not None
    assert (manifest.books.items_in, manifest.books.items_out, manifest.books.dropped) == (6, 3, {"odd": 3})
    assert manifest == StageManifest.load(str(tmp_path / "out"))
    for entry in manifest.files:
        path = str(tmp_path / "out" / entry.name)
        assert files.fingerprint(path) == entry.sha256
        assert files.read_table(path).num_rows == entry.rows
    assert not (tmp_path / "out" / ".work").exists()


@pytest.mark.parametrize("workers", [1, 4])
def test_threads_write_the_same_bytes(tmp_path: Path, engine: Engine, workers: int) -> None:
    run(tmp_path / "pipeline", WORKS, engine)
    phase = open_stage("double", str(tmp_path / "here"), {"factor": 2}, {}, replace=False)
    assert phase is not None
    works = Double(str(tmp_path / "log"))
    receipts = Engine(workers=workers).work(phase, numbered(WORKS), works, light=True)
    assert Engine(workers=workers).work(phase, numbered(WORKS), works, light=True) == receipts
    assert len((tmp_path / "log").read_text().splitlines()) == 2 * len(WORKS)
    close_stage(phase, {"factor": 2}, {}, receipts)
    assert contents(tmp_path / "pipeline") == contents(tmp_path / "here")


def test_threads_start_no_part_after_a_failed_one(tmp_path: Path) -> None:
    phase = open_stage("double", str(tmp_path / "out"), {}, {}, replace=False)
    assert phase is not None
    with pytest.raises(InputError, match=r"-1: negative"):
        Engine().work(phase, numbered([(2,), (-1,), *[(4,)] * 400]), Double(str(tmp_path / "log")), light=True)
    assert 2 <= len((tmp_path / "log").read_text().splitlines()) < 400


@pytest.mark.slow
def test_two_workers_write_the_same_bytes(tmp_path: Path, engine: Engine) -> None:
    run(tmp_path / "one", WORKS, engine)
    run(tmp_path / "two", WORKS, Engine(workers=2))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_finished_stage_is_not_run_again(tmp_path: Path, engine: Engine) -> None:
    run(tmp_path / "out", WORKS, engine)
    assert run(tmp_path / "out", WORKS, engine) is None
    assert len((tmp_path / "log").read_text().splitlines()) == len(WORKS)


def test_finished_parts_are_not_run_again(tmp_path: Path, engine: Engine) -> None:
    with pytest.raises(InputError, match=r"-1: negative"):
        run(tmp_path / "out", [*WORKS, (-1,)], engine)
    first = (tmp_path / "log").read_text().splitlines()
    with pytest.raises(InputError, match=r"-1: negative"):
        run(tmp_path / "out", [*WORKS, (-1,)], engine)
    again = (tmp_path / "log").read_text().splitlines()[len(first) :]
    done = set(first) - {"00004-of-00005"}
    assert done
    assert not done & set(again)


SECOND_STARTED = threading.Event()


def write_after_start(part: Part, writer: PartWriter) -> None:
    if part.work:
        SECOND_STARTED.set()
    writer.publish("written", 1, lambda file: file.write(b"written"))


def test_a_part_runs_while_the_previous_one_is_synced(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    overlapped = []

    def sync(_descriptor: int) -> None:
        overlapped.append(SECOND_STARTED.wait(60))

    phase = open_stage("overlapping", str(tmp_path / "out"), {}, {}, replace=False)
    assert phase is not None
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", sync)
        engine.work(phase, numbered([0, 1]), write_after_start)
    assert overlapped
    assert all(overlapped)
    assert sorted(path.name for path in (tmp_path / "out").glob("written-*")) == [
        f"written-0000{i}-of-00002.parquet" for i in range(2)
    ]


def test_a_disk_error_in_the_sync_of_the_last_part_is_raised(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    phase = open_stage("failing", str(tmp_path / "out"), {}, {}, replace=False)
    assert phase is not None
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", sync)
        with pytest.raises(OSError, match="Input/output error") as raised:
            engine.work(phase, numbered([0]), write_after_start)
    assert raised.value.errno == errno.EIO
    assert not list((tmp_path / "out").glob("written-*"))
    engine.work(phase, numbered([0]), write_after_start)
    assert [path.read_bytes() for path in (tmp_path / "out").glob("written-*")] == [b"written"]


def test_a_part_running_when_the_previous_one_fails_leaves_no_file(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    phase = open_stage("double", str(tmp_path / "out"), {}, {}, replace=False)
    assert phase is not None
    work = Double(str(tmp_path / "log"))
    with monkeypatch.context() as patched:
        patched.setattr(Receipt, "save", lambda *_: 1 / 0)
        with pytest.raises(Exception, match="division by zero"):
            engine.work(phase, numbered([(1,), (3,)]), work)
    assert len((tmp_path / "log").read_text().splitlines()) == 2
    assert not list((tmp_path / "out").rglob("*.aside"))
    engine.work(phase, numbered([(1,), (3,)]), work)


def spill(part: Part, writer: PartWriter) -> None:
    writer.publish("spill", 1, lambda file: file.write(b"spilled"), writer.spill_name(f"{part.key}.spill"))


@pytest.mark.parametrize("of", ["receipt", "spill"])
@pytest.mark.parametrize("lost", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_part_that_lost_its_receipt_or_spill_is_run_again(
    tmp_path: Path, engine: Engine, of: str, lost: Callable[[Path], None]
) -> None:
    phase = open_stage("spilling", str(tmp_path / "out"), {}, {}, replace=False)
    assert phase is not None
    parts = numbered(["a", "b"])
    receipts = engine.work(phase, parts, spill)
    spills = [Path(receipt.path(phase, "spill")) for receipt in receipts]
    lost(spills[0] if of == "spill" else Path(phase.receipt_path(receipts[0].key)))
    untouched = spills[1].stat().st_mtime_ns
    assert engine.work(phase, parts, spill) == receipts
    assert [path.read_bytes() for path in spills] == [b"spilled", b"spilled"]
    assert spills[1].stat().st_mtime_ns == untouched


def test_other_settings_are_refused_by_name_unless_replace_is_given(tmp_path: Path, engine: Engine) -> None:
    run(tmp_path / "out", WORKS, engine)
    before = contents(tmp_path / "out")
    with pytest.raises(InputError, match=r"factor was 2, now 3.*--replace"):
        run(tmp_path / "out", WORKS, engine, factor=3)
    assert contents(tmp_path / "out") == before
    replaced = run(tmp_path / "out", WORKS, engine, factor=3, replace=True)
    assert replaced is not None
    assert replaced.settings == {"factor": 3}


def test_unbalanced_books_stop_the_stage(tmp_path: Path, engine: Engine) -> None:
    phase = open_stage("lossy", str(tmp_path / "out"), {}, {}, replace=False)
    assert phase is not None
    with pytest.raises(RuntimeError, match="books do not balance: 1 in, 0 out, 0 dropped"):
        engine.work(phase, numbered([1]), lose_one)
    assert not (tmp_path / "out" / "manifest.json").exists()


def lose_one(_part: Part, writer: PartWriter) -> None:
    writer.items_in += 1
