"""Which n-grams of evaluation sets stand in the corpus (the paper's section 4 and Table 6), exactly.

A corpus word that no evaluation set holds ends every n-gram across it, so words become numbers of the sets' own vocabulary, and n-grams
become hashes of eight numbers. The hashes of the sets' n-grams are made to differ from one another, and every hit is compared number by
number: nothing is approximated, so there is no false positive. The paper used Bloom filters (a rate of at most 1e-8).
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.storage import arrays, files
from pipeline.storage.files import InputError

Numbers = npt.NDArray[np.int64]
Grams = npt.NDArray[np.int32]
Hashes = npt.NDArray[np.uint64]

_WORD = re.compile(r"[^\W_]+")
_TAG = re.compile(r"<[^>]*>")
UNKNOWN = -1


def words(text: str) -> list[str]:
    """The lower-cased alphanumeric words: `words("Don't  STOP_it!") == ["don", "t", "stop", "it"]`."""
    return _WORD.findall(text.lower())


def examples(path: str) -> Iterator[str]:
    """The texts of an evaluation file as published: every string of each JSON record, else the whole file without markup.

    Raises InputError naming the line that is not JSON in a file that should be.
    """
    data = files.read_bytes(path).decode(errors="replace")
    if path.endswith((".jsonl", ".json")):
        lines = data.split("\n") if path.endswith(".jsonl") else [data]
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield "\n".join(_strings(_parsed(path, number, line)))
    else:
        yield _TAG.sub(" ", data) if path.endswith((".xml", ".sgm")) else data


def _parsed(path: str, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise InputError(f"{path}, line {number}: not JSON ({error}); take the file as it is published") from error


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Of one evaluation set: the number of the n-gram at each place, example after example; `lengths` are the places an example has."""

    grams: Numbers
    lengths: Numbers


@dataclass(frozen=True)
class GramIndex:
    """The distinct n-grams of all sets: row i of `grams` holds the numbers of its words, `hashes` their hashes, ascending."""

    vocabulary: dict[str, int]
    grams: Grams
    hashes: Hashes
    salt: int

    @property
    def size(self) -> int:
        """Words in an n-gram."""
        return int(self.grams.shape[1])

    def find(self, text: str) -> Numbers:
        """The numbers of the n-grams that stand in a text, once for each place."""
        get = self.vocabulary.get
        windows = _windows(np.array([get(word, UNKNOWN) for word in words(text)], np.int32), self.size)
        windows = windows[(windows >= 0).all(axis=1)]
        if not len(windows) or not len(self.hashes):
            return np.empty(0, np.int64)
        hashes = _hash(windows, self.salt)
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        hits = np.flatnonzero(self.hashes[at] == hashes)
        same = (self.grams[at[hits]] == windows[hits]).all(axis=1)
        return np.asarray(at[hits[same]], np.int64)

    def save(self, folder: str) -> None:
        """As three files, for the workers."""
        vocabulary = "\n".join(self.vocabulary).encode()
        files.publish_bytes(files.join(folder, "words.txt"), vocabulary)
        arrays.save(files.join(folder, "grams.npy"), self.grams)
        arrays.save(files.join(folder, "hashes.npy"), np.append(self.hashes, np.uint64(self.salt)))


@lru_cache(maxsize=1)
def load_index(folder: str) -> GramIndex:
    """What `save` wrote; a worker reads it once."""
    vocabulary = files.read_bytes(files.join(folder, "words.txt")).decode()
    numbered = {word: number for number, word in enumerate(vocabulary.split("\n"))}
    hashes = np.array(arrays.load(files.join(folder, "hashes.npy")))
    return GramIndex(numbered, arrays.load(files.join(folder, "grams.npy")), hashes[:-1], int(hashes[-1]))


def build_index(sets: Sequence[Iterable[str]], size: int) -> tuple[GramIndex, list[Occurrences]]:
    """The index of the sets (each its examples' texts), and where each set has which n-gram."""
    vocabulary: dict[str, int] = {}
    places: list[list[Grams]] = []
    for texts in sets:
        numbered = ([vocabulary.setdefault(word, len(vocabulary)) for word in words(text)] for text in texts)
        places.append([_windows(np.array(numbers, np.int32), size) for numbers in numbered])
    everything = np.concatenate([np.empty((0, size), np.int32), *(w for windows in places for w in windows)])
    distinct, inverse = np.unique(everything, axis=0, return_inverse=True)
    hashes, salt = _distinct_hashes(distinct)
    order = np.argsort(hashes)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    index = GramIndex(vocabulary, distinct[order], hashes[order], salt)
    return index, _occurrences(places, rank[inverse.reshape(-1)])


def _occurrences(places: list[list[Grams]], numbers: Numbers) -> list[Occurrences]:
    lengths = [np.array([len(windows) for windows in one], np.int64) for one in places]
    ends = np.cumsum([int(one.sum()) for one in lengths])[:-1]
    return [Occurrences(*pair) for pair in zip(np.split(numbers, ends), lengths, strict=True)]


def _windows(numbers: npt.NDArray[np.int32], size: int) -> Grams:
    if len(numbers) < size:
        return np.empty((0, size), np.int32)
    return np.lib.stride_tricks.sliding_window_view(numbers, size)


def _hash(grams: Grams, salt: int) -> Hashes:
    """A 64-bit hash of each row, by multiplying and adding word after word."""
    value = np.full(len(grams), salt, np.uint64)
    for column in range(grams.shape[1]):
        value = (value ^ (value >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15) + grams[:, column].astype(np.uint64)
    return value * np.uint64(0xBF58476D1CE4E5B9)


def _distinct_hashes(grams: Grams) -> tuple[Hashes, int]:
    """Hashes under the first salt that keeps different n-grams apart."""
    salt = 0
    while True:
        hashes = _hash(grams, salt)
        if len(np.unique(hashes)) == len(grams):
            return hashes, salt
        salt += 1


@dataclass(frozen=True, slots=True)
class SetOverlap:
    """What of one evaluation set stands in the corpus. Percentages are of n-grams by place (the paper's), distinct ones, and examples.

    `mean_example_percent` is the mean over examples of their own percentage by place.
    """

    name: str
    file: str
    sha256: str
    examples: int
    grams: int
    distinct_grams: int
    found_grams: int
    found_distinct_grams: int
    examples_with_any: int
    mean_example_percent: float

    @property
    def percent(self) -> float:
        """Found among all, by place: what Table 6 gives."""
        return 100 * self.found_grams / self.grams if self.grams else 0.0


def measure(name: str, file: str, sha256: str, where: Occurrences, found: npt.NDArray[np.bool_]) -> SetOverlap:
    """One set's overlap; `found` says of each n-gram of the index whether the corpus holds it."""
    hits = found[where.grams]
    ends = np.cumsum(where.lengths)
    sums = np.concatenate([[0], np.cumsum(hits)])
    own = sums[ends] - sums[ends - where.lengths]
    asked = where.lengths > 0
    shares = own[asked] / where.lengths[asked]
    distinct = np.unique(where.grams)
    return SetOverlap(
        name=name,
        file=file,
        sha256=sha256,
        examples=len(where.lengths),
        grams=len(where.grams),
        distinct_grams=len(distinct),
        found_grams=int(hits.sum()),
        found_distinct_grams=int(found[distinct].sum()),
        examples_with_any=int((own > 0).sum()),
        mean_example_percent=float(100 * shares.mean()) if len(shares) else 0.0,
    )
