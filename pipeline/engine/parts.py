"""A stage's work, a part at a time: exactly once out of at-least-once.

A part reads what it is told, publishes its files, and last its receipt. A receipt that stands is never worked again, on a retry, after a
crash or on another worker; a part without one is worked anew and gives the same bytes under the same names. Books are kept in receipts.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from pipeline.storage import files
from pipeline.storage.manifest import Books, FileEntry, Input

T = TypeVar("T")
WORK_FOLDER = ".work"


@dataclass(frozen=True, slots=True)
class Part:
    """A unit of a stage's work. `key` is unique in its phase and names its files; `items` is its size, for the progress line."""

    key: str
    work: Any
    items: int = 1


def numbered(works: Iterable[T], items: Callable[[T], int] = lambda _: 1) -> list[Part]:
    """Parts with the keys 00000-of-00003 … in the order given."""
    works = list(works)
    return [Part(f"{i:05d}-of-{len(works):05d}", work, items(work)) for i, work in enumerate(works)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a phase of a stage writes, and under which settings and inputs: their hash guards every receipt."""

    stage: str
    folder: str
    phase: str
    fingerprint: str

    @classmethod
    def of(cls, stage: str, folder: str, settings: dict[str, Any], inputs: dict[str, Input]) -> "Place":
        """The first place of a stage; `.next(phase)` gives the others."""
        key = {"stage": stage, "settings": settings, "inputs": {name: i.sha256 for name, i in inputs.items()}}
        return cls(stage, folder, "main", hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest())

    def next(self, phase: str) -> "Place":
        """The same stage's place of another phase."""
        return Place(self.stage, self.folder, phase, self.fingerprint)

    @property
    def work_folder(self) -> str:
        """Receipts, progress, spills: removed when the stage is done."""
        return files.join(self.folder, WORK_FOLDER, self.fingerprint[:16], self.phase)

    def receipt_path(self, key: str) -> str:
        """Of the part `key`."""
        return files.join(self.work_folder, f"{key}.receipt.json")

    def progress_path(self, key: str) -> str:
        """Of the part `key`: its items so far, a plain number."""
        return files.join(self.work_folder, f"{key}.progress")

    @property
    def errors_folder(self) -> str:
        """What ended parts, in a folder of its own: it is looked at before each part, and among a million receipts that would take long."""
        return files.join(self.work_folder, "errors")

    def error_path(self, key: str) -> str:
        """Of the part `key`: the one line of an InputError that ended it."""
        return files.join(self.errors_folder, f"{key}.error")

    def disk_error_path(self, number: int) -> str:
        """An empty file whose name tells the errno of a part's disk: a full one has no room for more."""
        return files.join(self.errors_folder, f"{number}.disk")

    def disk_errors(self) -> list[int]:
        """The errnos of disks that ended parts."""
        if not files.is_local(self.work_folder):
            return []
        return sorted(int(path.stem) for path in Path(self.errors_folder).glob("*.disk"))

    def told_errors(self) -> list[str]:
        """The lines of InputErrors that ended parts, by the parts' keys."""
        return [files.read_bytes(path).decode() for path in files.matching(self.error_path("*"))]

    def make(self) -> None:
        """Its folders, and no error of an earlier run in them."""
        files.make_folder(self.errors_folder)
        for path in files.matching(files.join(self.errors_folder, "*")):
            files.remove(path)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a finished part published, and its books. `timings` are counts that a clock made: they reach run.json, never the manifest."""

    key: str
    items: int
    files: tuple[FileEntry, ...]
    books: Books
    counters: dict[str, int] = field(default_factory=dict)
    timings: dict[str, int] = field(default_factory=dict)

    def save(self, place: Place) -> None:
        """Publish it: the part is done. What it tells of was synced before; a receipt that a power cut takes costs its part alone."""
        data = json.dumps(asdict(self), sort_keys=True).encode()
        files.publish(place.receipt_path(self.key), lambda file: file.write(data), kept=False)

    @classmethod
    def load(cls, place: Place, key: str) -> Self:
        """The receipt of a finished part."""
        data = json.loads(files.read_bytes(place.receipt_path(key)))
        return cls(
            data["key"],
            data["items"],
            tuple(FileEntry(**e) for e in data["files"]),
            Books(**data["books"]),
            data["counters"],
            data["timings"],
        )

    def path(self, place: Place, kind: str) -> str:
        """Where its one file of `kind` stands."""
        (entry,) = (e for e in self.files if e.kind == kind)
        return files.join(place.folder, entry.name)


def stands(place: Place, key: str) -> bool:
    """Whether a part is done: its receipt is there, and so are its spills; neither is synced: a power cut may leave them empty."""
    if not files.exists(place.receipt_path(key)):
        return False
    if not files.is_local(place.folder):
        return True
    try:
        receipt = Receipt.load(place, key)
    except ValueError:  # not whole
        return False
    spills = [entry for entry in receipt.files if _is_spill(entry.name)]
    return all(files.exists(path := files.join(place.folder, spill.name)) and files.size(path) == spill.bytes for spill in spills)


def _is_spill(name: str) -> bool:
    return name.startswith(WORK_FOLDER)
