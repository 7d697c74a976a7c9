"""The documents of the de-duplication benchmark: real text with planted edits, written as a documents folder."""

import argparse
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCUMENTS_PER_SHARD = 4096
WORDS_PER_DOCUMENT = 600
MIN_WORDS = 50
"""A text's last document is left out unless it has more words than this."""
PLANTED_SHARE = 0.15


def edit_words(words: list[str], target: float, kind: int, donor: list[str], generator: random.Random) -> list[str]:
    """Replace words (kind 0), cut off the end (1) or append other text (2), so that the similarity to the original is about `target`."""
    if kind == 0:
        changed = list(words)
        for at in generator.sample(range(len(words)), round(len(words) * (1 - target) / (1 + target) / 5 * 1.1)):
            changed[at] = f"edit{generator.randrange(10**9)}"
        return changed
    if kind == 1:
        return words[: round(len(words) * target)]
    return words + donor[: round(len(words) * (1 / target - 1))]


def plant(texts: list[str], share: float, seed: int = 1234) -> list[str]:
    """Return the texts and edited copies of a share of them, with similarities from 0.5 to 1, in a seeded order."""
    generator = random.Random(seed)
    long = [text for text in texts if len(text.split()) > 100]
    planted = list(texts)
    for i in range(round(share * len(texts))):
        words, donor = generator.choice(long).split(), generator.choice(long).split()
        target = 0.5 + 0.05 * (i % 10) + 0.0499 * generator.random()
        planted.append(" ".join(edit_words(words, target, i // 10 % 3, donor, generator)))
    generator.shuffle(planted)
    return planted


def rotate_letters(text: str, copy: int) -> str:
    """Map letter n of the alphabet to letter (multiplier * n + copy) mod 26. The 312 copies share words only by chance."""
    multiplier = (1, 3, 5, 7, 9, 11, 15, 17, 19, 21, 23, 25)[copy // 26]
    letters = "abcdefghijklmnopqrstuvwxyz"
    image = "".join(letters[(multiplier * n + copy) % 26] for n in range(26))
    return text.translate(str.maketrans(letters + letters.upper(), image + image.upper()))


def cut_texts(texts: Iterator[str]) -> Iterator[str]:
    """Cut texts into documents of WORDS_PER_DOCUMENT words. A last piece of MIN_WORDS words or fewer is left out."""
    for text in texts:
        words = re.findall(r"\S+\s*", text)
        for start in range(0, len(words), WORDS_PER_DOCUMENT):
            if len(words) - start > MIN_WORDS:
                yield "".join(words[start : start + WORDS_PER_DOCUMENT])


def make(arguments: argparse.Namespace) -> None:
    """Write the set: real text with planted edits, and copies of it with rotated letters."""
    import hashlib
    from datetime import UTC, datetime, timedelta

    from benchmarks import real_text
    from pipeline.records import Document

    base = plant(list(cut_texts(real_text.documents(arguments.folders, arguments.megabytes))), PLANTED_SHARE)
    epoch = datetime(2017, 1, 1, tzinfo=UTC)
    count = 0

    def shards() -> Iterator[Any]:
        nonlocal count
        for copy in range(arguments.copies):
            for start in range(0, len(base), DOCUMENTS_PER_SHARD):
                rows = []
                for text in (rotate_letters(t, copy) for t in base[start : start + DOCUMENTS_PER_SHARD]):
                    identity = hashlib.blake2b(text.encode(), digest_size=16).digest()
                    url, when = f"http://example.org/{count}", epoch + timedelta(seconds=count)
                    rows.append(Document(identity, url, url, "example.org", None, "en", 0.9, 3, when, None, text))
                    count += 1
                yield Document.table(rows)

    megabytes = write(arguments.output, shards()) / 1e6
    print(f"{count:,} documents, {megabytes:.0f} MB")


def write(folder: str, tables: Iterator[Any]) -> int:
    """Write a documents folder with one shard per table. Returns the bytes of its texts."""
    import pyarrow.compute as pc

    from pipeline.storage import files
    from pipeline.storage.manifest import Books, FileEntry, StageManifest

    entries, total = [], 0
    for i, table in enumerate(tables):
        name = f"documents-{i:05d}.parquet"
        digest = files.publish_table(str(Path(folder, name)), table)
        entries.append(FileEntry(name, "documents", table.num_rows, digest.bytes, digest.sha256))
        total += pc.sum(pc.binary_length(table.column("text"))).as_py()
    count = sum(entry.rows for entry in entries)
    StageManifest("documents", {}, {}, tuple(entries), Books(count, count), {"text_bytes": total}).save(folder)
    return total


def link_shards(folder: str, out: str, shards: slice) -> str:
    """Make a documents folder of some shards of another by hard links. Returns its path."""
    from pipeline.storage.manifest import Books, StageManifest

    entries = StageManifest.load(folder).files[shards]
    Path(out).mkdir(exist_ok=True)
    for entry in entries:
        Path(out, entry.name).hardlink_to(Path(folder, entry.name))
    rows = sum(entry.rows for entry in entries)
    StageManifest("documents", {}, {}, entries, Books(rows, rows), {}).save(out)
    return out


def texts_of(folder: str) -> list[str]:
    import pyarrow.parquet as pq

    paths = sorted(Path(folder).glob("documents-*.parquet"))
    return [text for path in paths for text in pq.read_table(path, columns=["text"]).column("text").to_pylist()]
