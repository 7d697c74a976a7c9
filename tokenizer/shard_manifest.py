"""Manifest of a folder of token shards: the splits, their shards, and each shard's size and sha256.

The manifest is written last, so a folder with one is complete. No shard is mapped before it is verified against it.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec

from tokenizer.errors import FormatError
from tokenizer.shard_format import SHARD_FORMAT, SHARD_VERSION
from tokenizer.shard_reader import Shard
from tokenizer.typed_json import Count, LargeCount, Sha256, check_own_sha256, decode
from tokenizer.untrusted import check_file, plain_name, read_file

MANIFEST_JSON = "manifest.json"
_VERIFIED: set[tuple[object, ...]] = set()
"""Shards that this process has verified: path, entry, and the state of the file."""


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """A shard in the manifest; `sha256` (hex) is of its file."""

    name: str
    documents: Count
    tokens: LargeCount
    bytes: LargeCount
    sha256: Sha256

    def __post_init__(self) -> None:
        """Raise ValueError for a name that leads out of the folder."""
        plain_name(self.name)


@dataclass(frozen=True, slots=True)
class SplitEntry:
    """A split in the manifest: its shards in order, and their sums. `text_bytes` is the text's UTF-8 size, for bits per byte."""

    documents: Count
    tokens: LargeCount
    text_bytes: LargeCount
    shards: tuple[ShardEntry, ...]

    def check(self, name: str) -> None:
        """Raise ValueError unless the sums are those of the shards, and the shards can hold their tokens."""
        for field_name in ("documents", "tokens"):
            total = sum(getattr(entry, field_name) for entry in self.shards)
            if total != getattr(self, field_name):
                raise ValueError(f"{name}.{field_name} is {getattr(self, field_name)}: its shards have {total}")
        for entry in self.shards:
            if entry.bytes < 2 * entry.tokens + 16 * entry.documents:
                raise ValueError(f"{name}: {entry.name}: {entry.bytes} bytes cannot hold {entry.tokens} tokens")


def sha256_of(path: str | Path) -> str:
    """sha256 (hex) of a local file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Manifest:
    """Contents of a folder of token shards: the `dataset` section of its manifest.json.

    `unigram_entropy_nats` maps a split to the mean of -log(p) over its tokens, where p is a token's frequency in the training
    split with one added to each count. A model that knows only how common each token is has this loss.
    """

    folder: str
    tokenizer_sha256: str
    vocab_size: int
    eot_id: int
    splits: dict[str, SplitEntry]
    unigram_entropy_nats: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        splits = ", ".join(
            f"{name} {split.documents:,} documents, {split.tokens:,} tokens" for name, split in self.splits.items()
        )
        return f"<Manifest {self.folder}: {splits}; vocabulary {self.vocab_size:,}>"

    def section(self) -> dict[str, Any]:
        """The `dataset` section, with its own sha256 in it."""
        body = asdict(self)
        del body["folder"]
        body = json.loads(json.dumps({"format": SHARD_FORMAT, "version": SHARD_VERSION, **body}))
        return {**body, "sha256": _section_sha256(body)}

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The manifest of a folder. Checks that every shard exists and has its size; `verify` and `open` check the contents.

        Raises FormatError that names what is missing or damaged.
        """
        path = Path(folder, MANIFEST_JSON)
        try:
            check_file(folder, MANIFEST_JSON)
            content = read_file(path)
            check_own_sha256(content)
            manifest = cls._parse(str(folder), bytes(decode(content, _ManifestFile).dataset))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FormatError(f"{folder}: no {MANIFEST_JSON} there: not a finished folder of token shards") from error
        except ValueError as error:
            raise FormatError(f"{path}: not a manifest of token shards ({error}); write the folder again") from error
        for split in manifest.splits.values():
            for entry in split.shards:
                manifest._check_size(entry)
        return manifest

    def save(self) -> None:
        """Write manifest.json, whole or not at all, into a folder that no pipeline manages. Write the shards first."""
        path = Path(self.folder, MANIFEST_JSON)
        aside = path.with_name(f".manifest.{os.getpid()}.aside")
        with aside.open("wb") as file:
            file.write(json.dumps({"dataset": self.section()}, sort_keys=True, separators=(",", ":")).encode())
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)

    @property
    def sha256(self) -> str:
        """Fingerprint of tokens, order and splits, which checkpoints store: the sha256 (hex) of the dataset section."""
        return str(self.section()["sha256"])

    def verify(self, *splits: str) -> None:
        """Check the sha256 of each shard of the splits (default: all), then its header and every token.

        A shard that this process has checked is not read again while it stays as it is. Raises FormatError that names the first
        mismatch.
        """
        for name in splits or self.splits:
            for entry in self.split(name).shards:
                path = Path(self.folder, entry.name)
                state = path.stat()
                key = (str(path), entry, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
                if key not in _VERIFIED:
                    self._verify_shard(entry)
                    _VERIFIED.add(key)

    def _verify_shard(self, entry: ShardEntry) -> None:
        path = Path(self.folder, entry.name)
        sha256 = sha256_of(path)
        if sha256 != entry.sha256:
            raise FormatError(f"{path}: damaged (sha256 {sha256}, not {entry.sha256}); write the folder again")
        shard = Shard(path)
        self._check_header(shard, entry)
        shard.check_tokens()

    def open(self, split: str, *, verify: bool = True) -> list[Shard]:
        """The mapped shards of a split. `verify=False` is for a caller that has already verified these very files."""
        if verify:
            self.verify(split)
        shards = [Shard(Path(self.folder, entry.name)) for entry in self.split(split).shards]
        for shard, entry in zip(shards, self.split(split).shards, strict=True):
            self._check_header(shard, entry)
        return shards

    def split(self, name: str) -> SplitEntry:
        """A split by name. Raises FormatError that lists the splits of the folder."""
        if name not in self.splits:
            raise FormatError(f"{self.folder}: no split '{name}'; it has {', '.join(self.splits)}")
        return self.splits[name]

    @classmethod
    def _parse(cls, folder: str, section: bytes) -> Self:
        dataset = decode(section, _Section)
        if dataset.sha256 != _section_sha256({k: v for k, v in json.loads(section).items() if k != "sha256"}):
            raise ValueError("its dataset section does not match its own sha256")
        if (dataset.format, dataset.version) != (SHARD_FORMAT, SHARD_VERSION):
            raise ValueError(f"this program reads {SHARD_FORMAT} version {SHARD_VERSION}")
        if dataset.eot_id >= dataset.vocab_size:
            raise ValueError(f"dataset.eot_id is {dataset.eot_id}: not below vocab_size {dataset.vocab_size}")
        for name, split in dataset.splits.items():
            split.check(f"dataset.splits.{name}")
        values = (dataset.tokenizer_sha256, dataset.vocab_size, dataset.eot_id, dataset.splits, dataset.unigram_entropy_nats)
        return cls(folder, *values)

    def _check_size(self, entry: ShardEntry) -> None:
        path = Path(self.folder, entry.name)
        try:
            found = check_file(self.folder, entry.name)
        except ValueError as error:
            raise FormatError(f"{path}: {error}; write the folder again") from error
        if found is None:
            raise FormatError(f"{path}: missing, but the manifest names it; write the folder again")
        if found.st_size != entry.bytes:
            raise FormatError(f"{path}: has {found.st_size} bytes, but the manifest says {entry.bytes}; write the folder again")

    def _check_header(self, shard: Shard, entry: ShardEntry) -> None:
        header = shard.header
        actual = (header.tokenizer_sha256, header.vocab_size, header.eot_id, header.documents, header.tokens)
        if actual != (self.tokenizer_sha256, self.vocab_size, self.eot_id, entry.documents, entry.tokens):
            raise FormatError(f"{shard.path}: its header {header} is not of this dataset; write the folder again")


class _Section(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of the `dataset` section."""

    format: str
    version: int
    tokenizer_sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{0,64}$")]
    vocab_size: Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]
    eot_id: Annotated[int, msgspec.Meta(ge=0, lt=1 << 16)]
    splits: dict[str, SplitEntry]
    unigram_entropy_nats: dict[str, Annotated[float, msgspec.Meta(ge=0, le=1000)]]
    sha256: Sha256


def read_section(section: bytes) -> dict[str, Any]:
    """The `dataset` section of a manifest as a dict. Raises ValueError unless each field has its type and range."""
    decode(section, _Section)
    body: dict[str, Any] = json.loads(section)
    return body


class _ManifestFile(msgspec.Struct):
    """The part of a manifest.json that describes token shards; a pipeline's manifest has more."""

    dataset: msgspec.Raw


def _section_sha256(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
