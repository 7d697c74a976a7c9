"""Commands of `webtext tokenizer`: each takes its parsed flags and yields the lines to print."""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tokenizer import bpe
from tokenizer.codec import LIBRARY, Tokenizer
from tokenizer.convert import SUFFIXES, WRITERS
from tokenizer.counting import PreTokenCounter
from tokenizer.errors import FormatError, InputError
from tokenizer.evaluate import Fit, longest, never_final
from tokenizer.folder_lock import folder_lock
from tokenizer.ingest import add_splits, files_of_splits
from tokenizer.labels import printable
from tokenizer.merges import MAX_IDS
from tokenizer.outputs import check_folder, check_new_file, new_folder_aside
from tokenizer.shards import Manifest, Shard

BATCH_DOCUMENTS = 1024
HEADINGS = ("entries", "tokens", "bytes/token", "tokens/word", "unigram bits/byte", "unused here", "never final", "not restored")
"""Columns of `evaluate`.

Unused here: ids that the text never encodes to. Never final: tokens that their own spelling does not encode to.
"""

MAX_LABEL = 60
"""Characters that `evaluate` prints of a language or domain."""

MAX_GROUPS = 25
"""Groups per kind that `evaluate` prints."""

TOKEN_CHARACTERS = 64
"""Characters that `evaluate` prints of each of the longest tokens."""


def run_train(arguments: argparse.Namespace) -> Iterator[str]:
    """Count pre-tokens, learn merges, and write every format into a folder that holds nothing else."""
    if not 257 <= arguments.vocab_size <= MAX_IDS + 1:
        raise InputError(f"--vocab-size {arguments.vocab_size}: must be from 257 to {MAX_IDS + 1:,}, since ids have 16 bits")
    if arguments.min_frequency < 0:
        raise InputError(f"--min-frequency {arguments.min_frequency}: must be at least 0")
    check_folder(arguments.output)
    _check_texts(arguments.texts, [])
    with folder_lock(arguments.output):
        check_folder(arguments.output)  # again: another run may have filled it meanwhile
        yield from _train(arguments)


def _train(arguments: argparse.Namespace) -> Iterator[str]:
    limits = (arguments.min_frequency, arguments.max_token_length)
    batches = (batch.column("text") for batch in _batches(arguments.texts, []))
    if arguments.trainer == LIBRARY:
        tokenizer = bpe.train_with_library((texts.to_pylist() for texts in batches), arguments.vocab_size, *limits)
    else:
        counts = _count(batches)
        yield f"{counts.num_rows:,} distinct words"
        tokenizer = bpe.train(counts, arguments.vocab_size, *limits)
    tokenizer.save(arguments.output)
    yield f"{tokenizer.vocab_size:,} entries: {arguments.output} (merges sha256 {tokenizer.sha256})"
    if tokenizer.vocab_size < arguments.vocab_size:
        yield f"the text has no more pairs before {arguments.vocab_size:,} entries: give more text for a larger vocabulary"


def _count(batches: Iterable[pa.Array]) -> pa.Table:
    """Table of counts. The counter is freed on return, before learning begins."""
    counter = PreTokenCounter()
    for texts in batches:
        counter.add(texts)
    return counter.table()


def run_evaluate(arguments: argparse.Namespace) -> Iterator[str]:
    """Compare tokenizers on all text, by language and by domain, and show their longest tokens."""
    fits = {str(path): Fit(Tokenizer.load(path)) for path in arguments.tokenizers}
    _check_texts(arguments.texts, arguments.by)
    for fit in fits.values():
        for batch in _batches(arguments.texts, arguments.by):
            fit.add(batch.column("text"), {kind: batch.column(kind).to_pylist() for kind in arguments.by})
    first = next(iter(fits.values()))
    yield f"{first.documents:,} documents, {first.text_bytes:,} bytes"
    width = max(map(len, fits)) + 2
    yield " " * width + "".join(f"{heading:>19}" for heading in HEADINGS)
    for name, fit in fits.items():
        yield f"{name:<{width}}" + "".join(f"{cell:>19}" for cell in _row(fit))
    for kind in arguments.by:
        yield from _groups(kind, fits)
    for name, fit in fits.items():
        tokens = ", ".join(
            f"{token.decode('utf-8', 'replace')[:TOKEN_CHARACTERS]!r} ({len(token)})" for token in longest(fit.tokenizer)
        )
        yield f"longest tokens of {name}, with their bytes (merges sha256 {fit.tokenizer.sha256[:16]}): {tokens}"


def _groups(kind: str, fits: dict[str, Fit]) -> Iterator[str]:
    """Bytes per token of each tokenizer, one row per group, the largest groups first."""
    groups = next(iter(fits.values())).groups.get(kind, {})
    largest = sorted(groups, key=lambda label: (-groups[label].text_bytes, label))[:MAX_GROUPS]
    yield f"bytes per token by {kind}, the {len(largest)} largest of {len(groups):,}:"
    for label in largest:
        ratios = "".join(f"{fit.groups[kind][label].bytes_per_token:>10.3f}" for fit in fits.values())
        yield f"{printable(label, MAX_LABEL):<24}{groups[label].documents:>12,} documents{groups[label].text_bytes:>16,} bytes{ratios}"


def run_decode(arguments: argparse.Namespace) -> Iterator[str]:
    """Print the text of one document of a shard."""
    shard = Shard(arguments.shard)
    tokenizer = Tokenizer.load(arguments.tokenizer or arguments.shard.parent)
    if tokenizer.sha256 != shard.header.tokenizer_sha256:
        raise FormatError(
            f"{arguments.shard}: made with another tokenizer than {arguments.tokenizer or arguments.shard.parent}; "
            "give its own with --tokenizer"
        )
    document = arguments.document
    for batch in shard.batches:
        if 0 <= document < len(batch):
            yield tokenizer.decode(batch.tokens[batch.offsets[document] : batch.offsets[document + 1]])
            return
        document -= len(batch)
    raise ValueError(f"--document {arguments.document}: the shard holds {shard.header.documents} documents, numbered from 0")


def run_export(arguments: argparse.Namespace) -> Iterator[str]:
    """Convert one split to another trainer's file, which must not exist yet."""
    shards = Manifest.load(arguments.folder).open(arguments.split)
    output = arguments.output
    paths = [output.with_name(output.name + suffix) for suffix in SUFFIXES[arguments.format]]
    for path in paths:
        check_new_file(path)  # first: a refused command makes no folder
    with folder_lock(output.parent):
        for path in paths:
            check_new_file(path)
        with new_folder_aside(output, [path.name for path in paths]) as aside:
            WRITERS[arguments.format](shards, aside / output.name)
            for path in paths:
                (aside / path.name).rename(path)
    yield f"{sum(shard.header.tokens for shard in shards):,} tokens: {output}"


def run_import(arguments: argparse.Namespace) -> Iterator[str]:
    """Convert another trainer's files to splits of a folder of token shards: a new folder, or one of earlier imports."""
    tokenizer = Tokenizer.load(arguments.tokenizer)
    splits = files_of_splits(arguments.files, arguments.format, arguments.split)
    with folder_lock(arguments.output):
        manifest = add_splits(arguments.output, splits, arguments.format, tokenizer)
    for name in splits:
        split = manifest.split(name)
        yield f"{name}: {split.documents:,} documents, {split.tokens:,} tokens: {arguments.output}"


def run_verify(arguments: argparse.Namespace) -> Iterator[str]:
    """Check every shard against its sha256, then every batch against its checksum."""
    manifest = Manifest.load(arguments.folder)
    for name, split in manifest.splits.items():
        for shard in manifest.open(name):
            shard.verify_batches()
        yield f"{name}: {len(split.shards)} shards, {split.documents:,} documents, {split.tokens:,} tokens, all intact"


def _check_texts(paths: list[Path], columns: list[str]) -> None:
    """Open every file before the first is read: a mistyped last one must not cost hours. Raises OSError and FormatError.

    A pipe is left alone, since it can be opened once only.
    """
    for path in paths:
        if path.suffix == ".parquet":
            _open_parquet(path, ["text", *columns]).close()
        elif not path.is_fifo():
            path.open("rb").close()


def _batches(paths: list[Path], columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Batches with the column `text` and the given columns: read from Parquet files, null for a text file."""
    for path in paths:
        if path.suffix == ".parquet":
            with _open_parquet(path, ["text", *columns]) as file:
                yield from file.iter_batches(BATCH_DOCUMENTS, columns=["text", *columns])
        else:
            text = pa.array([path.read_bytes().decode("utf-8", "replace")], pa.large_string())
            yield pa.record_batch({"text": text} | {name: pa.nulls(1, pa.string()) for name in columns})


def _open_parquet(path: Path, columns: list[str]) -> pq.ParquetFile:
    path.open("rb").close()  # Arrow's own errors name no errno
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise FormatError(f"{path}: not a Parquet file ({str(error).splitlines()[0]}); give another file") from error
    if missing := [name for name in columns if name not in file.schema_arrow.names]:
        raise FormatError(f"{path}: no column '{missing[0]}'; it has {', '.join(file.schema_arrow.names)}")
    return file


def _row(fit: Fit) -> tuple[str, ...]:
    return (
        f"{fit.tokenizer.vocab_size:,}",
        f"{fit.tokens:,}",
        f"{fit.bytes_per_token:.3f}",
        f"{fit.tokens_per_word:.3f}",
        f"{fit.unigram_bits_per_byte:.3f}",
        f"{fit.unused:,}",
        f"{never_final(fit.tokenizer):,}",
        f"{fit.not_restored:,}",
    )
