from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import files
from pipeline.engine import Engine, close_stage, open_stage
from pipeline.files import InputError
from pipeline.manifest import Manifest
from pipeline.parts import Part, PartWriter, RunParts, numbered
from pipeline.records import Drop


@dataclass(frozen=True)
class Double:
    """Passes on twice each even number, drops the odd, refuses the negative."""

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


def run(folder: Path, works: list[tuple[int, ...]], engine: Engine, *, replace: bool = False, factor: int = 2) -> Manifest | None:
    settings = {"factor": factor}
    place = open_stage("double", str(folder), settings, {}, replace=replace)
    if place is None:
        return None
    receipts = engine.run_parts(place, numbered(works), RunParts(place, Double(str(folder.parent / "log"))))
    return close_stage(place, settings, {}, receipts)


WORKS = [(1, 2, 3), (4,), (), (5, 6)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_books_and_files_are_in_the_manifest(tmp_path: Path, engine: Engine) -> None:
    manifest = run(tmp_path / "out", WORKS, engine)
    assert manifest is not None
    assert (manifest.books.items_in, manifest.books.items_out, manifest.books.dropped) == (6, 3, {"odd": 3})
    assert manifest == Manifest.load(str(tmp_path / "out"))
    for entry in manifest.files:
        path = str(tmp_path / "out" / entry.name)
        assert files.fingerprint(path) == entry.sha256
        assert files.read_table(path).num_rows == entry.rows
    assert not (tmp_path / "out" / ".work").exists()


@pytest.mark.slow
def test_two_workers_write_the_same_bytes(tmp_path: Path, engine: Engine) -> None:
    run(tmp_path / "one", WORKS, engine)
    run(tmp_path / "two", WORKS, Engine(workers=2))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_finished_stage_is_not_done_again(tmp_path: Path, engine: Engine) -> None:
    run(tmp_path / "out", WORKS, engine)
    assert run(tmp_path / "out", WORKS, engine) is None
    assert len((tmp_path / "log").read_text().splitlines()) == len(WORKS)


def test_finished_parts_are_not_done_again(tmp_path: Path, engine: Engine) -> None:
    with pytest.raises(InputError, match=r"-1: negative"):
        run(tmp_path / "out", [*WORKS, (-1,)], engine)
    first = (tmp_path / "log").read_text().splitlines()
    with pytest.raises(InputError, match=r"-1: negative"):
        run(tmp_path / "out", [*WORKS, (-1,)], engine)
    again = (tmp_path / "log").read_text().splitlines()[len(first) :]
    done = set(first) - {"00004-of-00005"}
    assert done
    assert not done & set(again)


def spill(part: Part, writer: PartWriter) -> None:
    writer.publish("spill", 1, lambda file: file.write(b"spilled"), writer.spill_name(f"{part.key}.spill"))


@pytest.mark.parametrize("of", ["receipt", "spill"])
@pytest.mark.parametrize("lost", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_part_whose_receipt_or_spill_a_power_cut_took_is_done_again(
    tmp_path: Path, engine: Engine, of: str, lost: Callable[[Path], None]
) -> None:
    place = open_stage("spilling", str(tmp_path / "out"), {}, {}, replace=False)
    assert place is not None
    parts = numbered(["a", "b"])
    receipts = engine.run_parts(place, parts, RunParts(place, spill))
    spills = [Path(receipt.path(place, "spill")) for receipt in receipts]
    lost(spills[0] if of == "spill" else Path(place.receipt_path(receipts[0].key)))
    untouched = spills[1].stat().st_mtime_ns
    assert engine.run_parts(place, parts, RunParts(place, spill)) == receipts
    assert [path.read_bytes() for path in spills] == [b"spilled", b"spilled"]
    assert spills[1].stat().st_mtime_ns == untouched


def test_other_settings_are_refused_by_name_and_replaced_when_told(tmp_path: Path, engine: Engine) -> None:
    run(tmp_path / "out", WORKS, engine)
    before = contents(tmp_path / "out")
    with pytest.raises(InputError, match=r"factor was 2, now 3.*--replace"):
        run(tmp_path / "out", WORKS, engine, factor=3)
    assert contents(tmp_path / "out") == before
    replaced = run(tmp_path / "out", WORKS, engine, factor=3, replace=True)
    assert replaced is not None
    assert replaced.settings == {"factor": 3}


def test_unbalanced_books_stop_the_stage(tmp_path: Path, engine: Engine) -> None:
    place = open_stage("lossy", str(tmp_path / "out"), {}, {}, replace=False)
    assert place is not None
    with pytest.raises(RuntimeError, match="books do not balance: 1 in, 0 out, 0 dropped"):
        engine.run_parts(place, numbered([1]), RunParts(place, lose_one))
    assert not (tmp_path / "out" / "manifest.json").exists()


def lose_one(_part: Part, writer: PartWriter) -> None:
    writer.items_in += 1
