"""Lists of words that no document may contain: C4's rule (Raffel et al. 2020, section 2.2). The user brings the list."""

import unicodedata

from pipeline.storage import files
from tokenizer.errors import InputError


def load(path: str) -> frozenset[str]:
    """The words and phrases of a file, one per line, in lower case. Raises InputError where the file has none."""
    try:
        lines = files.read_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; save the list as UTF-8") from error
    words = frozenset(word for line in lines if (word := " ".join(unicodedata.normalize("NFC", line).lower().split())))
    if not words:
        raise InputError(f"{path}: the file has no words; write one word or phrase per line")
    return words
