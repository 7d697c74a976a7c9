"""TODO-DOC."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.engine.parts import Part, Place, Receipt
from pipeline.engine.writer import PartWriter
from pipeline.storage import files

Work = Callable[[Part, PartWriter], None]
"""A stage's logic for one part: pickled, so a frozen dataclass with `__call__` or a module's function."""


def run_part(place: Place, work: Work, part: Part) -> Receipt:
    """Work one part to its receipt. An InputError or a disk's errno is left in a file, since runners change exceptions' types."""
    return publish_part(work_part(place, work, part))


def work_part(place: Place, work: Work, part: Part) -> PartWriter:
    """The first half of it: all is written, nothing published."""
    files.make_folder(place.errors_folder)
    with _telling(place, part.key), PartWriter(place, part) as writer:
        work(part, writer)
        return writer


def publish_part(writer: PartWriter) -> Receipt:
    """The second."""
    with _telling(writer.place, writer.key), writer:
        return writer.commit()


@contextmanager
def _telling(place: Place, key: str) -> Iterator[None]:
    try:
        yield
    except files.InputError as error:
        files.publish_bytes(place.error_path(key), str(error).encode())
        raise
    except OSError as error:
        if error.errno in files.DISK_ERRORS and files.is_local(place.work_folder):
            Path(place.disk_error_path(error.errno)).touch()
        raise
