"""Parts of a stage's work, the folder of a phase, and receipts: exactly once out of at-least-once.

A part reads its inputs, publishes its files, then its receipt. A part whose receipt exists is never worked again, on a retry,
after a crash or by another worker. A part without a receipt is worked anew and gives the same bytes under the same names.
Receipts hold the books.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from pipeline.storage import files
from pipeline.storage.manifest import Books, FileEntry, Input
from tokenizer.typed_json import decode
from tokenizer.untrusted import MAX_JSON_BYTES

W = TypeVar("W")
W_co = TypeVar("W_co", covariant=True)
WORK_FOLDER = ".work"
RECEIPT_SUFFIX = ".receipt.json"
RECEIPTS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Part(Generic[W_co]):
    """A unit of a stage's work.

    `key` is unique in its phase and names the part's files; `work` says what to do; `items` is its size, for the progress line.
    """

    key: str
    work: W_co
    items: int = 1


def numbered(works: Iterable[W], items: Callable[[W], int] = lambda _: 1) -> list[Part[W]]:
    """Parts with the keys 00000-of-00003 … in the given order."""
    works = list(works)
    return [Part(f"{i:05d}-of-{len(works):05d}", work, items(work)) for i, work in enumerate(works)]


@dataclass(frozen=True, slots=True)
class PhaseFolder:
    """Where a phase of a stage writes. `fingerprint` is the hash of the stage's settings and inputs: it guards every receipt."""

    stage: str
    folder: str
    name: str
    fingerprint: str

    @classmethod
    def first(cls, stage: str, folder: str, settings: dict[str, Any], inputs: dict[str, Input]) -> "PhaseFolder":
        """The folder of a stage's phase `main`; `.sibling(name)` gives the others."""
        key = {"stage": stage, "settings": settings, "inputs": {name: i.sha256 for name, i in inputs.items()}}
        return cls(stage, folder, "main", hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest())

    def sibling(self, name: str) -> "PhaseFolder":
        """The folder of another phase of this stage."""
        return PhaseFolder(self.stage, self.folder, name, self.fingerprint)

    @property
    def work_folder(self) -> str:
        """Receipts, progress, spills: removed when the stage is done."""
        return files.join(self.folder, WORK_FOLDER, self.fingerprint[:16], self.name)

    def receipt_path(self, key: str) -> str:
        """Path of the receipt of the part `key`."""
        return files.join(self.work_folder, f"{key}{RECEIPT_SUFFIX}")

    def progress_path(self, key: str) -> str:
        """Path of a file with the number of items that the part `key` has finished."""
        return files.join(self.work_folder, f"{key}.progress")

    def attempt_path(self, key: str) -> str:
        """Path of an empty file that the first attempt at the part `key` creates."""
        return files.join(self.work_folder, f"{key}.attempt")

    @property
    def errors_folder(self) -> str:
        """Errors that ended parts, in their own folder: it is listed before each part, since listing a million receipts is slow."""
        return files.join(self.work_folder, "errors")

    def error_path(self, key: str) -> str:
        """Path of a file with the one line of the InputError that ended the part `key`."""
        return files.join(self.errors_folder, f"{key}.error")

    def outage_path(self, key: str) -> str:
        """Path of a file with the one line of the OutageError that ended the part `key`."""
        return files.join(self.errors_folder, f"{key}.outage")

    def disk_error_path(self, number: int) -> str:
        """Path of an empty file whose name is the errno of a part's disk: a full disk has no room for content."""
        return files.join(self.errors_folder, f"{number}.disk")

    def has_errors(self) -> bool:
        """Whether an error ended a part. One listing: it is asked before each part."""
        return bool(files.listing(self.errors_folder))

    def disk_errors(self) -> list[int]:
        """The errnos of disks that ended parts."""
        if not files.is_local(self.work_folder):
            return []
        return sorted(int(Path(path).stem) for path in files.listing(self.errors_folder) if path.endswith(".disk"))

    def input_errors(self) -> list[str]:
        """The lines of the InputErrors that ended parts, in the order of the parts' keys."""
        return self._error_lines(".error")

    def outages(self) -> list[str]:
        """The lines of the OutageErrors that ended parts, in the order of the parts' keys."""
        return self._error_lines(".outage")

    def _error_lines(self, suffix: str) -> list[str]:
        return [files.read_bytes(path).decode() for path in files.listing(self.errors_folder) if path.endswith(suffix)]

    def create(self) -> None:
        """Make the folders, and remove the errors of an earlier run."""
        files.make_folder(self.errors_folder)
        files.remove_all(files.listing(self.errors_folder))


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a finished part published, and its books. `timings` are counts by a clock: they reach run.json, never the manifest."""

    key: str
    items: int
    files: tuple[FileEntry, ...]
    books: Books
    counters: dict[str, int] = field(default_factory=dict)
    timings: dict[str, int] = field(default_factory=dict)

    def save(self, phase: PhaseFolder) -> "Receipt":
        """Publish the receipt: the part is done. Returns the receipt that counts.

        On a disk it is not synced: its files were synced before, and a receipt that is lost in a power cut costs one part. In an
        object store the first receipt of a part counts. An engine may run a part twice at once: the other's files are removed.
        """
        data, path = json.dumps(asdict(self), sort_keys=True).encode(), phase.receipt_path(self.key)
        if files.is_local(path):
            files.publish(path, lambda file: file.write(data), kept=False)
            return self
        if files.create_new(path, data):
            return self
        first = Receipt.load(phase, self.key)
        superfluous = {entry.name for entry in self.files} - {entry.name for entry in first.files}
        files.remove_all([files.join(phase.folder, name) for name in sorted(superfluous)])
        return first

    @classmethod
    def load(cls, phase: PhaseFolder, key: str) -> Self:
        """The receipt of a finished part. Raises ValueError for an incomplete one."""
        return decode(files.read_bytes(phase.receipt_path(key), MAX_JSON_BYTES), cls)

    def path(self, phase: PhaseFolder, kind: str) -> str:
        """Path of the part's only file of `kind`."""
        (entry,) = (e for e in self.files if e.kind == kind)
        return files.join(phase.folder, entry.name)


def is_done(phase: PhaseFolder, key: str) -> bool:
    """Whether a part has a receipt and all its spills. Neither is synced, so a power cut may leave them empty."""
    if not files.exists(phase.receipt_path(key)):
        return False
    if not files.is_local(phase.folder):
        return True
    try:
        receipt = Receipt.load(phase, key)
    except ValueError:  # an incomplete receipt
        return False
    spills = [entry for entry in receipt.files if is_spill(entry.name)]
    return all(files.exists(path := files.join(phase.folder, spill.name)) and files.size(path) == spill.bytes for spill in spills)


def done_keys(phase: PhaseFolder, keys: Iterable[str]) -> set[str]:
    """The keys of the parts that are done. In an object store, one listing tells: a look-up each takes hours for 9,000 parts."""
    if files.is_local(phase.folder):
        return {key for key in keys if is_done(phase, key)}
    return published_keys(phase).intersection(keys)


def published_keys(phase: PhaseFolder) -> set[str]:
    """The keys of all receipts of a phase, whole or not."""
    names = map(files.base_name, files.listing(phase.work_folder))
    return {name.removesuffix(RECEIPT_SUFFIX) for name in names if name.endswith(RECEIPT_SUFFIX)}


def load_receipts(phase: PhaseFolder, keys: Iterable[str]) -> list[Receipt]:
    """The receipts of finished parts, in the order of the keys; several at a time from an object store, whose answers take long."""
    keys = list(keys)
    if files.is_local(phase.folder) or len(keys) < 2:
        return [Receipt.load(phase, key) for key in keys]
    with ThreadPoolExecutor(RECEIPTS_AT_ONCE) as pool:
        return list(pool.map(partial(Receipt.load, phase), keys))


def is_spill(name: str) -> bool:
    """Whether a stage-relative file name lies in the work folder."""
    return name.startswith(WORK_FOLDER)
