"""Manifest of a folder of token shards: the splits, their shards, and each shard's size and sha256.

The manifest is written last, so a folder with one is complete. No shard is mapped before it is verified against it.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tokenizer.errors import FormatError
from tokenizer.shard_format import SHARD_FORMAT, SHARD_VERSION
from tokenizer.shard_reader import Shard

MANIFEST_JSON = "manifest.json"


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """A shard in the manifest; `sha256` (hex) is of its file."""

    name: str
    documents: int
    tokens: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SplitEntry:
    """A split in the manifest: its shards in order, and their sums. `text_bytes` is the text's UTF-8 size, for bits per byte."""

    documents: int
    tokens: int
    text_bytes: int
    shards: tuple[ShardEntry, ...]


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
            body = json.loads(path.read_bytes())
            _check_own_sha256(body)
            manifest = cls._parse(str(folder), body["dataset"])
        except FileNotFoundError as error:
            raise FormatError(f"{folder}: no {MANIFEST_JSON} there: not a finished folder of token shards") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
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
        """Check the sha256 of each shard of the splits (default: all). Raises FormatError that names the first mismatch."""
        for name in splits or self.splits:
            for entry in self.split(name).shards:
                sha256 = sha256_of(Path(self.folder, entry.name))
                if sha256 != entry.sha256:
                    raise FormatError(
                        f"{self.folder}/{entry.name}: damaged (sha256 {sha256}, not {entry.sha256}); write the folder again"
                    )

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
    def _parse(cls, folder: str, section: dict[str, Any]) -> Self:
        section = dict(section)
        sha256 = section.pop("sha256")
        if sha256 != _section_sha256(section):
            raise ValueError("its dataset section does not match its own sha256")
        if (section.pop("format"), section.pop("version")) != (SHARD_FORMAT, SHARD_VERSION):
            raise ValueError(f"this program reads {SHARD_FORMAT} version {SHARD_VERSION}")
        splits = {
            name: SplitEntry(**{**split, "shards": tuple(ShardEntry(**entry) for entry in split["shards"])})
            for name, split in section.pop("splits").items()
        }
        return cls(folder, splits=splits, **section)

    def _check_size(self, entry: ShardEntry) -> None:
        path = Path(self.folder, entry.name)
        if path.name != entry.name or not path.is_file():
            raise FormatError(f"{path}: missing, but the manifest names it; write the folder again")
        if path.stat().st_size != entry.bytes:
            raise FormatError(
                f"{path}: has {path.stat().st_size} bytes, but the manifest says {entry.bytes}; write the folder again"
            )

    def _check_header(self, shard: Shard, entry: ShardEntry) -> None:
        header = shard.header
        actual = (header.tokenizer_sha256, header.vocab_size, header.eot_id, header.documents, header.tokens)
        if actual != (self.tokenizer_sha256, self.vocab_size, self.eot_id, entry.documents, entry.tokens):
            raise FormatError(f"{shard.path}: its header {header} is not of this dataset; write the folder again")


def _check_own_sha256(body: dict[str, Any]) -> None:
    """Raise ValueError unless the manifest matches its own sha256, which only a pipeline's manifest carries."""
    sha256 = body.pop("sha256", None)
    rest = json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if sha256 not in (None, hashlib.sha256(rest.encode()).hexdigest()):
        raise ValueError("it does not match its own sha256")


def _section_sha256(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
