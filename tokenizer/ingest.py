"""Import of other trainers' token files into one dataset: single files, sets of many shards, and folders with both splits.

The files of a split are read as one stream, since llm.c's shards are cut within documents. Each file becomes one shard, and a
document goes into the shard in which it ends.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tokenizer.codec import Tokenizer
from tokenizer.convert import LLMC, check_split, open_llmc, open_megatron, open_nanogpt, write_split
from tokenizer.errors import FormatError, InputError
from tokenizer.shards import Manifest
from tokenizer.token_ids import TokenIds

SPLIT_WORDS = {"train": "train", "val": "validation"}
"""Word in the name of a file, as nanoGPT (`train.bin`, `val.bin`) and llm.c (`…_val_000000.bin`) have it, and the split it means."""

OPENERS: dict[str, Callable[[Path], TokenIds]] = {"nanogpt": open_nanogpt, LLMC: open_llmc, "megatron": open_megatron}


def files_of_splits(paths: Sequence[Path], format_name: str, split: str | None) -> dict[str, list[Path]]:
    """The files of each split. A folder stands for the files in it that are named after a split; other files are `train`.

    Raises InputError for a folder without such files, or together with `split`, which is for files.
    """
    if not any(path.is_dir() for path in paths):
        return {"train" if split is None else split: list(paths)}
    if len(paths) > 1 or split is not None:
        raise InputError(f"{next(p for p in paths if p.is_dir())}: a folder holds all splits; give it alone, without --split")
    ending = ".idx" if format_name == "megatron" else ".bin"
    found: dict[str, list[Path]] = {}
    for path in sorted(paths[0].glob(f"*{ending}")):
        words = [word for word in SPLIT_WORDS if word in path.stem.lower()]
        if len(words) == 1:
            name = path.with_suffix("") if format_name == "megatron" else path
            found.setdefault(SPLIT_WORDS[words[0]], []).append(name)
    if not found:
        raise InputError(f"{paths[0]}: no *{ending} named after a split, such as train{ending} or val{ending}; give the files")
    return found


def add_splits(folder: Path, splits: dict[str, list[Path]], format_name: str, tokenizer: Tokenizer) -> Manifest:
    """Write splits into a folder of token shards, beside those of earlier imports; returns its manifest.

    Raises InputError as `check_split` does, FormatError for files that are damaged or of another tokenizer. Nothing is written
    before all files have been read.
    """
    earlier = {split: check_split(folder, split, tokenizer) for split in splits}
    before = next(iter(earlier.values()))
    plans = {}
    for split, paths in splits.items():
        plans[split] = _last_ends([_open(path, format_name, tokenizer) for path in paths], paths, format_name, tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    if before is None:
        tokenizer.save(folder)
    entries = dict(before.splits) if before else {}
    for split, paths in splits.items():
        shards = max(1, sum(end > 0 for end in plans[split]))
        parts = _parts([OPENERS[format_name](path) for path in paths], plans[split], format_name, tokenizer.eot_id)
        entries[split] = write_split(folder, split, parts, shards, tokenizer)
    manifest = Manifest(str(folder), tokenizer.sha256, tokenizer.vocab_size, tokenizer.eot_id, entries)
    manifest.save()
    return manifest


def _open(path: Path, format_name: str, tokenizer: Tokenizer) -> TokenIds:
    """The tokens of a file, in place. Raises FormatError for a damaged file, and for ids that the tokenizer does not have."""
    tokens = OPENERS[format_name](path)
    if not len(tokens):
        raise FormatError(f"{path}: the file holds no tokens; give another one")
    if int(tokens.max()) >= tokenizer.vocab_size:
        raise FormatError(
            f"{path}: the file holds id {int(tokens.max()):,}, the tokenizer has {tokenizer.vocab_size:,} entries; "
            "give the tokenizer that it was made with"
        )
    return tokens


def _last_ends(files: Sequence[TokenIds], paths: Sequence[Path], format_name: str, tokenizer: Tokenizer) -> list[int]:
    """For each file, the number of its tokens up to and with the end of its last whole document; 0 where none ends in it.

    Raises FormatError where the stream does not end with a whole document, or, for llm.c, has no end of text at all.
    """
    eot = tokenizer.eot_id
    ends = [_last_end(tokens, eot) for tokens in files]
    if format_name == LLMC and not any(ends):
        raise FormatError(f"{paths[0]}: holds no end of text, {eot}; give the tokenizer that it was made with")
    if format_name != LLMC and files[-1][-1] != eot:
        raise FormatError(
            f"{paths[-1]}: ends with {files[-1][-1]}, not with the end of text {eot}; it is truncated, is followed by another "
            "file, or made with another tokenizer"
        )
    if format_name == LLMC and ends[0] == 1:
        ends[0] = 0  # the end of text that begins the first document
    return ends


def _last_end(tokens: TokenIds, eot: int, block: int = 1 << 20) -> int:
    for stop in range(len(tokens), 0, -block):
        found = np.flatnonzero(tokens[max(0, stop - block) : stop] == eot)
        if len(found):
            return max(0, stop - block) + int(found[-1]) + 1
    return 0


def _parts(files: Sequence[TokenIds], ends: Sequence[int], format_name: str, eot: int) -> Iterator[TokenIds]:
    """Whole documents, each with its end of text after it: what ends in the first file, in the second, and so on.

    llm.c puts the end of text before each document: the first one is left out, and one is added at the end. A first file that
    begins within a document, because it is not the set's first, begins with the rest of that document.
    """
    rest: list[TokenIds] = []
    part: TokenIds | None = None
    for number, (tokens, end) in enumerate(zip(files, ends, strict=True)):
        first = 1 if format_name == LLMC and number == 0 and tokens[0] == eot else 0
        if end > first:
            if part is not None:
                yield part
            part, rest = np.concatenate([*rest, tokens[first:end]]), []
        rest.append(tokens[max(first, end) :])
    ending = [np.array([eot], np.uint16)] if format_name == LLMC and any(len(tokens) for tokens in rest) else []
    yield np.concatenate([*([] if part is None else [part]), *rest, *ending])
