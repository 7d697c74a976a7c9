"""The index of evaluation sets' n-grams, which finds them in a text exactly (the paper's section 4 and Table 6).

Words become numbers of the sets' own vocabulary. A corpus word that no set holds has no number: no n-gram spans it. An n-gram becomes a
64-bit hash of its numbers; a salt keeps the hashes of the sets' n-grams distinct, and each hit is compared number by number. There is
therefore no false positive. The paper used Bloom filters (a rate of at most 1e-8).
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pipeline.storage import arrays, files

NgramNumbers = npt.NDArray[np.int64]
"""Rows of an index's n-grams."""

NgramWords = npt.NDArray[np.int32]
"""A row per n-gram: the numbers of its words."""

NgramHashes = npt.NDArray[np.uint64]
"""A hash per n-gram."""

_WORD = re.compile(r"[^\W_]+")
UNKNOWN = -1


def words(text: str) -> list[str]:
    """The alphanumeric words in lower case. Composed and decomposed letters are equal.

    >>> words("Don't  STOP_it!")
    ['don', 't', 'stop', 'it']
    """
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


@dataclass(frozen=True, slots=True)
class Occurrences:
    """The n-grams of one evaluation set: `grams` their numbers, example after example; `lengths` how many each example has."""

    grams: NgramNumbers
    lengths: npt.NDArray[np.int64]


@dataclass(frozen=True)
class NgramIndex:
    """The distinct n-grams of all sets: row i of `grams` holds the numbers of its words; `hashes` are theirs, ascending."""

    vocabulary: dict[str, int]
    grams: NgramWords
    hashes: NgramHashes
    salt: int

    @property
    def size(self) -> int:
        """Words per n-gram."""
        return int(self.grams.shape[1])

    def find(self, text: str) -> NgramNumbers:
        """The numbers of the n-grams in a text, one per place where one occurs."""
        get = self.vocabulary.get
        windows = _windows(np.array([get(word, UNKNOWN) for word in words(text)], np.int32), self.size)
        windows = windows[(windows >= 0).all(axis=1)]
        if not len(windows) or not len(self.hashes):
            return np.empty(0, np.int64)
        hashes = _hash(windows, self.salt)
        rows = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        hits = np.flatnonzero(self.hashes[rows] == hashes)
        equal = (self.grams[rows[hits]] == windows[hits]).all(axis=1)
        return np.asarray(rows[hits[equal]], np.int64)

    def save(self, folder: str) -> None:
        """Write three files, for `load_index`."""
        vocabulary = "\n".join(self.vocabulary).encode()
        files.publish_bytes(files.join(folder, "words.txt"), vocabulary)
        arrays.save(files.join(folder, "grams.npy"), self.grams)
        arrays.save(files.join(folder, "hashes.npy"), np.append(self.hashes, np.uint64(self.salt)))


@lru_cache(maxsize=1)
def load_index(folder: str) -> NgramIndex:
    """The index that `save` wrote; a worker reads it once."""
    vocabulary = files.read_bytes(files.join(folder, "words.txt")).decode()
    numbers = {word: number for number, word in enumerate(vocabulary.split("\n"))}
    hashes = np.array(arrays.load(files.join(folder, "hashes.npy")))
    return NgramIndex(numbers, arrays.load(files.join(folder, "grams.npy")), hashes[:-1], int(hashes[-1]))


def build_index(sets: Sequence[Iterable[str]], size: int) -> tuple[NgramIndex, list[Occurrences]]:
    """The index of all sets, each given by the texts of its examples, and the occurrences of each set. `size` is words per n-gram."""
    vocabulary: dict[str, int] = {}
    windows: list[list[NgramWords]] = []
    for texts in sets:
        numbers = ([vocabulary.setdefault(word, len(vocabulary)) for word in words(text)] for text in texts)
        windows.append([_windows(np.array(example, np.int32), size) for example in numbers])
    places = np.concatenate([np.empty((0, size), np.int32), *(example for examples in windows for example in examples)])
    distinct, inverse = np.unique(places, axis=0, return_inverse=True)
    hashes, salt = _distinct_hashes(distinct)
    order = np.argsort(hashes)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    index = NgramIndex(vocabulary, distinct[order], hashes[order], salt)
    return index, _occurrences(windows, rank[inverse.reshape(-1)])


def _occurrences(windows: list[list[NgramWords]], numbers: NgramNumbers) -> list[Occurrences]:
    """Split the numbers of all places by set."""
    lengths = [np.array([len(example) for example in examples], np.int64) for examples in windows]
    ends = np.cumsum([int(own.sum()) for own in lengths])[:-1]
    return [Occurrences(*pair) for pair in zip(np.split(numbers, ends), lengths, strict=True)]


def _windows(numbers: npt.NDArray[np.int32], size: int) -> NgramWords:
    """All runs of `size` consecutive words."""
    if len(numbers) < size:
        return np.empty((0, size), np.int32)
    return np.lib.stride_tricks.sliding_window_view(numbers, size)


def _hash(grams: NgramWords, salt: int) -> NgramHashes:
    """A 64-bit hash of each row: multiply and add, word after word."""
    value = np.full(len(grams), salt, np.uint64)
    for column in range(grams.shape[1]):
        value = (value ^ (value >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15) + grams[:, column].astype(np.uint64)
    return value * np.uint64(0xBF58476D1CE4E5B9)


def _distinct_hashes(grams: NgramWords) -> tuple[NgramHashes, int]:
    """Distinct hashes of distinct n-grams, and the first salt that gives them."""
    salt = 0
    while True:
        hashes = _hash(grams, salt)
        if len(np.unique(hashes)) == len(grams):
            return hashes, salt
        salt += 1
