"""Bands of signatures: entries of key and flat row, spread over buckets by the key's first bits, so that equal keys meet."""

from dataclasses import dataclass

import numpy as np

from pipeline.dedup.minhash import Words32, band_keys
from pipeline.engine.shuffle import Destinations, Entries

ENTRIES_A_BUCKET = 1 << 18
KIND = "bands"


@dataclass(frozen=True, slots=True)
class Bands:
    """How signatures are cut, and over how many buckets (a power of two) their keys are spread."""

    bands: int
    rows: int
    buckets: int

    @classmethod
    def over(cls, documents: int, bands: int, rows: int) -> "Bands":
        """About ENTRIES_A_BUCKET in each bucket, at least four so that several workers share."""
        return cls(bands, rows, 1 << max(2, (max(1, documents * bands) // ENTRIES_A_BUCKET).bit_length()))


def band_entries(signed: Words32, first: int, spec: Bands) -> tuple[Entries, Destinations]:
    """The entries of documents whose flat rows begin at `first`, and the bucket of each."""
    keys = band_keys(signed, spec.bands, spec.rows).reshape(-1)
    rows = np.arange(first, first + len(signed), dtype=np.uint64)
    bucket = keys >> np.uint64(65 - spec.buckets.bit_length())
    return np.stack([keys, np.repeat(rows, spec.bands)], axis=1), bucket.astype(np.int64)
