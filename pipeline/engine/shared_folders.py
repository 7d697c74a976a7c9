"""Whether workers on other machines see the driver's local folders: told before the work, in one line.

Without this, a stage on a folder that is not shared is worked to its end on the workers' own disks, and then lost.
"""

import re
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path

from pipeline.engine.parts import PhaseFolder
from pipeline.storage import files
from tokenizer.errors import InputError

TOKEN = "driver.token"  # noqa: S105 (a file's name)
WAY_OUT = "use a folder that every worker shares, by its absolute path, or an object store"
_LINE = re.compile(rf"[^\n\"']*? does not see [^\n]*?; {re.escape(WAY_OUT)}")
_MISSING_FILE = re.compile(r"FileNotFoundError: \[Errno 2\] No such file or directory: \\?['\"](.+?)\\?['\"]")


class UnsharedFolderError(Exception):
    """A worker does not see a folder of the driver."""


@dataclass(frozen=True, slots=True)
class SharedFolder:
    """A folder with a file that the driver has just written: a worker that reads the same word there sees the same folder."""

    folder: str
    path: str
    word: str

    @classmethod
    def of(cls, phase: PhaseFolder) -> "SharedFolder | None":
        """The folder of a phase, with a new word in it; None where the folder is in an object store."""
        if not files.is_local(phase.folder):
            return None
        word = uuid.uuid4().hex
        path = files.join(phase.work_folder, TOKEN)
        files.publish(path, lambda file: file.write(word.encode()), kept=False)
        return cls(phase.folder, path, word)

    def check(self) -> None:
        """Raise UnsharedFolderError where this process does not see the folder, or sees another one of its name."""
        try:
            word = Path(self.path).read_bytes().decode()
        except OSError as error:
            raise self._unshared(error.strerror or type(error).__name__) from error
        if word != self.word:
            raise self._unshared("its folder of this name is another one")

    def _unshared(self, why: str) -> UnsharedFolderError:
        return UnsharedFolderError(f"the worker on {socket.gethostname()} does not see {self.folder} ({why}); {WAY_OUT}")


def raise_unshared(error: Exception) -> None:
    """Raise InputError where a runner's error is of a worker that does not see a folder or a file of the driver."""
    text = str(error)
    if found := _LINE.search(text):
        raise InputError(found[0].rpartition("UnsharedFolderError: ")[2].strip()) from error
    if (missing := _MISSING_FILE.search(text)) and Path(missing[1]).exists():
        raise InputError(f"a worker does not see {missing[1]}; {WAY_OUT}") from error


def absolute(path: str) -> str:
    """A local path made absolute, since workers have folders of their own to begin from; any other as it is."""
    return str(Path(path).absolute()) if files.is_local(path) else path


def refuse_local(runner: str, *paths: str) -> None:
    """Raise InputError for the first local path where the runner's workers are machines that cannot share one."""
    for path in paths:
        if runner == "dataflowrunner" and files.is_local(path):
            raise InputError(f"{path}: is a local folder, which Dataflow's workers cannot see; give a folder on gs://")
