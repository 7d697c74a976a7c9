"""An evaluation task: the published files that it reads, and the function that evaluates a candidate on them."""

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizer.errors import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.results import Result

TOKENS_MANIFEST = "manifest.json"


def check_folders(names: Sequence[str]) -> list[Path]:
    """Return the folders of `--data` as paths. Raises InputError for a folder that does not exist."""
    folders = [Path(name) for name in names]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"--data {folder}: no such folder")
    return folders


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file as its authors publish it, with its size and sha256 (hex) if known.

    `names` are patterns of file names, the official one first. `address` is where to find the file; if it is inside an archive,
    `archive` gives the archive's size and hash. Nothing here downloads.
    """

    names: tuple[str, ...]
    address: str
    bytes: int | None = None
    sha256: str | None = None
    note: str = ""
    archive: str = ""

    def locate(self, folders: list[Path]) -> Path | None:
        """Find the file in a folder or one level below: the first pattern that matches, and its first match by name."""
        for name in self.names:
            for folder in folders:
                candidates = [*folder.iterdir(), *folder.glob("*/*")]
                matches = [path for path in candidates if path.is_file() and fnmatch.fnmatch(path.name, name)]
                if matches:
                    return min(matches)
        return None


@dataclass(frozen=True, slots=True)
class Task:
    """A task by name. `summary` is one line for `--where`.

    `run` takes the candidate and one path per file, or the folder of token shards if `reads_tokens`. `new_tokens` is the
    number of tokens that the task generates after each prompt; the context must have room for them.
    """

    name: str
    summary: str
    files: tuple[PublishedFile, ...]
    run: Callable[[Candidate, list[Path]], list[Result]]
    reads_tokens: bool = False
    new_tokens: int = 0

    def locate(self, folders: list[Path], context_tokens: int) -> list[Path] | str:
        """Return the paths for `run`, or the reason why the task cannot run."""
        if self.new_tokens >= context_tokens:
            return f"it writes {self.new_tokens} tokens, and the model's context is {context_tokens}"
        if self.reads_tokens:
            token_folders = [folder for folder in folders if (folder / TOKENS_MANIFEST).is_file()]
            return token_folders[:1] or "no folder of token shards among --data"
        paths = [file.locate(folders) for file in self.files]
        missing = [file.names[0] for file, path in zip(self.files, paths, strict=True) if path is None]
        if missing:
            return f"{', '.join(missing)} not found; `webtext-train eval --where` says where it is published"
        return [path for path in paths if path is not None]
