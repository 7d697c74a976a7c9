"""Match answers as the evaluation scripts of SQuAD and CoQA do: lower case, without punctuation and articles."""

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize(answer: str) -> str:
    """Return the answer's words in lower case, without punctuation and articles.

    >>> normalize("The  Beatles!")
    'beatles'
    """
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, truths: Sequence[str]) -> bool:
    """Whether the normalized answer equals one of the normalized truths."""
    return normalize(answer) in {normalize(truth) for truth in truths}


def f1(answer: str, truth: str) -> float:
    """Harmonic mean of precision and recall over words; repeated words count each time."""
    answer_words, truth_words = normalize(answer).split(), normalize(truth).split()
    if not answer_words or not truth_words:
        return float(answer_words == truth_words)
    common = sum((Counter(answer_words) & Counter(truth_words)).values())
    return 2 * common / (len(answer_words) + len(truth_words))


def coqa_f1(answer: str, truths: Sequence[str]) -> float:
    """F1 against the answers of several people: the best of all but one, averaged over the one left out.

    CoQA scores people in the same way, each against the others.
    """
    if len(truths) == 1:
        return f1(answer, truths[0])
    scores = [f1(answer, truth) for truth in truths]
    return sum(max(scores[:i] + scores[i + 1 :]) for i in range(len(scores))) / len(scores)
