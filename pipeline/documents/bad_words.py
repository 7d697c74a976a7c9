"""Lists of words that no document may hold: C4's rule (Raffel et al. 2020, section 2.2). The list is the caller's file."""

from pipeline.storage import files
from pipeline.storage.files import InputError


def load(path: str) -> frozenset[str]:
    """The words and phrases of a file, one a line, in lower case. Raises InputError where there is none."""
    lines = files.read_bytes(path).decode("utf-8", errors="replace").splitlines()
    words = frozenset(word for line in lines if (word := line.strip().lower()))
    if not words:
        raise InputError(f"{path}: no words in it; one word or phrase a line is expected")
    return words
