"""Real text for benchmarks that need a lot of it.

    python benchmarks/real_text.py FOLDER      # unpacks Debian's documentation packages below FOLDER, about 1.9 GB; needs apt-get and dpkg

The source code and documentation of any machine serve too. HTML loses its tags. A CSV file with the columns `title` and `selftext`
(github.com/umbrae/reddit-top-2.5-million: 600 MB of posts) gives one document per row.
"""

import csv
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from hashlib import blake2b
from html import unescape
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.records import Document
from pipeline.storage.files import fingerprint
from pipeline.storage.manifest import Books, FileEntry, StageManifest

PLAIN = {".py", ".pyi", ".txt", ".md", ".rst", ".h", ".hpp", ".js", ".c", ".cpp", ".pod", ".pm"}
HTML, POSTS = ".html", ".csv"
PACKAGES = (
    "debian-handbook",
    "libboost1.74-doc",
    "libreoffice-help-en-us",
    "linux-doc-6.1",
    "openjdk-17-doc",
    "rust-doc",
    "sagemath-doc",
)
TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL)
ROWS_PER_GROUP = 4096


def documents(folders: list[str], megabytes: int, max_characters: int = 1 << 18) -> Iterator[str]:
    """Yield distinct texts from files in a seeded order, cut at `max_characters`, until they make up `megabytes`.

    Exits with a message if the folders hold less text.
    """
    paths = sorted(path for folder in folders for path in Path(folder).rglob("*") if path.suffix in {*PLAIN, HTML, POSTS})
    random.Random(0).shuffle(paths)
    left = megabytes * 1_000_000
    seen = set()
    for text in (text[:max_characters] for path in paths if path.is_file() for text in _texts(path)):
        key = blake2b(text.encode(), digest_size=8).digest()
        if key in seen:
            continue
        seen.add(key)
        yield text
        left -= len(text.encode())
        if left < 0:
            return
    raise SystemExit(f"only {megabytes - left / 1e6:.0f} MB of text below {folders}; name more folders or fewer --megabytes")


def regroup(texts: Iterator[str], times: int, together: int = 4096) -> Iterator[str]:
    """Yield `times` as much text: each document, and new documents made of its neighbours' lines in a seeded order.

    The words stay the same, except that white space meets other line ends. So a benchmark shows what grows with the amount of text
    alone. `together` documents at a time exchange lines.
    """
    generator = random.Random(0)
    while batch := list(islice(texts, together)):
        yield from batch
        lines = [line for text in batch for line in text.splitlines(keepends=True)]
        size = -(-len(lines) // len(batch))
        for _ in range(times - 1):
            generator.shuffle(lines)
            yield from ("".join(lines[at : at + size]) for at in range(0, len(lines), size))


def _texts(path: Path) -> Iterator[str]:
    if path.suffix == POSTS:
        with path.open(encoding="utf-8", errors="ignore", newline="") as file:
            for row in csv.DictReader(line.replace("\x00", "") for line in file):
                if row.get("selftext") and row.get("title"):
                    yield f"{row['title']}\n\n{row['selftext']}"
        return
    text = path.read_bytes().decode("utf-8", "ignore").replace("\x00", "")
    yield unescape(TAG.sub(" ", text)).replace("\x00", "") if path.suffix == HTML else text


def write_corpus(folder: Path, texts: Iterator[str], shard_megabytes: int = 64) -> int:
    """Write the texts as a finished documents folder. Returns their bytes."""
    folder.mkdir(parents=True)
    entries: list[FileEntry] = []
    pending: list[Document] = []
    sizes = [0]
    for text in texts:
        size = len(text.encode())
        name = blake2b(text.encode(), digest_size=16).digest()
        pending.append(Document(name, "https://a.example/", "a.example", "a.example", None, "en", None, 3, None, None, text))
        sizes[-1] += size
        if sizes[-1] > shard_megabytes * 1_000_000:
            entries.append(_write_shard(folder, len(entries), pending))
            pending = []
            sizes.append(0)
    if pending:
        entries.append(_write_shard(folder, len(entries), pending))
    rows = sum(entry.rows for entry in entries)
    StageManifest("documents", {}, {}, tuple(entries), Books(rows, rows), {"text_bytes": sum(sizes)}).save(str(folder))
    return sum(sizes)


def _write_shard(folder: Path, number: int, documents: list[Document]) -> FileEntry:
    path = folder / f"documents-{number:05d}.parquet"
    pq.write_table(Document.table(documents), path, compression="zstd", row_group_size=ROWS_PER_GROUP)
    return FileEntry(path.name, "documents", len(documents), path.stat().st_size, fingerprint(str(path)))


def unpack(folder: Path) -> None:
    """Download the packages and unpack their files."""
    with tempfile.TemporaryDirectory() as downloads:
        subprocess.run(["apt-get", "download", *PACKAGES], cwd=downloads, check=True)
        for package in sorted(Path(downloads).glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]))
