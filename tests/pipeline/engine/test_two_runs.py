"""Two runs never work in one stage folder: the second is refused in one line and touches nothing."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.engine.parts import Part, PhaseFolder, numbered
from pipeline.engine.runner import Engine
from pipeline.engine.settings import setting
from pipeline.engine.stage import Call, Stage, StageResult
from pipeline.engine.writer import PartWriter
from pipeline.storage.manifest import StageManifest
from tokenizer.errors import InputError
from tokenizer.folder_lock import LOCK, folder_lock


@dataclass(frozen=True)
class Settings:
    """The flags of the test's stage."""

    factor: int = setting(1, "factor of the numbers")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def publish(part: Part[int], writer: PartWriter) -> None:
    writer.publish_table("numbers", pa.table({"number": [part.work]}))


def stage(attempts: list[str]) -> Stage[Settings]:
    """A stage that tries to run again in its own folder while it works."""

    def work(call: Call[Settings], phase: PhaseFolder) -> StageResult:
        for engine in (Engine(), Engine(replace=True)):
            before = contents(Path(call.output))
            with pytest.raises(InputError) as raised:
                again.run(Call({}, call.output, Settings(2), engine))
            attempts.append(str(raised.value))
            assert contents(Path(call.output)) == before
        return StageResult(call.engine.work(phase, numbered([1]), publish))

    again = Stage("numbers", Settings, (), work, "numbers")
    return again


@pytest.mark.parametrize("name", ["out", "c[1]", "a b"])
def test_a_second_run_is_refused_even_with_replace(tmp_path: Path, name: str) -> None:
    attempts: list[str] = []
    folder = tmp_path / name
    manifest = stage(attempts).run(Call({}, str(folder), Settings(), Engine()))
    assert manifest == StageManifest.load(str(folder))
    assert [message.split(": process ")[0] for message in attempts] == [str(folder)] * 2
    assert all(message.endswith("works in this folder; wait for its end") for message in attempts)
    assert not (folder / LOCK).exists()


def test_a_finished_folder_is_refused_while_another_run_holds_it(tmp_path: Path) -> None:
    numbers = stage([])
    numbers.run(Call({}, str(tmp_path), Settings(), Engine()))
    before = contents(tmp_path)
    with folder_lock(tmp_path), pytest.raises(InputError, match="works in this folder"):
        numbers.run(Call({}, str(tmp_path), Settings(3), Engine(replace=True)))
    assert contents(tmp_path) == before
    numbers.run(Call({}, str(tmp_path), Settings(), Engine()))
    assert contents(tmp_path) == before
