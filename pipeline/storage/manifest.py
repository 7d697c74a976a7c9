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
from typing import Annotated, Any, Self

import msgspec

from pipeline.storage import files, places
from tokenizer.errors import InputError
from tokenizer.shard_manifest import read_section
from tokenizer.typed_json import Count, LargeCount, Sha256, check_own_sha256, decode
from tokenizer.untrusted import MAX_JSON_BYTES, check_file, inner_name

NAME = "manifest.json"
FORMAT_VERSION = 1

Total = Annotated[int, msgspec.Meta(ge=-(1 << 62), le=1 << 62)]
"""A counter: of bytes, tokens or anything else."""
Text = Annotated[str, msgspec.Meta(max_length=1 << 16)]
Scalar = None | bool | int | float | Text
NULL = msgspec.Raw(b"null")
MOST_FILES = 100_000
"""Files that a manifest has room for: an entry takes up to 230 of the MAX_JSON_BYTES that are read."""
SettingValue = Scalar | list[Scalar]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A published file: name relative to the stage's folder, what it holds, rows, bytes, sha256 (hex)."""

    name: str
    kind: Text
    rows: Count
    bytes: LargeCount
    sha256: Sha256

    def __post_init__(self) -> None:
        """Raise ValueError for a name that leads out of the folder: folders may come from others."""
        inner_name(self.name)


@dataclass(frozen=True, slots=True)
class Books:
    """Counts of a stage's items: in = out + dropped. `dropped` maps reasons to counts."""

    items_in: Count = 0
    items_out: Count = 0
    dropped: dict[Text, Count] = field(default_factory=dict)

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

    path: Text
    sha256: Text


@dataclass(frozen=True, slots=True)
class StageManifest:
    """The content of manifest.json. `dataset` is the section that the trainer reads; only the stage `tokens` has one."""

    stage: str
    settings: dict[str, Any]
    inputs: dict[str, Input]
    files: tuple[FileEntry, ...]
    books: Books
    counters: dict[str, Total] = field(default_factory=dict)
    dataset: dict[str, Any] | None = None
    format_version: int = FORMAT_VERSION
    read_sha256: str | None = field(default=None, init=False, compare=False, repr=False)
    """The hash that the file carries and matches. Computing it anew takes more memory than all else: it writes the JSON again."""

    def to_bytes(self) -> bytes:
        """Canonical JSON that includes its own sha256, so that a flipped bit is noticed."""
        return _canonical({**self._body(), "sha256": self.sha256})

    @property
    def sha256(self) -> str:
        """Hash of the canonical JSON without this field; the next stage records it as its input's fingerprint."""
        return self.read_sha256 or hashlib.sha256(_canonical(self._body())).hexdigest()

    def _body(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "read_sha256"}

    def of_kind(self, kind: str) -> list[FileEntry]:
        """The files of one kind, sorted by name."""
        return [entry for entry in self.files if entry.kind == kind]

    def save(self, folder: str) -> None:
        """Publish the manifest as the folder's manifest.json. Raises InputError if it is larger than what is read."""
        data, path = self.to_bytes(), files.join(folder, NAME)
        if len(data) > MAX_JSON_BYTES:
            raise InputError(f"{path}: {len(self.files):,} files make it larger than {MAX_JSON_BYTES:,} bytes; use larger parts")
        files.publish_bytes(path, data)

    @classmethod
    def load(cls, folder: str) -> Self:
        """The manifest of a folder. Raises InputError if it is missing or damaged."""
        path = files.join(folder, NAME)
        try:
            if files.is_local(folder):
                check_file(folder, NAME)  # before it is read: it may be a link to a file of others
            manifest = cls.parse(files.read_bytes(path, MAX_JSON_BYTES))
            if files.is_local(folder):
                manifest._check_files(folder)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(f"{folder}: no {NAME}: the stage that fills this folder has not finished; run it first") from error
        except ValueError as error:
            raise InputError(
                f"{path}: not a manifest of this program ({error}); remove the folder and run its stage again"
            ) from error
        return manifest

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """The manifest in a file's content. Raises ValueError for anything else."""
        own_sha256 = check_own_sha256(content)
        file = decode(content, _ManifestFile)
        if file.format_version != FORMAT_VERSION:
            raise ValueError(f"format_version {file.format_version}, this program reads {FORMAT_VERSION}")
        dataset = None if bytes(file.dataset) == bytes(NULL) else read_section(bytes(file.dataset))
        manifest = cls(file.stage, file.settings, file.inputs, file.files, file.books, file.counters, dataset)
        object.__setattr__(manifest, "read_sha256", own_sha256)  # not by `replace`: a changed manifest has another hash
        return manifest

    def _check_files(self, folder: str) -> None:
        """Raise ValueError unless each file that is there is a regular file of this folder."""
        for name in (entry.name for entry in self.files):
            try:
                check_file(folder, name)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error


class _ManifestFile(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of manifest.json. Manifests of early versions have no sha256."""

    stage: Text
    settings: dict[Text, SettingValue]
    inputs: dict[Text, Input]
    files: tuple[FileEntry, ...]
    books: Books
    format_version: int
    counters: dict[Text, Total] = {}
    dataset: msgspec.Raw = NULL
    sha256: Sha256 = ""


def check_room(folder: str, parts: int, files_per_part: int, more_files: int = 0) -> None:
    """Raise InputError, before a stage's work, where its manifest would not have room for the files of so many parts."""
    most = parts * files_per_part + more_files
    if most > MOST_FILES:
        raise InputError(
            f"{folder}: {parts:,} parts would make up to {most:,} files; a manifest has room for {MOST_FILES:,}; "
            "make several corpora, of some months each, and unite them with webtext join"
        )


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
    return Input(relative_path(folder, seen_from), StageManifest.load(folder).sha256)


def file_input(path: str) -> Input:
    """A user's file as an input. Only its name and content count, so the file may move. Raises InputError if it is missing."""
    if not files.exists(path):
        raise InputError(f"{path}: no such file")
    return Input(files.base_name(path), files.fingerprint(path))


def input_place(folder: str, entry: Input) -> str:
    """The place of an input that the manifest of `folder` names. Raises InputError unless we may read there (`places`)."""
    place = _joined(folder, entry.path)
    if not places.is_allowed(place, folder):
        raise InputError(
            f"{files.join(folder, NAME)}: names an input at {entry.path!r}, which is not beside this folder; if you trust it, "
            f"add {places.FLAG} {place}"
        )
    return place


def input_folder(folder: str, manifest: StageManifest, name: str) -> str:
    """The folder of an earlier stage that the manifest of `folder` names as its input: the only way from manifest to manifest.

    Raises InputError unless it is in an allowed place and still is what the stage has read.
    """
    entry = manifest.inputs.get(name)
    if entry is None:
        raise InputError(f"{files.join(folder, NAME)}: names no input '{name}'; run the stage '{manifest.stage}' again")
    place = input_place(folder, entry)
    if StageManifest.load(place).sha256 != entry.sha256:
        raise InputError(
            f"{place}: not what the stage '{manifest.stage}' in {folder} was made from (its manifest has another sha256); "
            f"run '{manifest.stage}' again"
        )
    return place


def _joined(folder: str, path: str) -> str:
    if not files.is_local(path) or Path(path).is_absolute():
        return path
    root, below = _split_root(folder)
    return root + os.path.normpath(Path(below, path))


def relative_path(folder: str, seen_from: str) -> str:
    """The path of a folder as the manifest in the folder `seen_from` names it; the whole address where they share no root."""
    (root, below), (here, path) = _split_root(folder), _split_root(seen_from)
    return Path(os.path.relpath(below, path)).as_posix() if root == here else folder


def _split_root(folder: str) -> tuple[str, str]:
    """The root and the path below it: `s3://bucket/` and `a/b`, or an empty root and the whole path of a local folder."""
    if files.is_local(folder):
        return "", folder
    scheme, _, rest = folder.partition("://")
    bucket, _, below = rest.partition("/")
    return f"{scheme}://{bucket}/", below
