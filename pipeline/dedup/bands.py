"""Bands of signatures as entries of key and flat row, spread over buckets by the key's first bits: equal keys share a bucket."""

from dataclasses import dataclass

import numpy as np

from pipeline.dedup.minhash import band_keys
from pipeline.dedup.string_hashes import UInt32Array
from pipeline.engine.shuffle import Destinations, Entries

ENTRIES_PER_BUCKET = 1 << 18
KIND = "bands"


@dataclass(frozen=True, slots=True)
class BandLayout:
    """The number of bands per signature, of rows per band, and of buckets (a power of two) for the bands' keys."""

    bands: int
    rows: int
    buckets: int

    @classmethod
    def of(cls, documents: int, bands: int, rows: int) -> "BandLayout":
        """A layout with about ENTRIES_PER_BUCKET per bucket, and at least four buckets, so that workers share the work."""
        return cls(bands, rows, 1 << max(2, (max(1, documents * bands) // ENTRIES_PER_BUCKET).bit_length()))

    @property
    def permutations(self) -> int:
        """Minima per signature."""
        return self.bands * self.rows


def band_entries(signatures: UInt32Array, first: int, layout: BandLayout) -> tuple[Entries, Destinations]:
    """The band entries of documents whose flat rows begin at `first`, and the bucket of each entry."""
    keys = band_keys(signatures, layout.bands, layout.rows).reshape(-1)
    rows = np.arange(first, first + len(signatures), dtype=np.uint64)
    bucket = keys >> np.uint64(65 - layout.buckets.bit_length())
    return np.stack([keys, np.repeat(rows, layout.bands)], axis=1), bucket.astype(np.int64)
