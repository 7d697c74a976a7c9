"""Lists of words that no document may contain: C4's rule (Raffel et al. 2020, section 2.2). The user brings the list."""

from pipeline.storage import files
from tokenizer.errors import InputError


def load(path: str) -> frozenset[str]:
    """The words and phrases of a file, one per line, in lower case. Raises InputError where the file has none."""
    lines = files.read_bytes(path).decode("utf-8", errors="replace").splitlines()
    words = frozenset(word for line in lines if (word := line.strip().lower()))
    if not words:
        raise InputError(f"{path}: the file has no words; write one word or phrase per line")
    return words
