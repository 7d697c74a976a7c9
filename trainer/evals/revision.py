"""The revision of this code that computes a result."""

from importlib.metadata import version
from pathlib import Path


def commit() -> str:
    """Return the commit of this checkout, read from git's files; for an installed wheel, its version."""
    git = Path(__file__).parents[2] / ".git"
    head = _read(git / "HEAD")
    if head is None:
        return f"webtext {version('webtext')}"
    if not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    return _read(git / name) or _packed_ref(git, name) or "unknown"


def _packed_ref(git: Path, name: str) -> str | None:
    for line in (_read(git / "packed-refs") or "").splitlines():
        if line.endswith(f" {name}"):
            return line.split()[0]
    return None


def _read(path: Path) -> str | None:
    return path.read_text().strip() if path.is_file() else None
