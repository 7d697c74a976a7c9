"""Where a document goes, by its id alone: one hash gives its split, another one its place in the order of the split.

Growing the corpus therefore moves no document to another split and changes the order of no two documents. There is one exception:
where a share is too small for the number of documents, the split would be empty, so the next document by its hash fills it.

Where duplicates were kept, a cluster of them goes as one (`groups`), and the copies of a text do not stand side by side in the order.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage.hashing import hash_ids, mix
from pipeline.tokens.groups import DocumentNumbers, first_ids

SPLITS = ("train", "validation", "test")
EXPECTED_TO_FILL: Final = 64
"""A split with this many expected documents has none once in 10^27 corpora, so nobody looks."""


@dataclass(frozen=True, slots=True)
class Splitting:
    """Hashes are numbers from 0 to 1: those below `validation_below` are held out for validation, the next ones, below `test_below`,
    for testing.

    `groups` is a file of `groups.GROUPS`: of the documents in it, the hash of their group's id decides."""

    validation_below: float
    test_below: float
    split_seed: int
    order_seed: int
    groups: str | None = None

    def split(self, ids: pa.Array) -> npt.NDArray[np.uint8]:
        """The split of each document, as a position in SPLITS."""
        hashes = self.hashes(ids)
        held_out = np.where(hashes < self.validation_below, 1, 2)
        return np.where(hashes < self.test_below, held_out, 0).astype(np.uint8)

    def hashes(self, ids: pa.Array) -> npt.NDArray[np.float64]:
        """The hash of each id that decides its split, from 0 to 1."""
        ids = first_ids(ids, self.groups) if self.groups else ids
        return np.asarray(hash_ids(ids, self.split_seed, b"split").astype(np.float64) / 2.0**64)

    def order(self, ids: pa.Array, copies: DocumentNumbers | None = None) -> npt.NDArray[np.uint64]:
        """The order hash of each document. `copies` counts, for each, the documents of the same text before it (None: 0)."""
        hashes = hash_ids(ids, self.order_seed, b"order")
        return hashes if copies is None else np.where(copies > 0, mix(hashes + copies.astype(np.uint64)), hashes)

    def is_sure_to_fill(self, documents: int) -> bool:
        """Whether each held-out split with a share gets one of this many documents, as good as certainly."""
        shares = (self.validation_below, self.test_below - self.validation_below)
        return all(not share or share * documents >= EXPECTED_TO_FILL for share in shares)

    def filled(self, batches: Iterable[pa.RecordBatch]) -> Self:
        """The splitting with its borders moved so that each held-out split with a share gets a document of the corpus.

        `batches` hold the columns `document_id` and `text`; documents without text do not count. They are read until every split
        has a document. A border moves only as far as the next hash, and only if a document is left for training.
        """
        few: npt.NDArray[np.float64] = np.zeros(0)
        for batch in batches:
            with_text = pc.greater(pc.binary_length(batch.column("text")), 0)
            hashes = np.unique(np.concatenate([few, self.hashes(pc.filter(batch.column("document_id"), with_text))]))
            few = np.unique(np.concatenate([hashes[:3], hashes[hashes >= self.validation_below][:3], hashes[-1:]]))
            if self._fills(few):
                return self
        return self._moved(few)

    def _fills(self, hashes: npt.NDArray[np.float64]) -> bool:
        """Whether documents with these hashes leave no split empty that has a share."""
        borders = (0.0, self.validation_below, self.test_below, 1.0)
        return all(low >= high or bool(((hashes >= low) & (hashes < high)).any()) for low, high in pairwise(borders))

    def _moved(self, hashes: npt.NDArray[np.float64]) -> Self:
        """The splitting that leaves no split of documents with these ascending hashes empty, where there are enough of them."""
        validation, test = self.validation_below, self.test_below
        has_test = test > validation
        if validation and len(hashes) > 1 and hashes[0] >= validation:
            validation = float(np.nextafter(hashes[0], 2))
            test = max(validation, test)
        left = hashes[hashes >= validation]
        if has_test and len(left) > 1 and left[0] >= test:
            test = float(np.nextafter(left[0], 2))
        return replace(self, validation_below=validation, test_below=test)
