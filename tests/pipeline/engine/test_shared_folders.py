"""Workers that do not see the driver's folders are found before the work, in one line."""

import traceback
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipeline.dedup import stage as dedup
from pipeline.engine.parts import Part, PhaseFolder, numbered
from pipeline.engine.runner import Engine
from pipeline.engine.shared_folders import WAY_OUT, SharedFolder, UnsharedFolderError, absolute, raise_unshared, refuse_local
from pipeline.engine.stage import Call
from pipeline.engine.writer import PartWriter
from tokenizer.errors import InputError

ELSEWHERE = Engine(beam_flags=("--runner=apache_beam.runners.direct.direct_runner.BundleBasedDirectRunner",))
"""An engine that counts as one with workers elsewhere, though Beam runs it in this process."""


@dataclass(frozen=True)
class Double:
    """Counts a part's number twice, and leaves a file that says so."""

    ran: str

    def __call__(self, part: Part[int], writer: PartWriter) -> None:
        Path(self.ran, part.key).touch()
        writer.items_in = writer.items_out = 2 * part.work


@pytest.fixture
def phase(tmp_path: Path) -> PhaseFolder:
    found = PhaseFolder.first("double", str(tmp_path / "a 'quoted' folder"), {}, {})
    found.create()
    return found


def unshared(shared: SharedFolder) -> str:
    with pytest.raises(UnsharedFolderError) as caught:
        shared.check()
    return str(caught.value)


def test_a_worker_that_sees_the_folder_passes(phase: PhaseFolder) -> None:
    shared = SharedFolder.of(phase)
    assert shared
    shared.check()


def test_an_object_store_needs_no_proof() -> None:
    assert SharedFolder.of(PhaseFolder.first("double", "s3://corpora/double", {}, {})) is None


@pytest.mark.parametrize("state", ["no folder", "no file", "empty", "older run", "a folder", "a file on the way"])
def test_a_worker_that_sees_another_folder_says_so(phase: PhaseFolder, state: str) -> None:
    shared = SharedFolder.of(phase)
    assert shared
    path = Path(shared.path)
    word = path.read_bytes()
    path.unlink()
    if state == "no folder":
        shared = replace(shared, path=str(path.parent.parent / "none" / path.name))
    elif state == "empty":
        path.touch()
    elif state == "older run":
        path.write_bytes(word[::-1])
    elif state == "a folder":
        path.mkdir()
    elif state == "a file on the way":
        path.touch()
        shared = replace(shared, path=str(path / path.name))
    line = unshared(shared)
    assert phase.folder in line
    assert line.endswith(WAY_OUT)
    assert "\n" not in line


def test_each_run_has_its_own_word(phase: PhaseFolder) -> None:
    earlier = SharedFolder.of(phase)
    assert earlier
    assert SharedFolder.of(phase) != earlier
    assert "another one" in unshared(earlier)


RUNNERS = {
    "bare": "{text}",
    "in a traceback": "Traceback (most recent call last):\n  File 'x'\npipeline.engine.shared_folders.UnsharedFolderError: {text}\n more",
    "while running": "pipeline.engine.shared_folders.UnsharedFolderError: {text} [while running 'Work']",
    "of a job": 'Pipeline job-1 failed in state FAILED: Error received from SDK harness: "UnsharedFolderError: {text}"',
    "of Java": "java.lang.RuntimeException: Error received from SDK harness: Traceback\nUnsharedFolderError: {text}\n\tat x",
}


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_line_is_found_in_what_a_runner_makes_of_it(runner: str) -> None:
    text = f"the worker on w1 does not see /data/corpus/links (No such file or directory); {WAY_OUT}"
    with pytest.raises(InputError) as caught:
        raise_unshared(RuntimeError(RUNNERS[runner].format(text=text)))
    assert str(caught.value) == text


@pytest.mark.parametrize("shown", ["{0!r}", "'{0}'", '\\"{0}\\"', "\\'{0}\\'"])
def test_a_file_that_only_the_driver_sees_is_named(tmp_path: Path, shown: str) -> None:
    dump = tmp_path / "RS_2017-12.zst"
    dump.touch()
    error = RuntimeError(
        f"x\nFileNotFoundError: [Errno 2] No such file or directory: {shown.format(str(dump))} [while running 'Work']"
    )
    with pytest.raises(InputError, match=f"^a worker does not see {dump}; "):
        raise_unshared(error)
    dump.unlink()
    raise_unshared(error)  # it is missing here too: the error stands
    raise_unshared(RuntimeError("anything else"))


@pytest.mark.parametrize(
    ("given", "made"),
    [("c", None), ("./c", None), ("/c", "/c"), ("s3://b/c", "s3://b/c"), ("gs://b/c", "gs://b/c"), ("hdfs://c", "hdfs://c")],
)
def test_local_paths_become_absolute(given: str, made: str | None) -> None:
    assert absolute(given) == (made or str(Path.cwd() / "c"))


def test_dataflow_refuses_local_folders() -> None:
    refuse_local("dataflowrunner", "gs://b/c", "s3://b/c")
    refuse_local("flinkrunner", "/c", "c")
    for path in ("/c", "c", "./c"):
        with pytest.raises(InputError, match=f"^{path}: is a local folder, which Dataflow's workers cannot see"):
            refuse_local("dataflowrunner", "gs://b/c", path)


@pytest.mark.parametrize("spelled", ["DataflowRunner", "dataflowrunner", "apache_beam.runners.DataflowRunner"])
def test_a_stage_on_dataflow_refuses_before_it_touches_anything(tmp_path: Path, spelled: str) -> None:
    engine = Engine(beam_flags=(f"--runner={spelled}",))
    output = tmp_path / "dedup"
    with pytest.raises(InputError, match="Dataflow's workers cannot see"):
        dedup.STAGE.run(Call({"documents": "gs://b/documents"}, str(output), dedup.STAGE.settings(), engine))
    assert not output.exists()


def test_parts_run_where_the_folder_is_shared(phase: PhaseFolder, tmp_path: Path) -> None:
    receipts = ELSEWHERE.work(phase, numbered([1, 2]), Double(str(tmp_path)))
    assert [receipt.books.items_out for receipt in receipts] == [2, 4]


def test_no_part_runs_where_the_folder_is_not_shared(phase: PhaseFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = tmp_path / "ran"
    ran.mkdir()
    of = SharedFolder.of
    monkeypatch.setattr(SharedFolder, "of", lambda phase: replace(of(phase), word="written on another disk"))
    with pytest.raises(InputError) as caught:
        ELSEWHERE.work(phase, numbered([1, 2]), Double(str(ran)))
    assert str(caught.value).startswith("the worker on ")
    assert str(caught.value).endswith(WAY_OUT)
    assert "\n" not in str(caught.value)
    assert not list(ran.iterdir()), traceback.format_exception(caught.value)


def test_parts_that_left_no_receipt_here_are_told(phase: PhaseFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.engine.parts.Receipt.save", lambda *_: None)
    with pytest.raises(InputError, match=r"00000-of-00001.receipt.json: a worker did this part, but not there; use a folder"):
        ELSEWHERE.work(phase, numbered([1]), Double(str(tmp_path)))
