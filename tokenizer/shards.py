"""Token shards: the files that the pipeline writes and a trainer maps (docs/formats.md).

A shard is an uncompressed Arrow IPC file, one row a document: its tokens, the last of which is the end of text, and its id. Its record
batches are of a bounded size and each carries a checksum; its schema says which tokenizer made it. Size and sha256 of each shard stand in
the dataset's manifest, written last. Nothing is mapped before it is verified: a flipped bit in an unverified file can end a process.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer.errors import FormatError
from tokenizer.token_ids import DocumentOffsets, TokenIds

SHARD_FORMAT = "webtext-tokens"
SHARD_VERSION = 1
BATCH_TOKENS = 1 << 25
"""About so many tokens a record batch, by default: 64 MiB."""

TOKENS_TYPE = pa.large_list(pa.field("item", pa.uint16(), nullable=False))
SHARD_COLUMNS = (pa.field("tokens", TOKENS_TYPE, nullable=False), pa.field("document_id", pa.binary(16), nullable=False))


@dataclass(frozen=True, slots=True)
class Header:
    """What a shard says of itself in its schema's metadata."""

    split: str
    shard: int
    shards: int
    documents: int
    tokens: int
    tokenizer_sha256: str
    vocab_size: int
    eot_id: int
    format: str = SHARD_FORMAT
    version: int = SHARD_VERSION

    def schema(self) -> pa.Schema:
        """The shard's Arrow schema."""
        return pa.schema(SHARD_COLUMNS, metadata={name: str(value) for name, value in asdict(self).items()})

    @classmethod
    def of(cls, schema: pa.Schema, path: str) -> Self:
        """Read it back. Raises FormatError where it is not there or of another version."""
        said = {name.decode(): value.decode() for name, value in (schema.metadata or {}).items()}
        if said.get("format") != SHARD_FORMAT or said.get("version") != str(SHARD_VERSION):
            raise FormatError(f"{path}: not a {SHARD_FORMAT} file of version {SHARD_VERSION} (its metadata: {said})")
        if tuple(schema) != SHARD_COLUMNS:
            raise FormatError(f"{path}: its columns are {schema.names}, not tokens and document_id")
        kinds = cls.__annotations__
        return cls(**{name: kinds[name](value) for name, value in said.items() if name in kinds})

    @property
    def name(self) -> str:
        """The shard's file name, `tokens-train-00000-of-00003.arrow`."""
        return f"tokens-{self.split}-{self.shard:05d}-of-{self.shards:05d}.arrow"


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Some whole documents. `tokens` is their flat stream; document i is `tokens[offsets[i]:offsets[i + 1]]`, the end of text its last.

    `document_ids` is uint8 of shape (documents, 16). Arrays of a mapped shard are read-only views of the file: copy to change.
    """

    tokens: TokenIds
    offsets: DocumentOffsets
    document_ids: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def checksum(self) -> int:
        """CRC-32 of tokens, offsets and ids, little-endian, one after the other."""
        crc = 0
        for array in (self.tokens, self.offsets, self.document_ids):
            crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
        return crc

    def to_arrow(self, schema: pa.Schema) -> pa.RecordBatch:
        """The record batch; the token buffer is not copied."""
        values = pa.array(np.ascontiguousarray(self.tokens, np.uint16))
        offsets = pa.array(np.ascontiguousarray(self.offsets, np.int64))
        tokens = pa.LargeListArray.from_arrays(offsets, values, type=TOKENS_TYPE)
        raw = pa.py_buffer(np.ascontiguousarray(self.document_ids))
        ids = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(self), [None, raw])
        return pa.record_batch([tokens, ids], schema=schema)

    @classmethod
    def from_arrow(cls, batch: pa.RecordBatch) -> Self:
        """Views of the batch's buffers."""
        tokens, ids = batch.column(0), batch.column(1)
        raw = np.frombuffer(ids.buffers()[1], np.uint8, 16 * len(ids), 16 * ids.offset)
        return cls(tokens.values.to_numpy(), tokens.offsets.to_numpy(), raw.reshape(-1, 16))


class ShardWriter:
    """Writes one shard into `sink`, a batch of whole documents at a time; equal batches give equal bytes.

    The header's counts are a promise: `close` raises ValueError where the batches do not keep it, and so does `write` for a document
    that does not end in the end of text, holds it elsewhere, or holds an id beyond the vocabulary.
    """

    def __init__(self, sink: IO[bytes], header: Header) -> None:
        if header.vocab_size > 1 << 16:
            raise ValueError(f"vocab_size {header.vocab_size}: ids are 16 bits wide, at most 65,536 fit")
        self.header = header
        self._schema = header.schema()
        self._sink = sink
        self._first_body, self._message_bytes = _body_places(self._schema)
        self._writer = pa.ipc.new_file(sink, self._schema)
        self._documents = 0
        self._tokens = 0

    def write(self, batch: TokenBatch) -> None:
        """Append a record batch, its token buffer at a multiple of 64 bytes in the file."""
        if not len(batch):
            return
        self._check(batch)
        body = self._sink.tell() + self._message_bytes if self._documents else self._first_body
        gap = -(body + batch.offsets.nbytes) % 64
        self._writer.write_batch(batch.to_arrow(self._schema), _batch_metadata(batch.checksum, gap))
        self._documents += len(batch)
        self._tokens += len(batch.tokens)

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()
        written = (self._documents, self._tokens)
        if written != (self.header.documents, self.header.tokens):
            promised = f"{self.header.documents} documents, {self.header.tokens} tokens"
            raise ValueError(f"{self.header.name}: promised {promised}, written {written[0]} and {written[1]}")

    def _check(self, batch: TokenBatch) -> None:
        eot, ends = self.header.eot_id, batch.offsets[1:] - 1
        good = (
            batch.offsets[0] == 0
            and batch.offsets[-1] == len(batch.tokens)
            and bool(np.all(np.diff(batch.offsets) > 0))
            and bool(np.all(batch.tokens[ends] == eot))
            and _count(batch.tokens, eot) == len(ends)
            and int(batch.tokens.max()) < self.header.vocab_size
        )
        if not good:
            raise ValueError(
                f"{self.header.name}: a document must hold ids below {self.header.vocab_size} and {eot} once, at its end"
            )


def _count(tokens: TokenIds, wanted: int, size: int = 1 << 18) -> int:
    """How often an id occurs; a stretch at a time, which stays in the processor's cache."""
    return sum(int(np.count_nonzero(tokens[i : i + size] == wanted)) for i in range(0, len(tokens), size))


def _batch_metadata(checksum: int, gap: int) -> dict[bytes, bytes]:
    return {b"crc32": b"%08x" % checksum, b"pad": b" " * gap}


def _body_places(schema: pa.Schema) -> tuple[int, int]:
    """Where the first batch's buffers begin in a file of this schema, and the bytes of a batch's message before its buffers."""
    one = TokenBatch(np.zeros(4, np.uint16), np.array([0, 4]), np.zeros((1, 16), np.uint8)).to_arrow(schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(one, _batch_metadata(0, 0))
        writer.write_batch(one, _batch_metadata(0, 0))
    buffer = sink.getvalue()
    reader = pa.ipc.open_file(buffer)
    first, second = (reader.get_batch(i).column(0).buffers()[1].address - buffer.address for i in range(2))
    body_bytes = 16 + 8 + 16
    return first, second - first - body_bytes


class Shard:
    """A mapped shard. `batches` are zero-copy views, made once at opening, so that reading costs no call into Arrow."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        try:
            self._reader = pa.ipc.open_file(pa.memory_map(self.path))
            self.header = Header.of(self._reader.schema, self.path)
            self.batches = [TokenBatch.from_arrow(self._reader.get_batch(i)) for i in range(self._reader.num_record_batches)]
        except FormatError:
            raise
        except (pa.ArrowException, OSError, TypeError, ValueError) as error:
            raise FormatError(f"{self.path}: cannot be mapped as a shard ({error}); write it anew") from error
        found = (sum(len(b) for b in self.batches), sum(len(b.tokens) for b in self.batches))
        if found != (self.header.documents, self.header.tokens):
            raise FormatError(
                f"{self.path}: holds {found[0]} documents and {found[1]} tokens, its header says otherwise; write it anew"
            )

    def verify_batches(self) -> None:
        """Check each record batch against its own checksum. Raises FormatError naming the first that fails."""
        for position, batch in enumerate(self.batches):
            said = self._reader.get_batch_with_custom_metadata(position).custom_metadata
            if said is None or said.get(b"crc32") != b"%08x" % batch.checksum:
                raise FormatError(f"{self.path}: record batch {position} does not match its checksum; write the shard anew")

    def documents(self) -> Iterator[tuple[bytes, TokenIds]]:
        """Id and tokens (with the end of text) of every document, in order."""
        for batch in self.batches:
            for i in range(len(batch)):
                yield batch.document_ids[i].tobytes(), batch.tokens[batch.offsets[i] : batch.offsets[i + 1]]


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """A shard as the manifest names it; sha256 (hex) is of the file."""

    name: str
    documents: int
    tokens: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SplitEntry:
    """A split's shards in order, and its sums. `text_bytes` are the documents' UTF-8 bytes, for bits per byte."""

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
    """What a folder of token shards holds: the `dataset` section of its manifest.json.

    `unigram_entropy_nats` is, by split, the mean of -log(p) over the split's tokens, p being the training split's token frequencies with
    one added to each count: what a model scores that knows only how common each token is.
    """

    folder: str
    tokenizer_sha256: str
    vocab_size: int
    eot_id: int
    splits: dict[str, SplitEntry]
    unigram_entropy_nats: dict[str, float] = field(default_factory=dict)

    def section(self) -> dict[str, Any]:
        """The `dataset` section; its own sha256 stands in it."""
        body = asdict(self)
        del body["folder"]
        body = json.loads(json.dumps({"format": SHARD_FORMAT, "version": SHARD_VERSION, **body}))
        return {**body, "sha256": _section_sha256(body)}

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The manifest of a folder, with every shard there and of the right size; contents are checked by `verify` or `open`.

        Raises FormatError that names what is missing or damaged.
        """
        path = Path(folder, "manifest.json")
        try:
            body = json.loads(path.read_bytes())
            _check_own_sha256(body)
            manifest = cls._parse(str(folder), body["dataset"])
        except FileNotFoundError as error:
            raise FormatError(f"{folder}: no manifest.json there: not a finished folder of token shards") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise FormatError(f"{path}: not a manifest of token shards ({error}); write the folder anew") from error
        for split in manifest.splits.values():
            for entry in split.shards:
                manifest._check_size(entry)
        return manifest

    def save(self) -> None:
        """Write manifest.json of a folder that no pipeline manages, whole or not at all; the shards must stand there already."""
        path = Path(self.folder, "manifest.json")
        aside = path.with_name(f".manifest.{os.getpid()}.aside")
        with aside.open("wb") as file:
            file.write(json.dumps({"dataset": self.section()}, sort_keys=True, separators=(",", ":")).encode())
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)

    @property
    def sha256(self) -> str:
        """Of the dataset section: the fingerprint of tokens, order and splits, for checkpoints to remember."""
        return str(self.section()["sha256"])

    def verify(self, *splits: str) -> None:
        """Read the shards of the splits (all, by default) once and compare hashes. Raises FormatError naming the first that differs."""
        for name in splits or self.splits:
            for entry in self.split(name).shards:
                found = sha256_of(Path(self.folder, entry.name))
                if found != entry.sha256:
                    raise FormatError(
                        f"{self.folder}/{entry.name}: damaged (sha256 {found}, not {entry.sha256}); write the folder anew"
                    )

    def open(self, split: str, *, verify: bool = True) -> list[Shard]:
        """Map the shards of a split, after `verify` unless the caller vouches that it has been done on these very files."""
        if verify:
            self.verify(split)
        shards = [Shard(Path(self.folder, entry.name)) for entry in self.split(split).shards]
        for shard, entry in zip(shards, self.split(split).shards, strict=True):
            self._check_header(shard, entry)
        return shards

    def split(self, name: str) -> SplitEntry:
        """A split by name. Raises FormatError that names those there are."""
        if name not in self.splits:
            raise FormatError(f"{self.folder}: no split '{name}'; it has {', '.join(self.splits)}")
        return self.splits[name]

    @classmethod
    def _parse(cls, folder: str, section: dict[str, Any]) -> Self:
        section = dict(section)
        said = section.pop("sha256")
        if said != _section_sha256(section):
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
            raise FormatError(f"{path}: missing; the manifest names it: write the folder anew")
        if path.stat().st_size != entry.bytes:
            raise FormatError(f"{path}: {path.stat().st_size} bytes, the manifest says {entry.bytes}; write the folder anew")

    def _check_header(self, shard: Shard, entry: ShardEntry) -> None:
        header = shard.header
        found = (header.tokenizer_sha256, header.vocab_size, header.eot_id, header.documents, header.tokens)
        if found != (self.tokenizer_sha256, self.vocab_size, self.eot_id, entry.documents, entry.tokens):
            raise FormatError(f"{shard.path}: its header {header} is not of this dataset; write the folder anew")


def _check_own_sha256(body: dict[str, Any]) -> None:
    """A manifest that a pipeline wrote carries the sha256 of all else in it."""
    said = body.pop("sha256", None)
    rest = json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if said not in (None, hashlib.sha256(rest.encode()).hexdigest()):
        raise ValueError("it does not match its own sha256")


def _section_sha256(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
