"""Comparing answers as SQuAD's and CoQA's own scripts do: lower-cased, without punctuation and articles."""

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(answer: str) -> str:
    """The words that count.

    >>> normalise("The  Beatles!")
    'beatles'
    """
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, truths: Sequence[str]) -> bool:
    """Whether it is one of them, once normalised."""
    return normalise(answer) in {normalise(truth) for truth in truths}


def f1(answer: str, truth: str) -> float:
    """Harmonic mean of precision and recall of the words, repeated ones counted."""
    said, meant = normalise(answer).split(), normalise(truth).split()
    if not said or not meant:
        return float(said == meant)
    common = sum((Counter(said) & Counter(meant)).values())
    return 2 * common / (len(said) + len(meant))


def coqa_f1(answer: str, truths: Sequence[str]) -> float:
    """Against several people's answers: the best, averaged over leaving each of them out (as among people themselves)."""
    if len(truths) == 1:
        return f1(answer, truths[0])
    scores = [f1(answer, truth) for truth in truths]
    return sum(max(scores[:i] + scores[i + 1 :]) for i in range(len(scores))) / len(scores)
