"""ROUGE-1, -2 and -L as F1 over lower-case alphanumeric words, without stemming (Lin 2004)."""

import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"[a-z0-9]+")


def words(text: str) -> list[str]:
    """Lower-case alphanumeric words of a text."""
    return _WORD.findall(text.lower())


def rouge_n(text: str, reference: str, n: int) -> float:
    """F1 of n-grams; repeated n-grams count each time.

    >>> rouge_n("the cat sat", "the cat ran", 1)
    0.6666666666666666
    """
    grams, reference_grams = (Counter(zip(*(w[i:] for i in range(n)), strict=False)) for w in (words(text), words(reference)))
    return _f1(sum((grams & reference_grams).values()), grams.total(), reference_grams.total())


def rouge_l(text: str, reference: str) -> float:
    """F1 of the longest common subsequence of words."""
    text_words, reference_words = words(text), words(reference)
    return _f1(_longest_common_subsequence(text_words, reference_words), len(text_words), len(reference_words))


def _longest_common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    row = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for column, other in enumerate(b, 1):
            above = row[column]
            row[column] = diagonal + 1 if word == other else max(above, row[column - 1])
            diagonal = above
    return row[-1]


def _f1(common: int, length: int, reference_length: int) -> float:
    return 2 * common / (length + reference_length) if common else 0.0
