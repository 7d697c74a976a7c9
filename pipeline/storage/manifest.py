"""A stage's manifest: what it wrote, from what, under which settings, and its books. Written last; the only thing a reader trusts.

It holds no wall clock and no versions, so that equal input and equal settings give equal bytes; those stand in run.json beside it.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from pipeline.storage import files
from pipeline.storage.files import InputError

NAME = "manifest.json"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A published file: name relative to the stage's folder, what it holds, rows, bytes, sha256 (hex)."""

    name: str
    kind: str
    rows: int
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        """Folders come from others: a name that leads out of one is refused."""
        if ".." in self.name.split("/") or self.name.startswith("/"):
            raise ValueError(f"the file name {self.name!r} leads out of its folder")


@dataclass(frozen=True, slots=True)
class Books:
    """in = out + dropped, in items of the stage."""

    items_in: int = 0
    items_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def check(self, what: str) -> None:
        """Raise RuntimeError unless the books balance: an item was lost or doubled."""
        gone = sum(self.dropped.values())
        if self.items_in != self.items_out + gone:
            raise RuntimeError(f"{what}: books do not balance: {self.items_in} in, {self.items_out} out, {gone} dropped")

    @classmethod
    def total(cls, parts: Iterable["Books"]) -> "Books":
        """The sum of many books."""
        parts = list(parts)
        dropped: Counter[str] = Counter()
        for books in parts:
            dropped.update(books.dropped)
        return cls(sum(b.items_in for b in parts), sum(b.items_out for b in parts), dict(sorted(dropped.items())))


@dataclass(frozen=True, slots=True)
class Input:
    """What a stage read: `path` as seen from the stage's folder (for tracing), `sha256` of its manifest or of the file itself."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class StageManifest:
    """See the module."""

    stage: str
    settings: dict[str, Any]
    inputs: dict[str, Input]
    files: tuple[FileEntry, ...]
    books: Books
    counters: dict[str, int] = field(default_factory=dict)
    dataset: dict[str, Any] | None = None
    format_version: int = FORMAT_VERSION

    def to_bytes(self) -> bytes:
        """The file: canonical JSON, its own sha256 among it, so that no flipped bit passes."""
        return _canonical({**asdict(self), "sha256": self.sha256})

    @property
    def sha256(self) -> str:
        """Of the canonical JSON of all but itself: the next stage's input fingerprint."""
        return hashlib.sha256(_canonical(asdict(self))).hexdigest()

    def of_kind(self, kind: str) -> list[FileEntry]:
        """The files of one kind, by name."""
        return [entry for entry in self.files if entry.kind == kind]

    def save(self, folder: str) -> None:
        """Publish it as the folder's manifest.json."""
        files.publish_bytes(files.join(folder, NAME), self.to_bytes())

    @classmethod
    def load(cls, folder: str) -> Self:
        """The folder's manifest. Raises InputError where it is missing or is not one."""
        path = files.join(folder, NAME)
        if not files.exists(path):
            raise InputError(f"{folder}: no {NAME} there: the stage that fills this folder has not finished; run it first")
        try:
            return cls._parse(files.read_bytes(path))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{path}: not a manifest of this program ({error}); remove the folder and run its stage again"
            ) from error

    @classmethod
    def _parse(cls, written: bytes) -> Self:
        data = json.loads(written)
        if data["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format_version {data['format_version']}, this program reads {FORMAT_VERSION}")
        said = data.pop("sha256", None)  # manifests of before it stood there have none
        manifest = cls(
            **{
                **data,
                "inputs": {name: Input(**value) for name, value in data["inputs"].items()},
                "files": tuple(FileEntry(**entry) for entry in data["files"]),
                "books": Books(**data["books"]),
            }
        )
        if said is not None and written != manifest.to_bytes():
            raise ValueError("it does not match its own sha256")
        return manifest


def _canonical(body: dict[str, Any]) -> bytes:
    return (json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def load_stage(folder: str, *stages: str) -> StageManifest:
    """The manifest of a folder that must be the output of one of `stages`. Raises InputError otherwise."""
    manifest = StageManifest.load(folder)
    if manifest.stage not in stages:
        raise InputError(f"{folder}: holds the output of stage '{manifest.stage}', needed: {' or '.join(stages)}")
    return manifest


def stage_input(folder: str, seen_from: str) -> Input:
    """A stage's folder as an input of another stage."""
    return Input(_relative(folder, seen_from), StageManifest.load(folder).sha256)


def file_input(path: str) -> Input:
    """A user's file as an input: only its name and content count, so that it may move. Raises InputError where it is missing."""
    if not files.exists(path):
        raise InputError(f"{path}: no such file")
    return Input(files.base_name(path), files.fingerprint(path))


def resolve(folder: str, entry: Input) -> str:
    """Where an input that `folder`'s manifest names stands today."""
    if not files.is_local(entry.path) or Path(entry.path).is_absolute():
        return entry.path
    root, below = _parted(folder)
    return root + os.path.normpath(Path(below, entry.path))


def _relative(folder: str, seen_from: str) -> str:
    (root, below), (here, path) = _parted(folder), _parted(seen_from)
    return Path(os.path.relpath(below, path)).as_posix() if root == here else folder


def _parted(folder: str) -> tuple[str, str]:
    """`s3://bucket/` and what is below it; of a local folder, nothing and all of it."""
    if files.is_local(folder):
        return "", folder
    scheme, _, rest = folder.partition("://")
    bucket, _, below = rest.partition("/")
    return f"{scheme}://{bucket}/", below
