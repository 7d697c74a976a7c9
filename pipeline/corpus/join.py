"""`pipeline join`: the token shards of several months as one dataset to train on. No token is copied where files can be linked."""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import replace

from pipeline.corpus.next_folder import carry_file
from pipeline.corpus.remove_tokens import entropies
from pipeline.corpus.tool import Tool
from pipeline.storage import files
from pipeline.storage.files import InputError
from pipeline.storage.manifest import NAME, Books, FileEntry, StageManifest, load_stage, stage_input
from pipeline.storage.verification import check_folder
from tokenizer.errors import FormatError
from tokenizer.formats import TOKENIZER_JSON
from tokenizer.shards import Manifest as Dataset
from tokenizer.shards import ShardEntry, SplitEntry

logger = logging.getLogger(__name__)


def join(folders: Sequence[str], output: str) -> StageManifest:
    """Write the joined dataset. Raises InputError where the folders' tokenizers differ, or a file differs from its manifest.

    The same folders in the same order give the same bytes; a folder that holds an older join is brought up to date.
    """
    datasets = [_dataset(folder) for folder in folders]
    first = datasets[0]
    for folder, dataset in zip(folders, datasets, strict=True):
        if dataset.tokenizer_sha256 != first.tokenizer_sha256:
            raise InputError(
                f"{folder}: made with tokenizer {dataset.tokenizer_sha256[:12]}, {folders[0]} with {first.tokenizer_sha256[:12]};"
                " give all months one --vocabulary"
            )
    for folder in folders:
        check_folder(folder)
    names = dict.fromkeys(name for dataset in datasets for name in dataset.splits)
    splits = {name: _split(name, folders, datasets, output) for name in names}
    tokenizer = _carry_tokenizer(folders[0], output)
    joined = replace(first, folder=output, splits=splits, unigram_entropy_nats={})
    joined = replace(joined, unigram_entropy_nats=entropies(joined))
    entries = [FileEntry(e.name, "tokens", e.documents, e.bytes, e.sha256) for split in splits.values() for e in split.shards]
    documents = sum(split.documents for split in splits.values())
    manifest = StageManifest(
        "tokens",
        {},
        {f"tokens_{i:04d}": stage_input(folder, output) for i, folder in enumerate(folders)},
        tuple(sorted([tokenizer, *entries], key=lambda e: e.name)),
        Books(documents, documents),
        {f"text_bytes_{name}": split.text_bytes for name, split in splits.items()},
        joined.section(),
    )
    manifest.save(output)
    return manifest


def _dataset(folder: str) -> Dataset:
    load_stage(folder, "tokens")
    try:
        return Dataset.load(folder)
    except FormatError as error:
        raise InputError(str(error)) from error


def _split(name: str, folders: Sequence[str], datasets: Sequence[Dataset], output: str) -> SplitEntry:
    """A split of all folders, the first one's shards first; names are numbered anew."""
    mine = [(folder, dataset.splits[name]) for folder, dataset in zip(folders, datasets, strict=True) if name in dataset.splits]
    shards = [(folder, entry) for folder, split in mine for entry in split.shards]
    entries: list[ShardEntry] = []
    for number, (folder, entry) in enumerate(shards):
        named = replace(entry, name=f"tokens-{name}-{number:05d}-of-{len(shards):05d}.arrow")
        carry_file(files.join(folder, entry.name), files.join(output, named.name))
        entries.append(named)
    splits = [split for _, split in mine]
    return SplitEntry(
        sum(split.documents for split in splits),
        sum(split.tokens for split in splits),
        sum(split.text_bytes for split in splits),
        tuple(entries),
    )


def _carry_tokenizer(folder: str, output: str) -> FileEntry:
    (entry,) = load_stage(folder, "tokens").of_kind("tokenizer")
    carry_file(files.join(folder, entry.name), files.join(output, TOKENIZER_JSON))
    return replace(entry, name=TOKENIZER_JSON)


def _flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tokens", nargs="+", required=True, metavar="DIR", help="folders of the stage 'tokens', one vocabulary for all"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the joined dataset")


def _work(arguments: argparse.Namespace) -> None:
    standing = files.join(arguments.output, NAME)
    if files.exists(standing) and not any(name.startswith("tokens_") for name in StageManifest.load(arguments.output).inputs):
        raise InputError(f"{arguments.output}: holds the output of a stage; choose another --output")
    files.remove(standing)
    manifest = join(arguments.tokens, arguments.output)
    logger.info("join: %d documents of %d folders in %s", manifest.books.items_out, len(arguments.tokens), arguments.output)


TOOL = Tool("join", "the token shards of several months as one dataset, linked and not copied", _flags, _work, of_corpus=False)
