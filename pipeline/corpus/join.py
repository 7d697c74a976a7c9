"""`webtext join`: the token shards of several months as one dataset. Shards are hard-linked where the file system allows it."""

import argparse
import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

from pipeline.corpus.next_folder import carry_file
from pipeline.corpus.tool import Tool
from pipeline.corpus.unigram_entropy import unigram_entropies
from pipeline.storage import files
from pipeline.storage.manifest import NAME, Books, FileEntry, StageManifest, load_stage, stage_input
from pipeline.storage.next_version import check_foreign, next_version
from pipeline.storage.verification import check_folder
from tokenizer.errors import FormatError, InputError
from tokenizer.folder_lock import folder_lock
from tokenizer.formats import TOKENIZER_JSON
from tokenizer.shards import Manifest as Dataset
from tokenizer.shards import ShardEntry, SplitEntry

logger = logging.getLogger(__name__)


def join(folders: Sequence[str], output: str) -> StageManifest:
    """Write the joined dataset, and replace that of an earlier join once the new one is complete.

    Equal folders in equal order give equal bytes. Raises InputError if the folders' tokenizers differ, a file differs from its
    manifest, a folder is named twice, or `output` holds anything but a joined dataset.
    """
    _check_folders(folders, output)
    datasets = [_load_dataset(folder) for folder in folders]
    _check_tokenizers(folders, datasets)
    for folder in folders:
        check_folder(folder)
    with folder_lock(output) if files.is_local(output) else nullcontext(), next_version(output) as aside:
        return _write(folders, datasets, output, aside)


def _write(folders: Sequence[str], datasets: Sequence[Dataset], output: str, aside: str) -> StageManifest:
    """Write the joined dataset into the folder `aside`; its manifest names its inputs as seen from `output`."""
    first = datasets[0]
    names = dict.fromkeys(name for dataset in datasets for name in dataset.splits)
    splits = {name: _join_split(name, folders, datasets, aside) for name in names}
    tokenizer = _carry_tokenizer(folders[0], aside)
    joined = replace(first, folder=aside, splits=splits, unigram_entropy_nats={})
    joined = replace(joined, unigram_entropy_nats=unigram_entropies(joined))
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
    manifest.save(aside)
    return manifest


def _check_folders(folders: Sequence[str], output: str) -> None:
    """Raise InputError where a folder is named twice or is the output, or the output holds something else than a join's dataset."""
    for number, folder in enumerate(folders):
        if files.is_same(folder, output):
            raise InputError(f"{folder}: is among --tokens and the --output; choose another --output")
        if any(files.is_same(folder, other) for other in folders[:number]):
            raise InputError(f"{folder}: named twice among --tokens; its documents would be joined twice")
    check_foreign(output)
    if files.exists(files.join(output, NAME)) and not _is_joined(StageManifest.load(output)):
        raise InputError(f"{output}: holds the output of a stage; choose another --output")


def _is_joined(manifest: StageManifest) -> bool:
    return manifest.stage == "tokens" and any(name.startswith("tokens_") for name in manifest.inputs)


def _check_tokenizers(folders: Sequence[str], datasets: Sequence[Dataset]) -> None:
    first = datasets[0]
    for folder, dataset in zip(folders, datasets, strict=True):
        if dataset.tokenizer_sha256 != first.tokenizer_sha256:
            raise InputError(
                f"{folder}: made with tokenizer {dataset.tokenizer_sha256[:12]}, {folders[0]} with {first.tokenizer_sha256[:12]};"
                " run the stage 'tokens' of all months with one --vocabulary"
            )


def _load_dataset(folder: str) -> Dataset:
    load_stage(folder, "tokens")
    try:
        return Dataset.load(folder)
    except FormatError as error:
        raise InputError(str(error)) from error


def _join_split(name: str, folders: Sequence[str], datasets: Sequence[Dataset], output: str) -> SplitEntry:
    """Join one split of all folders: shards in the order of the folders, renumbered."""
    parts = [(folder, dataset.splits[name]) for folder, dataset in zip(folders, datasets, strict=True) if name in dataset.splits]
    shards = [(folder, entry) for folder, split in parts for entry in split.shards]
    entries: list[ShardEntry] = []
    for number, (folder, entry) in enumerate(shards):
        renamed = replace(entry, name=f"tokens-{name}-{number:05d}-of-{len(shards):05d}.arrow")
        carry_file(files.join(folder, entry.name), files.join(output, renamed.name))
        entries.append(renamed)
    splits = [split for _, split in parts]
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
        "--tokens", nargs="+", required=True, metavar="DIR", help="folders of the stage 'tokens', all made with one vocabulary"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the joined dataset")


def _work(arguments: argparse.Namespace) -> None:
    manifest = join(arguments.tokens, arguments.output)
    logger.info(
        "join: joined %d documents of %d folders in %s", manifest.books.items_out, len(arguments.tokens), arguments.output
    )


TOOL = Tool("join", _flags, _work, of_corpus=False)
