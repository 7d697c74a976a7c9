"""Real text of the machine at hand, for benchmarks that need much of it: files of source, documentation and prose below some folders."""

import random
from collections.abc import Iterator
from pathlib import Path

SUFFIXES = {".py", ".pyi", ".txt", ".md", ".rst", ".html", ".h", ".js", ".c", ".pod", ".pm"}


def documents(folders: list[str], megabytes: int, most: int = 1 << 18) -> Iterator[str]:
    """Files of at most `most` bytes in a seeded order, each a document, until there are so many megabytes of them."""
    found = sorted(path for folder in folders for path in Path(folder).rglob("*") if path.suffix in SUFFIXES and path.is_file())
    random.Random(0).shuffle(found)
    left = megabytes * 1_000_000
    for path in found:
        data = path.read_bytes()[:most]
        left -= len(data)
        yield data.decode("utf-8", "ignore").replace("\x00", "")
        if left < 0:
            return
    raise SystemExit(f"only {megabytes - left / 1e6:.0f} MB of text below {folders}; name more folders or fewer --megabytes")
