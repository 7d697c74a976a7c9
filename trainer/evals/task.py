"""A task: the files it needs, as published, and how a candidate is examined on them."""

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.config import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.results import Result

TOKENS_MANIFEST = "manifest.json"


def check_folders(names: Sequence[str]) -> list[Path]:
    """The folders of `--data`. Raises InputError for one that is not there."""
    folders = [Path(name) for name in names]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"--data {folder}: no such folder")
    return folders


@dataclass(frozen=True, slots=True)
class Source:
    """A file as its authors publish it. `names` are patterns of file names, the official one first; size and sha256 (hex) where known.

    `address` is where people find it, `archive` the size and hash of what is found there when the file is inside; nothing here downloads.
    """

    names: tuple[str, ...]
    address: str
    bytes: int | None = None
    sha256: str | None = None
    note: str = ""
    archive: str = ""

    def locate(self, folders: list[Path]) -> Path | None:
        """The file in one of the folders or one level below, by the first pattern that matches; of several the first by name."""
        for name in self.names:
            for folder in folders:
                found = [p for p in [*folder.iterdir(), *folder.glob("*/*")] if p.is_file() and fnmatch.fnmatch(p.name, name)]
                if found:
                    return min(found)
        return None


@dataclass(frozen=True, slots=True)
class Task:
    """`run` gets the candidate and a path a source; for the held-out split, the folder of token shards. `text` is one line.

    `new_tokens` are what it writes after each prompt, for which the context must have room.
    """

    name: str
    text: str
    sources: tuple[Source, ...]
    run: Callable[[Candidate, list[Path]], list[Result]]
    reads_tokens: bool = False
    new_tokens: int = 0

    def locate(self, folders: list[Path], context_tokens: int) -> list[Path] | str:
        """What `run` reads, or the line that says why it cannot be run."""
        if self.new_tokens >= context_tokens:
            return f"it writes {self.new_tokens} tokens, and the model's context is {context_tokens}"
        if self.reads_tokens:
            found = [folder for folder in folders if (folder / TOKENS_MANIFEST).is_file()]
            return found[:1] or "no folder of token shards among --data"
        paths = [source.locate(folders) for source in self.sources]
        missing = [source.names[0] for source, path in zip(self.sources, paths, strict=True) if path is None]
        if missing:
            return f"{', '.join(missing)} not found; `webtext-train eval --where` says where it is published"
        return [path for path in paths if path is not None]
