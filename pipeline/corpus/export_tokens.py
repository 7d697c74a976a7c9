"""Writes the token shards of a corpus as the files that nanoGPT, llm.c and Megatron read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.corpus.export_text import ExportedFile
from pipeline.storage import files
from tokenizer.convert import WRITERS
from tokenizer.errors import InputError
from tokenizer.shards import Manifest, Shard

SPLITS = {"validation": "val"}
"""Splits that other trainers call by another name."""


@dataclass(frozen=True, slots=True)
class TokenFormat:
    """A format of tokens: the files of a split, from its name and its number of shards, and what each holds.

    `files` gives a name per file, to be passed to the writer, and the shards in it. `suffixes` are those that the writer adds.
    """

    files: Callable[[str, int], list[tuple[str, slice]]]
    suffixes: tuple[str, ...] = ("",)


TOKEN_FORMATS = {
    "nanogpt": TokenFormat(lambda split, _: [(f"{split}.bin", slice(None))]),
    "llmc": TokenFormat(
        lambda split, shards: [(f"webtext_{split}_{number:06d}.bin", slice(number, number + 1)) for number in range(shards)]
    ),
    "megatron": TokenFormat(lambda split, _: [(f"{split}_text_document", slice(None))], (".bin", ".idx")),
}
"""The formats of tokens. llm.c reads several files per split, the others one."""


def check_local(format_name: str, *folders: str) -> None:
    """Raise InputError where a folder is not local: token formats are read and written by their paths."""
    for path in folders:
        if not files.is_local(path):
            raise InputError(f"{path}: --format {format_name} needs local folders; copy the corpus first, or choose a local one")


def export_tokens(format_name: str, folder: str, output: str) -> list[ExportedFile]:
    """Write every split of a folder of token shards. Both folders are local."""
    manifest = Manifest.load(folder)
    chosen, exported = TOKEN_FORMATS[format_name], []
    for split in manifest.splits:
        shards = manifest.open(split)
        for name, part in chosen.files(SPLITS.get(split, split), len(shards)):
            exported += _write(format_name, shards[part], Path(output), name)
    return exported


def _write(format_name: str, shards: Sequence[Shard], output: Path, name: str) -> list[ExportedFile]:
    """Write the shards aside, then rename: a killed export leaves no file that looks whole."""
    aside = output / f".{name}{files.ASIDE_SUFFIX}"
    suffixes = TOKEN_FORMATS[format_name].suffixes
    try:
        WRITERS[format_name](shards, aside)
        tokens = sum(shard.header.tokens for shard in shards)
        exported: list[ExportedFile] = []
        for suffix in suffixes:
            written = aside.with_name(aside.name + suffix)
            path = output / f"{name}{suffix}"
            entry = ExportedFile(path.name, 0 if exported else tokens, written.stat().st_size, files.fingerprint(str(written)))
            written.replace(path)
            exported.append(entry)
    finally:
        for suffix in suffixes:
            aside.with_name(aside.name + suffix).unlink(missing_ok=True)
    return exported
