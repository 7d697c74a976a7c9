"""Public face of MinHash: texts to signatures, in compiled code."""

from pipeline.dedup.minhash import signatures

__all__ = ["signatures"]
