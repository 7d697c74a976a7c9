"""ROUGE-1, -2 and -L as F1 over lower-cased alphanumeric words, without stemming (Lin 2004)."""

import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"[a-z0-9]+")


def words(text: str) -> list[str]:
    """The words that count."""
    return _WORD.findall(text.lower())


def rouge_n(text: str, truth: str, n: int) -> float:
    """F1 of n-grams, repeated ones counted.

    >>> rouge_n("the cat sat", "the cat ran", 1)
    0.6666666666666666
    """
    said, meant = (Counter(zip(*(w[i:] for i in range(n)), strict=False)) for w in (words(text), words(truth)))
    return _f1(sum((said & meant).values()), said.total(), meant.total())


def rouge_l(text: str, truth: str) -> float:
    """F1 of the longest common subsequence of words."""
    said, meant = words(text), words(truth)
    return _f1(_common_subsequence(said, meant), len(said), len(meant))


def _common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    row = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for place, other in enumerate(b, 1):
            above = row[place]
            row[place] = diagonal + 1 if word == other else max(above, row[place - 1])
            diagonal = above
    return row[-1]


def _f1(common: int, said: int, meant: int) -> float:
    return 2 * common / (said + meant) if common else 0.0
