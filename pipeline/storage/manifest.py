"""The manifest of a stage: its output files, inputs, settings and books. It is written last, and readers trust nothing else.

It holds no time and no versions, so that equal inputs and settings give equal bytes. run.json beside it holds those.
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
from tokenizer.errors import InputError

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
        """Raise ValueError for a name that leads out of the folder: folders may come from others."""
        if ".." in self.name.split("/") or self.name.startswith("/"):
            raise ValueError(f"the file name {self.name!r} leads out of its folder")


@dataclass(frozen=True, slots=True)
class Books:
    """Counts of a stage's items: in = out + dropped. `dropped` maps reasons to counts."""

    items_in: int = 0
    items_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def check(self, what: str) -> None:
        """Raise RuntimeError if the books do not balance, since an item was lost or counted twice. `what` names their owner."""
        gone = sum(self.dropped.values())
        if self.items_in != self.items_out + gone:
            raise RuntimeError(f"{what}: books do not balance: {self.items_in} in, {self.items_out} out, {gone} dropped")

    @classmethod
    def total(cls, parts: Iterable["Books"]) -> "Books":
        """The sum of several books."""
        parts = list(parts)
        dropped: Counter[str] = Counter()
        for books in parts:
            dropped.update(books.dropped)
        return cls(sum(b.items_in for b in parts), sum(b.items_out for b in parts), dict(sorted(dropped.items())))


@dataclass(frozen=True, slots=True)
class Input:
    """An input of a stage: `path` relative to the stage's folder, for tracing; `sha256` of its manifest or of the file."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class StageManifest:
    """The content of manifest.json. `dataset` is the section that the trainer reads; only the stage `tokens` has one."""

    stage: str
    settings: dict[str, Any]
    inputs: dict[str, Input]
    files: tuple[FileEntry, ...]
    books: Books
    counters: dict[str, int] = field(default_factory=dict)
    dataset: dict[str, Any] | None = None
    format_version: int = FORMAT_VERSION

    def to_bytes(self) -> bytes:
        """Canonical JSON that includes its own sha256, so that a flipped bit is noticed."""
        return _canonical({**asdict(self), "sha256": self.sha256})

    @property
    def sha256(self) -> str:
        """Hash of the canonical JSON without this field; the next stage records it as its input's fingerprint."""
        return hashlib.sha256(_canonical(asdict(self))).hexdigest()

    def of_kind(self, kind: str) -> list[FileEntry]:
        """The files of one kind, sorted by name."""
        return [entry for entry in self.files if entry.kind == kind]

    def save(self, folder: str) -> None:
        """Publish the manifest as the folder's manifest.json."""
        files.publish_bytes(files.join(folder, NAME), self.to_bytes())

    @classmethod
    def load(cls, folder: str) -> Self:
        """The manifest of a folder. Raises InputError if it is missing or damaged."""
        path = files.join(folder, NAME)
        if not files.exists(path):
            raise InputError(f"{folder}: no {NAME}: the stage that fills this folder has not finished; run it first")
        try:
            return cls.parse(files.read_bytes(path))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{path}: not a manifest of this program ({error}); remove the folder and run its stage again"
            ) from error

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """The manifest in a file's content. Raises ValueError, KeyError, TypeError or AttributeError for anything else."""
        data = json.loads(content)
        if data["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format_version {data['format_version']}, this program reads {FORMAT_VERSION}")
        sha256 = data.pop("sha256", None)  # manifests of early versions have none
        manifest = cls(
            **{
                **data,
                "inputs": {name: Input(**value) for name, value in data["inputs"].items()},
                "files": tuple(FileEntry(**entry) for entry in data["files"]),
                "books": Books(**data["books"]),
            }
        )
        if sha256 is not None and content != manifest.to_bytes():
            raise ValueError("it does not match its own sha256")
        return manifest


def _canonical(body: dict[str, Any]) -> bytes:
    return (json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def load_stage(folder: str, *stages: str) -> StageManifest:
    """The manifest of a folder. Raises InputError unless it is the output of one of `stages`."""
    manifest = StageManifest.load(folder)
    if manifest.stage not in stages:
        raise InputError(f"{folder}: holds the output of stage '{manifest.stage}', needed: {' or '.join(stages)}")
    return manifest


def stage_input(folder: str, seen_from: str) -> Input:
    """The folder of a finished stage as an input of the stage in the folder `seen_from`."""
    return Input(_relative(folder, seen_from), StageManifest.load(folder).sha256)


def file_input(path: str) -> Input:
    """A user's file as an input. Only its name and content count, so the file may move. Raises InputError if it is missing."""
    if not files.exists(path):
        raise InputError(f"{path}: no such file")
    return Input(files.base_name(path), files.fingerprint(path))


def resolve(folder: str, entry: Input) -> str:
    """The present path of an input that the manifest of `folder` names."""
    if not files.is_local(entry.path) or Path(entry.path).is_absolute():
        return entry.path
    root, below = _split_root(folder)
    return root + os.path.normpath(Path(below, entry.path))


def _relative(folder: str, seen_from: str) -> str:
    (root, below), (here, path) = _split_root(folder), _split_root(seen_from)
    return Path(os.path.relpath(below, path)).as_posix() if root == here else folder


def _split_root(folder: str) -> tuple[str, str]:
    """The root and the path below it: `s3://bucket/` and `a/b`, or an empty root and the whole path of a local folder."""
    if files.is_local(folder):
        return "", folder
    scheme, _, rest = folder.partition("://")
    bucket, _, below = rest.partition("/")
    return f"{scheme}://{bucket}/", below
