"""Converts token shards to and from other trainers' formats: nanoGPT's and llm.c's .bin, Megatron's .bin and .idx.

nanoGPT and Megatron end each document with the end of text, as we do; llm.c begins each document with it. None of them stores
document ids: a document that is read back gets the hash of its tokens as its id.
"""

import hashlib
import json
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tokenizer.codec import Tokenizer
from tokenizer.errors import FormatError, InputError
from tokenizer.formats import FILES
from tokenizer.outputs import check_folder, written_aside
from tokenizer.shard_manifest import MANIFEST_JSON
from tokenizer.shards import BATCH_TOKENS, Header, Manifest, Shard, ShardEntry, ShardWriter, SplitEntry, TokenBatch, sha256_of
from tokenizer.token_ids import DocumentOffsets, TokenIds

LLMC_MAGIC, LLMC_VERSION, LLMC_HEADER_BYTES = 20240520, 1, 1024
LLMC_MAX_TOKENS = (1 << 31) - 1
MEGATRON_MAGIC, MEGATRON_VERSION, MEGATRON_UINT16 = b"MMIDIDX\x00\x00", 1, 8


def to_nanogpt(shards: Sequence[Shard], path: Path) -> None:
    """Write all tokens in order as little-endian 16-bit numbers."""
    with path.open("wb") as file:
        for tokens in _streams(shards):
            file.write(tokens.astype("<u2", copy=False).data)


def open_nanogpt(path: Path) -> TokenIds:
    """The tokens of a nanoGPT file, in place. Raises FormatError for another size than 16-bit tokens have."""
    size = path.stat().st_size
    if size % 2:
        raise FormatError(f"{path}: {size} bytes are not 16-bit tokens; give a nanoGPT .bin")
    return np.memmap(path, "<u2", "r") if size else np.zeros(0, "<u2")


def from_nanogpt(path: Path, eot: int) -> TokenIds:
    """The tokens of a nanoGPT file. Raises FormatError where the last document does not end with `eot`."""
    return _check_end(open_nanogpt(path), eot, path)


def to_llmc(shards: Sequence[Shard], path: Path) -> None:
    """Write llm.c's header of 256 32-bit numbers, then the tokens, with the end of text before each document.

    Raises ValueError where the tokens do not fit into one such file.
    """
    tokens = sum(shard.header.tokens for shard in shards)
    if tokens > LLMC_MAX_TOKENS:
        raise ValueError(f"{tokens:,} tokens: llm.c's files hold at most {LLMC_MAX_TOKENS:,}; convert fewer shards at a time")
    header = np.zeros(LLMC_HEADER_BYTES // 4, "<i4")
    header[:3] = LLMC_MAGIC, LLMC_VERSION, tokens
    with path.open("wb") as file:
        file.write(header.data)
        pending = np.array([shards[0].header.eot_id], "<u2") if shards else np.zeros(0, "<u2")
        for stream in _streams(shards):
            file.write(pending.data)
            file.write(np.ascontiguousarray(stream[:-1]).astype("<u2", copy=False).data)
            pending = stream[-1:].astype("<u2")


def open_llmc(path: Path) -> TokenIds:
    """The tokens of an llm.c file, in place, as they are. Raises FormatError for other or truncated files."""
    header = np.fromfile(path, "<i4", LLMC_HEADER_BYTES // 4)
    if len(header) < 3 or tuple(header[:2]) != (LLMC_MAGIC, LLMC_VERSION):
        raise FormatError(f"{path}: does not begin with the header of llm.c's .bin of version {LLMC_VERSION}")
    if path.stat().st_size != LLMC_HEADER_BYTES + 2 * int(header[2]):
        raise FormatError(
            f"{path}: {path.stat().st_size} bytes, but its header promises {header[2]} tokens; the file is truncated"
        )
    return np.memmap(path, "<u2", "r", LLMC_HEADER_BYTES) if header[2] else np.zeros(0, "<u2")


def from_llmc(path: Path, eot: int) -> TokenIds:
    """The tokens of an llm.c file, with the end of text after each document. Raises FormatError for other or truncated files."""
    tokens = open_llmc(path)
    if len(tokens) and tokens[0] != eot:
        raise FormatError(
            f"{path}: begins with {tokens[0]}, not with the end of text {eot}; give the tokenizer that it was made with"
        )
    return np.roll(tokens, -1)


def to_megatron(shards: Sequence[Shard], prefix: Path) -> None:
    """Write the tokens to `prefix`.bin, and an index of one sequence per document to `prefix`.idx."""
    to_nanogpt(shards, prefix.with_name(f"{prefix.name}.bin"))
    lengths = np.concatenate([np.zeros(0, np.int64), *(np.diff(b.offsets) for shard in shards for b in shard.batches)])
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1] if len(lengths) else np.zeros(0, np.int64)
    with prefix.with_name(f"{prefix.name}.idx").open("wb") as file:
        file.write(MEGATRON_MAGIC + struct.pack("<QBQQ", MEGATRON_VERSION, MEGATRON_UINT16, len(lengths), len(lengths) + 1))
        file.write(lengths.astype("<i4").data)
        file.write((2 * starts).astype("<i8").data)
        file.write(np.arange(len(lengths) + 1).astype("<i8").data)


def open_megatron(prefix: Path) -> TokenIds:
    """The tokens of all sequences in order, in place. Raises FormatError where the index is damaged or another file's."""
    index = prefix.with_name(f"{prefix.name}.idx").read_bytes()
    head = len(MEGATRON_MAGIC) + struct.calcsize("<QBQQ")
    if index[: len(MEGATRON_MAGIC)] != MEGATRON_MAGIC or len(index) < head:
        raise FormatError(f"{prefix}.idx: not Megatron's index")
    version, kind, sequences, _ = struct.unpack_from("<QBQQ", index, len(MEGATRON_MAGIC))
    if (version, kind) != (MEGATRON_VERSION, MEGATRON_UINT16) or len(index) < head + 12 * sequences:
        raise FormatError(
            f"{prefix}.idx: version {version}, type {kind}, {sequences} sequences: not a whole index of 16-bit tokens"
        )
    tokens = open_nanogpt(prefix.with_name(f"{prefix.name}.bin"))
    if int(np.frombuffer(index, "<i4", sequences, head).sum(dtype=np.int64)) != len(tokens):
        raise FormatError(
            f"{prefix}.bin: {len(tokens)} tokens, but its index names another number; give the .bin and .idx of one run"
        )
    return tokens


def from_megatron(prefix: Path, eot: int) -> TokenIds:
    """The tokens of all sequences in order. Raises FormatError as `open_megatron` does, and where the end of text is missing."""
    return _check_end(open_megatron(prefix), eot, prefix.with_name(f"{prefix.name}.bin"))


LLMC = "llmc"
"""The format that puts the end of text before each document, not after it."""

WRITERS: dict[str, Callable[[Sequence[Shard], Path], None]] = {
    "nanogpt": to_nanogpt,
    LLMC: to_llmc,
    "megatron": to_megatron,
}
SUFFIXES = {"nanogpt": ("",), LLMC: ("",), "megatron": (".bin", ".idx")}
"""What each format adds to the path of its output: one file per suffix."""
READERS: dict[str, Callable[[Path, int], TokenIds]] = {"nanogpt": from_nanogpt, LLMC: from_llmc, "megatron": from_megatron}


def check_split(folder: Path, split: str, tokenizer: Tokenizer) -> Manifest | None:
    """The dataset of earlier imports that the split joins, or None for a new folder.

    Raises InputError where the folder holds anything else, or the split.
    """
    if not re.fullmatch(r"\w[\w-]*", split, re.ASCII):
        raise InputError(f"--split {split!r}: a name of letters, digits, - and _, such as train")
    path = folder / MANIFEST_JSON
    if not path.exists():
        left = (path.name for path in folder.glob(f"tokens-{split}-*.arrow"))  # by an import that was killed
        check_folder(folder, (*FILES, *left))
        return None
    manifest = Manifest.load(folder)
    if set(json.loads(path.read_bytes())) != {"dataset"}:
        raise InputError(f"{folder}: holds the output of a pipeline's stage; choose another --output")
    if manifest.tokenizer_sha256 != tokenizer.sha256:
        raise InputError(f"{folder}: made with another tokenizer ({manifest.tokenizer_sha256[:12]}); choose another --output")
    if split in manifest.splits:
        raise InputError(f"{folder}: has a split '{split}' already; give another --split or choose another --output")
    return manifest


def write_folder(folder: Path, splits: dict[str, TokenIds], tokenizer: Tokenizer) -> Manifest:
    """Write a folder of token shards, one per split, from flat tokens, with the tokenizer's files; returns its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(folder)
    entries = {name: write_split(folder, name, [tokens], 1, tokenizer) for name, tokens in splits.items()}
    manifest = Manifest(str(folder), tokenizer.sha256, tokenizer.vocab_size, tokenizer.eot_id, entries)
    manifest.save()
    return manifest


def write_split(folder: Path, split: str, parts: Iterable[TokenIds], shards: int, tokenizer: Tokenizer) -> SplitEntry:
    """Write a split, one shard for each of the `shards` parts, which are flat tokens of whole documents."""
    lengths = np.array([len(token) for token in tokenizer.token_bytes])
    entries, text_bytes = [], 0
    for shard, tokens in enumerate(parts):
        documents = 0
        for batch in _batches(tokens, tokenizer.eot_id):
            documents += len(batch)
            text_bytes += int(lengths[batch.tokens].sum())
        header = _header(split, documents, len(tokens), tokenizer, shard, shards)
        path = folder / header.name
        with written_aside(path) as aside, aside.open("wb") as file:
            writer = ShardWriter(file, header)
            for batch in _batches(tokens, tokenizer.eot_id):
                writer.write(batch)
            writer.close()
        entries.append(ShardEntry(header.name, documents, len(tokens), path.stat().st_size, sha256_of(path)))
    return SplitEntry(sum(e.documents for e in entries), sum(e.tokens for e in entries), text_bytes, tuple(entries))


def _header(split: str, documents: int, tokens: int, tokenizer: Tokenizer, shard: int = 0, shards: int = 1) -> Header:
    return Header(split, shard, shards, documents, tokens, tokenizer.sha256, tokenizer.vocab_size, tokenizer.eot_id)


def _batches(tokens: TokenIds, eot: int) -> Iterator[TokenBatch]:
    """Batches of whole documents, about BATCH_TOKENS tokens each."""
    start = 0
    while start < len(tokens):
        size = BATCH_TOKENS
        ends = np.flatnonzero(tokens[start : start + size] == eot) + 1
        while not len(ends):
            size *= 2
            ends = np.flatnonzero(tokens[start : start + size] == eot) + 1
        offsets = np.concatenate([[0], ends])
        part = np.asarray(tokens[start : start + ends[-1]])
        yield TokenBatch(part, offsets, _ids(part, offsets))
        start += int(ends[-1])


def _ids(tokens: TokenIds, offsets: DocumentOffsets) -> npt.NDArray[np.uint8]:
    raw = tokens.astype("<u2", copy=False).tobytes()
    digests = [hashlib.blake2b(raw[2 * a : 2 * b - 2], digest_size=16).digest() for a, b in pairwise(offsets)]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)


def _streams(shards: Sequence[Shard]) -> Iterator[TokenIds]:
    return (batch.tokens for shard in shards for batch in shard.batches)


def _check_end(tokens: TokenIds, eot: int, path: Path) -> TokenIds:
    if len(tokens) and tokens[-1] != eot:
        raise FormatError(
            f"{path}: ends with {tokens[-1]}, not with the end of text {eot}; it is truncated or made with another tokenizer"
        )
    return tokens
