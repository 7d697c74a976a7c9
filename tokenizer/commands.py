"""What `python -m tokenizer` can do: each command takes its parsed flags and gives the lines to print."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tokenizer import bpe
from tokenizer.codec import Tokenizer
from tokenizer.convert import READERS, WRITERS, write_folder
from tokenizer.counting import PieceCounter
from tokenizer.errors import FormatError
from tokenizer.evaluate import Fit, longest, measure, never_final
from tokenizer.shards import Manifest, Shard

BATCH_DOCUMENTS = 1024
HEADINGS = ("documents", "text bytes", "tokens", "bytes/token", "tokens/word", "unigram bits/byte", "unused ids", "not restored")


def train(arguments: argparse.Namespace) -> Iterator[str]:
    """Count, learn, write all formats."""
    limits = (arguments.min_frequency, arguments.max_token_length)
    batches = (texts for _, texts in _texts(arguments.texts, None))
    if arguments.trainer == bpe.LIBRARY:
        tokenizer = bpe.train_with_library((texts.to_pylist() for texts in batches), arguments.vocab_size, *limits)
    else:
        counter = PieceCounter()
        for texts in batches:
            counter.add(texts)
        yield f"{len(counter):,} distinct words"
        tokenizer = bpe.train(counter.table(), arguments.vocab_size, *limits)
    tokenizer.save(arguments.output)
    yield f"{tokenizer.vocab_size:,} entries: {arguments.output} (merges sha256 {tokenizer.sha256})"
    if tokenizer.vocab_size < arguments.vocab_size:
        yield f"the text ran out of pairs before {arguments.vocab_size:,} entries: give more text for a larger vocabulary"


def evaluate(arguments: argparse.Namespace) -> Iterator[str]:
    """A table a tokenizer, and what its vocabulary looks like."""
    for path in arguments.tokenizers:
        tokenizer = Tokenizer.load(path)
        yield f"{path}: merges sha256 {tokenizer.sha256[:16]}, {tokenizer.vocab_size:,} entries"
        fits = measure(tokenizer, _texts(arguments.texts, arguments.by))
        width = max(len(name) for name in fits) + 5
        yield " " * width + "  ".join(f"{heading:>17}" for heading in HEADINGS)
        for name, fit in sorted(fits.items(), key=lambda item: (item[0] != "", -item[1].text_bytes)):
            yield f"{name or '(all)':<{width}}" + "  ".join(f"{cell:>17}" for cell in _row(fit))
        yield f"never the encoding of their own spelling: {never_final(tokenizer):,} tokens"
        yield "longest: " + ", ".join(repr(token.decode("utf-8", "replace")) for token in longest(tokenizer))
        yield ""


def decode(arguments: argparse.Namespace) -> Iterator[str]:
    """The text of one document of a shard."""
    shard = Shard(arguments.shard)
    tokenizer = Tokenizer.load(arguments.tokenizer or arguments.shard.parent)
    if tokenizer.sha256 != shard.header.tokenizer_sha256:
        raise FormatError(
            f"{arguments.shard}: made with another tokenizer than {arguments.tokenizer or arguments.shard.parent}; give its own"
        )
    wanted = arguments.document
    for batch in shard.batches:
        if 0 <= wanted < len(batch):
            yield tokenizer.decode(batch.tokens[batch.offsets[wanted] : batch.offsets[wanted + 1]])
            return
        wanted -= len(batch)
    raise ValueError(f"--document {arguments.document}: the shard holds {shard.header.documents}, from 0")


def export(arguments: argparse.Namespace) -> Iterator[str]:
    """One split to another trainer's file."""
    shards = Manifest.load(arguments.folder).open(arguments.split)
    WRITERS[arguments.format](shards, arguments.output)
    yield f"{sum(shard.header.tokens for shard in shards):,} tokens: {arguments.output}"


def ingest(arguments: argparse.Namespace) -> Iterator[str]:
    """Another trainer's file to a folder of one split."""
    tokenizer = Tokenizer.load(arguments.tokenizer)
    tokens = READERS[arguments.format](arguments.file, tokenizer.eot_id)
    manifest = write_folder(arguments.output, {arguments.split: tokens}, tokenizer)
    split = manifest.split(arguments.split)
    yield f"{split.documents:,} documents, {split.tokens:,} tokens: {arguments.output}"


def verify(arguments: argparse.Namespace) -> Iterator[str]:
    """Hash every shard, then check every batch."""
    manifest = Manifest.load(arguments.folder)
    for name, split in manifest.splits.items():
        for shard in manifest.open(name):
            shard.verify_batches()
        yield f"{name}: {len(split.shards)} shards, {split.documents:,} documents, {split.tokens:,} tokens, as they were written"


def _texts(paths: list[Path], by: str | None) -> Iterator[tuple[str, pa.Array]]:
    """Batches of texts with the name of their group: of a Parquet column where `by` says so, the empty name otherwise."""
    for path in paths:
        if path.suffix != ".parquet":
            yield "", pa.array([path.read_bytes().decode("utf-8", "replace")], pa.large_string())
            continue
        columns = ["text", by] if by else ["text"]
        for batch in pq.ParquetFile(path).iter_batches(BATCH_DOCUMENTS, columns=columns):
            yield from _groups(batch, by)


def _groups(batch: pa.RecordBatch, by: str | None) -> Iterator[tuple[str, pa.Array]]:
    if by is None:
        yield "", batch.column("text")
        return
    names = [str(name or "unknown") for name in batch.column(by).to_pylist()]
    for name in sorted(set(names)):
        yield name, batch.column("text").filter(pa.array([other == name for other in names]))


def _row(fit: Fit) -> tuple[str, ...]:
    return (
        f"{fit.documents:,}",
        f"{fit.text_bytes:,}",
        f"{fit.tokens:,}",
        f"{fit.bytes_per_token:.3f}",
        f"{fit.tokens_per_word:.3f}",
        f"{fit.unigram_bits_per_byte:.3f}",
        f"{fit.unused:,}",
        f"{fit.not_restored:,}",
    )
