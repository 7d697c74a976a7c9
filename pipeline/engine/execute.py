"""The execution of one part: run its work, publish its files and its receipt."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from pipeline.engine.parts import Part, PhaseFolder, Receipt
from pipeline.engine.writer import PartWriter
from pipeline.storage import files
from tokenizer.errors import DISK_ERRORS, InputError, OutageError

W = TypeVar("W")
W_contra = TypeVar("W_contra", contravariant=True)


class Work(Protocol[W_contra]):
    """A stage's logic for one part. It is pickled: a frozen dataclass with `__call__`, or a module's function."""

    def __call__(self, part: Part[W_contra], writer: PartWriter, /) -> None:
        """Read what `part.work` names, write through `writer`."""


def run_part(phase: PhaseFolder, work: Work[W], part: Part[W]) -> Receipt:
    """Work one part to its receipt.

    An InputError, an OutageError or a disk's errno is also written to a file of the phase, since runners change the types of exceptions.
    """
    return publish_part(compute_part(phase, work, part))


def compute_part(phase: PhaseFolder, work: Work[W], part: Part[W]) -> PartWriter:
    """Run the part's work; publish nothing."""
    files.make_folder(phase.errors_folder)
    with _recorded_errors(phase, part.key), PartWriter(phase, part) as writer:
        work(part, writer)
        return writer


def publish_part(writer: PartWriter) -> Receipt:
    """Commit the part's files and write its receipt."""
    with _recorded_errors(writer.phase, writer.key), writer:
        return writer.commit()


@contextmanager
def _recorded_errors(phase: PhaseFolder, key: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        files.publish_bytes(phase.error_path(key), str(error).encode())
        raise
    except OutageError as error:
        files.publish_bytes(phase.outage_path(key), str(error).encode())
        raise
    except OSError as error:
        if error.errno in DISK_ERRORS and files.is_local(phase.work_folder):
            Path(phase.disk_error_path(error.errno)).touch()
        raise
