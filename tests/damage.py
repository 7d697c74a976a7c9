"""Files that went bad."""

from pathlib import Path


def flip_a_bit(path: Path) -> None:
    """In the middle of the file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
