"""Split text into sentences."""

CLOSING_QUOTES = "\"')\N{RIGHT DOUBLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"


def first_sentences(text: str, count: int) -> str:
    """Return the first `count` sentences; a sentence ends with a word that closes with `.`, `!` or `?`, quotes aside.

    >>> first_sentences("It rained. We ran home! Who would not?  Then", 2)
    'It rained. We ran home!'
    """
    words = text.split()
    ends = [index for index, word in enumerate(words, 1) if word.rstrip(CLOSING_QUOTES).endswith((".", "!", "?"))]
    return " ".join(words[: ends[count - 1]] if len(ends) >= count else words)
