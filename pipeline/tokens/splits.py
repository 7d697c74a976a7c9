"""Where a document goes, by its id alone: one hash gives its split, another one its place in the order of the split.

Growing the corpus therefore moves no document to another split and changes the order of no two documents.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.storage.hashing import hash_ids

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Splitting:
    """The share of documents for each held-out split, and the seeds of both hashes."""

    validation_share: float
    test_share: float
    split_seed: int
    order_seed: int

    def split(self, ids: pa.Array) -> npt.NDArray[np.uint8]:
        """The split of each document, as a position in SPLITS."""
        hashes = hash_ids(ids, self.split_seed, b"split").astype(np.float64) / 2.0**64
        held_out = np.where(hashes < self.validation_share, 1, 2)
        return np.where(hashes < self.validation_share + self.test_share, held_out, 0).astype(np.uint8)

    def order(self, ids: pa.Array) -> npt.NDArray[np.uint64]:
        """The order hash of each document."""
        return hash_ids(ids, self.order_seed, b"order")
