"""The revision of this code that computes a result."""

from importlib.metadata import version
from pathlib import Path


def commit() -> str:
    """Return the commit of this checkout, read from git's files; for an installed wheel, its version."""
    return _commit_of(Path(__file__).parents[2]) or f"webtext {version('webtext')}"


def _commit_of(checkout: Path) -> str | None:
    git = checkout / ".git"
    pointer = _read(git) or ""  # in a worktree or submodule, .git is a file that names the folder
    if pointer.startswith("gitdir: "):
        git = checkout / pointer.removeprefix("gitdir: ")
    head = _read(git / "HEAD")
    if head is None or not head.startswith("ref: "):
        return head
    name, shared = head.removeprefix("ref: "), git / (_read(git / "commondir") or "")
    return _read(git / name) or _read(shared / name) or _packed_ref(shared, name) or "unknown"


def _packed_ref(git: Path, name: str) -> str | None:
    for line in (_read(git / "packed-refs") or "").splitlines():
        if line.endswith(f" {name}"):
            return line.split()[0]
    return None


def _read(path: Path) -> str | None:
    return path.read_text().strip() if path.is_file() else None
