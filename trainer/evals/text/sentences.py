"""The first sentences of a text."""

CLOSING_QUOTES = "\"')\N{RIGHT DOUBLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"


def sentences(text: str, count: int) -> str:
    """The first sentences of a text: a stop, an exclamation or a question mark before a space or line end closes one.

    >>> sentences("It rained. We ran home! Who would not?  Then", 2)
    'It rained. We ran home!'
    """
    words = text.split()
    ends = [place for place, word in enumerate(words, 1) if word.rstrip(CLOSING_QUOTES).endswith((".", "!", "?"))]
    return " ".join(words[: ends[count - 1]] if len(ends) >= count else words)
