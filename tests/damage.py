"""Damage to files, for tests of verification."""

from pathlib import Path


def flip_a_bit(path: Path) -> None:
    """Flip one bit in the middle of the file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
