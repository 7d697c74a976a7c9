"""`webtext join`: the token shards of several months as one dataset. Shards are hard-linked where the file system allows it.

A document is in a joined set once: months that hold it twice are refused, or the later ones lose it. With --keep-repeated it is there
as often as the months hold it, which the manifest's settings say.
"""

import argparse
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pipeline.corpus.checking import check_chains, check_files
from pipeline.corpus.joined_removal import document_sizes, listed_documents
from pipeline.corpus.next_folder import carry_file
from pipeline.corpus.removal import shard_without
from pipeline.corpus.tool import Tool
from pipeline.corpus.unigram_entropy import unigram_entropies
from pipeline.engine.progress import counted
from pipeline.storage import files
from pipeline.storage.manifest import NAME, Books, FileEntry, StageManifest, input_place, load_stage, stage_input
from pipeline.storage.next_version import check_foreign, next_version
from pipeline.storage.takedown_list import Entry, entries
from tokenizer.errors import FormatError, InputError
from tokenizer.folder_lock import folder_lock
from tokenizer.formats import TOKENIZER_JSON
from tokenizer.shards import Manifest as Dataset
from tokenizer.shards import ShardEntry, SplitEntry

logger = logging.getLogger(__name__)
LEFT_OUT = "left_out"
"""The reason of documents that the months hold and the joined dataset does not."""


@dataclass(frozen=True)
class Month:
    """A tokens folder to join, and the documents that it loses on the way: id and UTF-8 bytes of each."""

    folder: str
    dataset: Dataset
    left_out: Mapping[bytes, int] = field(default_factory=dict)

    @cached_property
    def ids(self) -> npt.NDArray[np.void]:
        """The ids of all its documents, in order."""
        shards = (shard for name in self.dataset.splits for shard in self.dataset.open(name, verify=False))
        parts = [np.ascontiguousarray(batch.document_ids).view("V16").ravel() for shard in shards for batch in shard.batches]
        return np.concatenate(parts) if parts else np.array([], "V16")


def join(
    folders: Sequence[str],
    output: str,
    *,
    takedown: Sequence[Entry] = (),
    drop_repeated: bool = False,
    keep_repeated: bool = False,
) -> StageManifest:
    """Write the joined dataset, and replace that of an earlier join once the new one is complete.

    Equal folders in equal order give equal bytes. Documents that `takedown` lists are left out; so are, with `drop_repeated`, those
    that an earlier folder holds. Raises InputError if a document is there twice and neither `drop_repeated` nor `keep_repeated` allows
    it, the folders' tokenizers differ, a file differs from its manifest, a folder no longer follows from its inputs or is named twice,
    or `output` holds anything but a joined dataset.
    """
    _check_folders(folders, output)
    months = [Month(folder, _load_dataset(folder)) for folder in folders]
    _check_tokenizers(months)
    check_files("join", folders)
    check_chains(folders)
    _warn_of_unseen(folders)
    months = _without_listed(months, takedown)
    if not keep_repeated:
        months = _without_repeated(months, drop=drop_repeated)
    settings = {"keep_repeated": True} if keep_repeated else {}
    with folder_lock(output) if files.is_local(output) else nullcontext(), next_version(output) as aside:
        return _write(months, output, aside, settings)


def _warn_of_unseen(folders: Sequence[str]) -> None:
    """Name the months that were not compared with one before them, as where a month came late; as far as their dedup can be read."""
    found = {folder: _dedup_of(folder) for folder in folders}
    for number, folder in enumerate(folders):
        later = found[folder]
        earlier = [found[other] for other in folders[:number]]
        read = {entry.sha256 for name, entry in later.inputs.items() if name.startswith("against_")} if later else set()
        if unseen := [
            other for other, dedup in zip(folders, earlier, strict=False) if later and dedup and dedup.sha256 not in read
        ]:
            more = f" and {len(unseen) - 1} more" if len(unseen) > 1 else ""
            logger.warning(
                "join: %s was not compared with %s%s: it may hold near copies; run its dedup with --against, then its tokens, again",
                *(folder, unseen[0], more),
            )


def _dedup_of(folder: str) -> StageManifest | None:
    """The manifest of the dedup that a tokens folder follows from; None where it cannot be read."""
    entry = StageManifest.load(folder).inputs.get("dedup")
    try:
        return load_stage(input_place(folder, entry), "dedup") if entry else None
    except InputError:
        return None


def _without_listed(months: Sequence[Month], takedown: Sequence[Entry]) -> list[Month]:
    """The months without the documents of a take-down list."""
    if not takedown:
        return list(months)
    listed = [listed_documents(month.folder, load_stage(month.folder, "tokens"), takedown) for month in months]
    for month, sizes in zip(months, listed, strict=True):
        if sizes:
            logger.warning(
                "join: left %d listed documents of %s out; `webtext remove` removes them there", len(sizes), month.folder
            )
    return [replace(month, left_out=sizes) for month, sizes in zip(months, listed, strict=True)]


def _without_repeated(months: Sequence[Month], *, drop: bool) -> list[Month]:
    """The months without the documents that an earlier one holds too. Raises InputError where there are some, unless `drop`."""
    held = np.array([], "V16")
    rest: list[Month] = []
    for month in months:
        ids = month.ids[~np.isin(month.ids, _as_ids(month.left_out))]
        unique, counts = np.unique(ids, return_counts=True)
        repeated = np.intersect1d(unique, held)
        if (counts > 1).any():
            raise InputError(
                f"{month.folder}: holds {int((counts > 1).sum()):,} documents twice or more; if its dedup kept duplicates, add "
                "--keep-repeated, else run its stages again"
            )
        if len(repeated):
            _refuse_repeated(month, repeated, rest, drop=drop)
            sizes = dict(document_sizes(month.folder, {key.tobytes() for key in repeated}))
            month = replace(month, left_out={**month.left_out, **sizes})
        held = np.union1d(held, unique)
        rest.append(month)
    return rest


def _refuse_repeated(month: Month, repeated: npt.NDArray[np.void], before: Sequence[Month], *, drop: bool) -> None:
    """Raise InputError that names two months which hold a document, unless repeated ones are dropped: then log their number."""
    first = next(other.folder for other in before if np.isin(repeated, other.ids).any())
    if not drop:
        raise InputError(
            f"{month.folder}: {len(repeated):,} of its documents are in earlier months too, as in {first}; run its dedup with --against"
            " those months and its tokens again, both with --replace, or add --drop-repeated"
        )
    logger.info("join: left %d documents of %s out that earlier months hold, as %s", len(repeated), month.folder, first)


def _as_ids(ids: Collection[bytes]) -> npt.NDArray[np.void]:
    return np.array(sorted(ids), "V16") if ids else np.array([], "V16")


def _write(months: Sequence[Month], output: str, aside: str, settings: dict[str, bool]) -> StageManifest:
    """Write the joined dataset into the folder `aside`; its manifest names its inputs as seen from `output`."""
    names = dict.fromkeys(name for month in months for name in month.dataset.splits)
    shards_in = sum(len(split.shards) for month in months for split in month.dataset.splits.values())
    with counted("join write", shards_in, "shards") as advance:
        splits = {name: _join_split(name, months, aside, advance) for name in names}
    tokenizer = _carry_tokenizer(months[0].folder, aside)
    joined = replace(months[0].dataset, folder=aside, splits=splits, unigram_entropy_nats={})
    joined = replace(joined, unigram_entropy_nats=unigram_entropies(joined))
    shards = [FileEntry(e.name, "tokens", e.documents, e.bytes, e.sha256) for split in splits.values() for e in split.shards]
    documents = sum(split.documents for split in splits.values())
    left_out = sum(split.documents for month in months for split in month.dataset.splits.values()) - documents
    manifest = StageManifest(
        "tokens",
        settings,
        {f"tokens_{i:04d}": stage_input(month.folder, output) for i, month in enumerate(months)},
        tuple(sorted([tokenizer, *shards], key=lambda e: e.name)),
        Books(documents + left_out, documents, {LEFT_OUT: left_out} if left_out else {}),
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


def _check_tokenizers(months: Sequence[Month]) -> None:
    first = months[0]
    for month in months:
        if month.dataset.tokenizer_sha256 != first.dataset.tokenizer_sha256:
            raise InputError(
                f"{month.folder}: made with tokenizer {month.dataset.tokenizer_sha256[:12]}, {first.folder} with"
                f" {first.dataset.tokenizer_sha256[:12]}; run the stage 'tokens' of all months with one --vocabulary"
            )


def _load_dataset(folder: str) -> Dataset:
    load_stage(folder, "tokens")
    try:
        return Dataset.load(folder)
    except FormatError as error:
        raise InputError(str(error)) from error


def _join_split(name: str, months: Sequence[Month], output: str, advance: Callable[[int], object]) -> SplitEntry:
    """Join one split of all months: shards in the order of the months, renumbered; a shard that loses its last document goes."""
    parts = [(month, month.dataset.splits[name]) for month in months if name in month.dataset.splits]
    rests = [
        (month, entry, shard_without(shard, month.left_out))
        for month, split in parts
        for entry, shard in zip(split.shards, month.dataset.open(name, verify=False), strict=True)
    ]
    advance(sum(bool(rest.lost) and not rest.header.documents for _, _, rest in rests))
    rests = [(month, entry, rest) for month, entry, rest in rests if rest.header.documents or not rest.lost]
    entries: list[ShardEntry] = []
    for number, (month, entry, rest) in enumerate(rests):
        renamed = replace(entry, name=f"tokens-{name}-{number:05d}-of-{len(rests):05d}.arrow")
        target = files.join(output, renamed.name)
        if rest.lost:
            digest = files.publish(target, rest.write)
            documents, tokens = rest.header.documents, rest.header.tokens
            renamed = ShardEntry(renamed.name, documents, tokens, digest.bytes, digest.sha256)
        else:
            carry_file(files.join(month.folder, entry.name), target)
        entries.append(renamed)
        advance(1)
    lost_bytes = sum(_lost_bytes(month, name) for month, _ in parts)
    return SplitEntry(
        sum(entry.documents for entry in entries),
        sum(entry.tokens for entry in entries),
        sum(split.text_bytes for _, split in parts) - lost_bytes,
        tuple(entries),
    )


def _lost_bytes(month: Month, name: str) -> int:
    """UTF-8 bytes of the documents that a split of a month loses."""
    if not month.left_out:
        return 0
    shards = month.dataset.open(name, verify=False)
    return sum(month.left_out[key] for shard in shards for key in shard_without(shard, month.left_out).lost)


def _carry_tokenizer(folder: str, output: str) -> FileEntry:
    (entry,) = load_stage(folder, "tokens").of_kind("tokenizer")
    carry_file(files.join(folder, entry.name), files.join(output, TOKENIZER_JSON))
    return replace(entry, name=TOKENIZER_JSON)


def _flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tokens", nargs="+", required=True, metavar="DIR", help="folders of the stage 'tokens', all made with one vocabulary"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the joined dataset")
    parser.add_argument("--takedown", metavar="FILE", help="take-down list: leave out the documents that it names")
    repeated = parser.add_mutually_exclusive_group()
    repeated.add_argument("--drop-repeated", action="store_true", help="leave out documents that an earlier folder holds")
    repeated.add_argument(
        "--keep-repeated", action="store_true", help="keep documents that are there twice, for months whose dedup kept duplicates"
    )


def _work(arguments: argparse.Namespace) -> None:
    takedown = entries(arguments.takedown) if arguments.takedown else ()
    rules = {"drop_repeated": arguments.drop_repeated, "keep_repeated": arguments.keep_repeated}
    manifest = join(arguments.tokens, arguments.output, takedown=takedown, **rules)
    logger.info(
        "join: joined %d documents of %d folders in %s", manifest.books.items_out, len(arguments.tokens), arguments.output
    )


TOOL = Tool("join", _flags, _work, of_corpus=False)
