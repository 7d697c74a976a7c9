"""What the demo's web documents: topics of the language, the standard library, then installed packages, in a seeded order."""

import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

TOPICS = "topics."

SKIPPED_NAMES = frozenset(
    {
        "__main__",
        "antigravity",
        "this",
        "idlelib",
        "turtledemo",
        "lib2to3",
        "encodings",
        "distutils",
        "backends",
        "site-packages",
        "conftest",
        "setup",
    }
)
PACKAGES = (
    "numpy",
    "scipy",
    "pyarrow",
    "matplotlib",
    "hypothesis",
    "pytest",
    "requests",
    "urllib3",
    "lxml",
    "datasketch",
    "praw",
    "trafilatura",
    "fontTools",
    "PIL",
    "sympy",
    "pygments",
    "networkx",
    "setuptools",
    "rich",
    "tqdm",
    "numba",
)
"""Packages with much English documentation. Those that are not installed are skipped."""


def module_names(limit: int, seed: int) -> list[str]:
    """Return at most `limit` sorted names, from the standard library first. The choice depends on the seed and the installation only."""
    library = Path(sysconfig.get_paths()["stdlib"])
    installed = Path(sysconfig.get_paths()["purelib"])
    builtin = [name for name in sys.builtin_module_names if not name.startswith("_")]
    standard = [*builtin, *(name for name in _below(library, "") if name.split(".")[0] in sys.stdlib_module_names)]
    packages = [name for package in PACKAGES for name in _below(installed / package, package)]
    order = [sorted(set(names), key=lambda name: _shuffle_key(name, seed)) for names in (standard, packages)]
    return sorted(list(dict.fromkeys(order[0] + order[1]))[:limit])


def topic_names() -> list[str]:
    """Return the sorted names of the pages on topics of Python's language reference."""
    return sorted(TOPICS + name for name in topics)


def host_of(name: str) -> str:
    """Return the site of a page: one for each package with many modules, one for the other modules of its parent.

    >>> [host_of(name) for name in ("json", "asyncio.tasks", "scipy.stats.qmc", "numpy.ma", "topics.while")]
    ['docs.python.example', 'asyncio.python.example', 'stats.scipy.example', 'docs.numpy.example', 'reference.python.example']
    """
    if name.startswith(TOPICS):
        return "reference.python.example"
    first, *rest = (part.strip("_").replace("_", "-") for part in name.lower().split("."))
    if name.partition(".")[0] in sys.stdlib_module_names:
        return f"{first}.python.example" if rest else "docs.python.example"
    return f"{rest[0] if len(rest) > 1 else 'docs'}.{first}.example"


def _shuffle_key(name: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest()


def _below(folder: Path, prefix: str) -> Iterator[str]:
    """Yield dotted names of the public modules below a folder, without tests. Reads the file system only and imports nothing."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        name = path.stem
        if name.startswith("_") or name in SKIPPED_NAMES or "test" in name or not name.isidentifier():
            continue
        dotted = f"{prefix}.{name}" if prefix else name
        if path.suffix == ".py":
            yield dotted
        elif path.is_dir() and (path / "__init__.py").exists():
            yield dotted
            yield from _below(path, dotted)
