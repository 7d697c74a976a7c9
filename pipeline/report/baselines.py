"""What methods without a network pay for the held-out text, in bits per byte of UTF-8: the scale on which losses can be compared.

A loss in nats per token depends on the vocabulary; bits per byte do not.
"""

import gzip
from collections.abc import Iterator
from math import log
from pathlib import Path

import zstandard

from pipeline.report.numbers import Baseline, SplitNumbers
from tokenizer.codec import Tokenizer
from tokenizer.errors import FormatError
from tokenizer.formats import FILES
from tokenizer.shards import Manifest

MOST_BYTES = 16_000_000
"""Text that is compressed at most, from the split's beginning: enough for a figure of two digits, and a few seconds of work."""
GZIP_LEVEL, ZSTD_LEVEL = 9, 19


def baselines(dataset: Manifest, name: str, split: SplitNumbers) -> tuple[Baseline, ...]:
    """The unigram model's loss on a split, and what gzip and zstd make of its text as one file.

    The compressors are left out where the folder holds no tokenizer to spell the tokens with.
    """
    found = []
    if split.unigram_entropy is not None and split.text_bytes:
        bits = split.unigram_entropy * split.tokens / log(2)
        found.append(Baseline("unigram", "how common each token is, and nothing else", bits / split.text_bytes, split.text_bytes))
    text = b"\n".join(_texts(dataset, name))
    if text:
        about = f"{'the whole' if len(text) < MOST_BYTES else 'the beginning of the'} split as one file"
        sizes = {
            f"gzip -{GZIP_LEVEL}": len(gzip.compress(text, GZIP_LEVEL, mtime=0)),
            f"zstd -{ZSTD_LEVEL}": len(zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(text)),
        }
        reach = {f"gzip -{GZIP_LEVEL}": "the last 32 kB", f"zstd -{ZSTD_LEVEL}": "the last 8 MB"}
        found += [
            Baseline(method, f"{about}; repetitions are found in {reach[method]}", 8 * size / len(text), len(text))
            for method, size in sizes.items()
        ]
    return tuple(found)


def _texts(dataset: Manifest, name: str) -> Iterator[bytes]:
    """The texts of a split, in order, up to MOST_BYTES."""
    tokenizer = _tokenizer(Path(dataset.folder))
    if tokenizer is None:
        return
    room = MOST_BYTES
    for shard in dataset.open(name, verify=False):
        for _, ids in shard.documents():
            if room <= 0:
                return
            text = tokenizer.decode_bytes(ids)[:room]
            room -= len(text)
            yield text


def _tokenizer(folder: Path) -> Tokenizer | None:
    if not any((folder / name).is_file() for name in FILES):
        return None
    try:
        return Tokenizer.load(folder)
    except FormatError:
        return None  # the trainer says what is wrong with it
