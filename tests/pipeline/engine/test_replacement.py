"""A finished stage stands until its next version is complete; what no manifest names does not stay beside it."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from deduplication import OTHER, PROSE, document, write_documents

from pipeline.dedup import stage as dedup
from pipeline.dedup.settings import DedupSettings
from pipeline.engine.execute import run_part
from pipeline.engine.parts import Part
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.engine.stage_folder import close_stage, finish_closing, open_stage
from pipeline.engine.writer import PartWriter
from pipeline.storage import files, next_version
from pipeline.storage.document_shards import document_shards
from pipeline.storage.manifest import NAME, StageManifest
from tokenizer.errors import InputError


def write(part: Part[str], writer: PartWriter) -> None:
    writer.items_in = writer.items_out = 1
    writer.publish("words", 1, lambda file: file.write(part.work.encode()))


def parts(text: str, count: int) -> list[Part[str]]:
    return [Part(f"{i:05d}-of-{count:05d}", f"{text}{i}") for i in range(count)]


def fill(folder: Path, text: str, count: int, *, until: int | None = None) -> None:
    """Run a stage of `count` parts; with `until`, as if it were killed after that many."""
    settings = {"text": text}
    phase = open_stage("words", str(folder), settings, {}, replace=True)
    if phase is None:
        return
    receipts = [run_part(phase, write, part) for part in parts(text, count)[:until]]
    if until is None:
        close_stage(phase, settings, {}, receipts)


def content(folder: Path) -> dict[str, bytes]:
    """The files that a reader of the folder sees."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not str(path.relative_to(folder)).startswith("."))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def named(folder: Path) -> set[str]:
    return {entry.name for entry in StageManifest.load(str(folder)).files} | {NAME}


@pytest.mark.parametrize("until", [0, 1, 2, 3])
def test_a_killed_replacement_leaves_the_earlier_version_and_goes_on(tmp_path: Path, until: int) -> None:
    folder = tmp_path / "words"
    fill(folder, "old", 2)
    before = content(folder)
    fill(folder, "new", 3, until=until)
    assert content(folder) == before
    fill(folder, "old", 2)  # it is still up to date
    assert content(folder) == before
    fill(folder, "new", 3)
    assert set(content(folder)) == named(folder)
    assert content(folder)["words-00002-of-00003.parquet"] == b"new2"
    assert not (folder / ".next").exists()


def test_another_replacement_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / "words"
    fill(folder, "old", 2)
    fill(folder, "new", 3, until=2)
    fill(folder, "newer", 1)
    assert content(folder).keys() == {NAME, "words-00000-of-00001.parquet"}
    assert not (folder / ".next").exists()


def test_a_killed_first_run_with_other_settings_leaves_nothing_that_a_pattern_finds(tmp_path: Path) -> None:
    folder = tmp_path / "words"
    fill(folder, "old", 4, until=3)
    (folder / "notes.txt").write_text("mine")
    fill(folder, "new", 2)
    assert set(content(folder)) == named(folder) | {"notes.txt"}


@pytest.mark.parametrize("killed_at", range(7))
def test_a_switch_that_is_killed_anywhere_is_finished_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    folder = tmp_path / "words"
    fill(folder, "old", 3)
    done: list[str] = []

    def killed(change: Callable[..., None]) -> Callable[..., None]:
        def do(*paths: str) -> None:
            if len(done) == killed_at:
                raise KeyboardInterrupt
            done.append(paths[0])
            change(*paths)

        return do

    with (folder / "words-00000-of-00003.parquet").open("rb") as reader:
        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(next_version.files, "move", killed(files.move))
            fill(folder, "new", 4)
        finish_closing(str(folder))
        assert set(content(folder)) == named(folder)
        assert len(named(folder)) == 5
        assert reader.read() == b"old0"  # a reader keeps what it has opened


def test_an_input_that_is_replaced_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_documents(tmp_path / "documents", [[document(PROSE, "a")]])
    call = Call({"documents": str(folder)}, str(tmp_path / "dedup"), DedupSettings(), Engine(workers=1))
    take_census = dedup.Phases.take_census

    def replaced(phases: dedup.Phases) -> object:
        shutil.rmtree(folder)
        write_documents(folder, [[document(PROSE, "a"), document(OTHER, "b")]])
        return take_census(phases)

    monkeypatch.setattr(dedup.Phases, "take_census", replaced)
    with pytest.raises(InputError, match=r"documents was replaced while 'dedup' read it"):
        dedup.STAGE.run(call)
    assert not (tmp_path / "dedup" / NAME).exists()


def test_a_keep_list_of_other_documents_is_noticed(tmp_path: Path) -> None:
    folder = write_documents(tmp_path / "documents", [[document(PROSE, "a"), document(OTHER, "b")]])
    dedup.STAGE.run(Call({"documents": str(folder)}, str(tmp_path / "dedup"), DedupSettings(), Engine(workers=1)))
    (shard,) = document_shards(str(tmp_path / "dedup"))
    write_documents(folder, [[document(OTHER, "b"), document(PROSE, "a")]])
    for read in (lambda: shard.table(["url"]), lambda: list(shard.batches(["url"]))):
        with pytest.raises(InputError, match="keeps other documents than"):
            read()


def test_earlier_months_count_by_what_they_hold_and_not_by_their_place(tmp_path: Path) -> None:
    texts = [f"{PROSE} {n} {OTHER[n:]}" for n in range(3)]
    engine = Engine(workers=1)
    months = []
    for n, text in enumerate(texts):
        folder = write_documents(tmp_path / f"documents{n}", [[document(text, f"http://a.example/{n}", day=n)]])
        months.append(str(tmp_path / f"m{n}" / "dedup"))
        dedup.STAGE.run(Call({"documents": str(folder)}, months[-1], DedupSettings(), engine))
    documents = write_documents(
        tmp_path / "new", [[document(texts[1], "http://b.example/", day=9), document(PROSE, "http://c.example/")]]
    )

    def compare(*against: str, replace: bool = False) -> bytes:
        settings, output = DedupSettings(against=against), tmp_path / "late" / "dedup"
        dedup.STAGE.run(Call({"documents": str(documents)}, str(output), settings, Engine(workers=1, replace=replace)))
        return (output / NAME).read_bytes()

    first = compare(*months[:2])
    assert compare(months[1], months[0], months[1]) == first
    with pytest.raises(InputError, match="a folder of --against is new"):
        compare(*months)
    assert compare(*months, replace=True) != first
    assert compare(*reversed(months[:2]), replace=True) == first
