"""Parts, receipts and manifest under any order of starts, crashes, duplicates and late parts (hypothesis)."""

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.engine.execute import run_part
from pipeline.engine.parts import Part, PhaseFolder, Receipt, numbered
from pipeline.engine.stage_folder import close_stage, open_stage
from pipeline.engine.writer import PartWriter
from pipeline.storage import files
from pipeline.storage.manifest import NAME, FileEntry, StageManifest
from tokenizer.errors import InputError

FULL = bool(os.environ.get("WEBTEXT_FULL"))
PARTS = numbered([f"work {i}" for i in range(4)])
SETTINGS = {"a": 1}


class CrashError(BaseException):
    """The death of a process: no code after it runs."""


def work(part: Part, writer: PartWriter) -> None:
    """Write two files, one of which is a spill."""
    writer.items_in = writer.items_out = 1
    writer.publish("lines", 1, lambda file: file.write(f"{part.work}\n".encode()))
    writer.publish("spill", 1, lambda file: file.write(part.key.encode()), writer.spill_name(part.key))


class Protocol(RuleBasedStateMachine):
    """A stage's folder. The model: the parts finished since it was opened, and whether the stage is closed."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="protocol-"))
        self.finished: set[str] = set()
        self.closed = False
        self.phase: PhaseFolder | None = None
        self.first_manifest: bytes | None = None
        self.restart()

    @rule()
    def restart(self) -> None:
        phase = open_stage("lines", str(self.folder), SETTINGS, {}, replace=False)
        assert (phase is None) == self.closed
        self.phase = phase or self.phase

    @precondition(lambda self: not self.closed)
    @rule(part=st.sampled_from(PARTS))
    def deliver(self, part: Part) -> None:
        """Run a part, perhaps again: an engine may deliver a part twice and finish both."""
        assert self.phase is not None
        run_part(self.phase, work, part)
        self.finished.add(part.key)

    @precondition(lambda self: not self.closed)
    @rule(part=st.sampled_from(PARTS), renames=st.integers(0, 2), after=st.booleans())
    def crash(self, part: Part, renames: int, after: bool) -> None:
        """The process dies before or after its n-th rename, and its files stay as they are."""
        assert self.phase is not None
        left, real, removing = [renames], files._rename, files.remove

        def dying(*names: str, **options: bool) -> None:
            left[0] -= 1
            if left[0] < 0 and not after:
                raise CrashError
            real(*names, **options)
            if left[0] < 0:
                raise CrashError

        files._rename, files.remove = dying, lambda _path: None
        try:
            run_part(self.phase, work, part)
        except CrashError:
            if renames == 2 and after:
                self.finished.add(part.key)
        else:
            self.finished.add(part.key)
        finally:
            files._rename, files.remove = real, removing

    @rule(part=st.sampled_from(PARTS))
    def late(self, part: Part) -> None:
        """A worker that was believed dead finishes a part, perhaps after the stage was closed."""
        assert self.phase is not None
        run_part(self.phase, work, part)
        if not self.closed:
            self.finished.add(part.key)

    @precondition(lambda self: not self.closed and len(self.finished) == len(PARTS))
    @rule()
    def close(self) -> None:
        assert self.phase is not None
        close_stage(self.phase, SETTINGS, {}, [Receipt.load(self.phase, part.key) for part in PARTS])
        self.closed = True

    @precondition(lambda self: self.closed)
    @rule()
    def replace(self) -> None:
        """Other settings are refused; the user removes the folder."""
        try:
            open_stage("lines", str(self.folder), {"a": 2}, {}, replace=False)
        except InputError:
            pass
        else:
            raise AssertionError("other settings were accepted")
        self.first_manifest = (self.folder / NAME).read_bytes()
        shutil.rmtree(self.folder)
        self.closed, self.finished = False, set()
        self.restart()

    @invariant()
    def receipts_are_the_finished_parts(self) -> None:
        if self.phase is not None and not self.closed:
            receipts = {part.key for part in PARTS if files.exists(self.phase.receipt_path(part.key))}
            assert receipts == self.finished

    @invariant()
    def a_final_name_never_holds_a_partial_file(self) -> None:
        for part in PARTS:
            path = self.folder / f"lines-{part.key}.parquet"
            assert not path.exists() or path.read_text() == f"{part.work}\n"

    @invariant()
    def a_manifest_names_whole_files_and_never_changes(self) -> None:
        assert (self.folder / NAME).exists() == self.closed
        if self.closed:
            manifest = StageManifest.load(str(self.folder))
            assert manifest.books.items_in == len(PARTS)
            for entry in manifest.files:
                assert (entry.bytes, entry.sha256) == digest(self.folder, entry)
            assert self.first_manifest in (None, (self.folder / NAME).read_bytes())

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


def digest(folder: Path, entry: FileEntry) -> tuple[int, str]:
    return (folder / entry.name).stat().st_size, files.fingerprint(str(folder / entry.name))


TestProtocol = Protocol.TestCase
TestProtocol.settings = settings(max_examples=400 if FULL else 8, stateful_step_count=60 if FULL else 25, deadline=None)
