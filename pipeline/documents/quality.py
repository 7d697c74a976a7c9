"""Published quality filters, opt-in. Each gives None to keep a text, or the rule that drops the text with its figure.

Sources: Gopher (Rae et al. 2021, table A1 and section A.1.1), C4 (Raffel et al. 2020, section 2.2), FineWeb (Penedo et al. 2024, 3.6).
C4's figures are those of the printed paper (JMLR 21) and its code (TensorFlow Datasets' c4_utils): pages from 3 sentences, lines from 5
words; datatrove has the preprint's 5 and 3. FineWeb's figures are those of its paper; its code has 0.01 for duplicate lines and a fourth
rule, on line breaks. Rules that need all documents at once (C4's three-sentence spans, FineWeb's deduplication) belong to the stage dedup.

Words are runs without white space, and characters of scripts that have no spaces. C4 and FineWeb take the stops of all scripts, as
datatrove does; C4's phrases are English. Gopher's stop words and lengths of words are those of English: documents in other languages
are judged by its other rules, and its n-grams of words are left out where words have no spaces.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum, unique
from typing import Final, Self

from pipeline.documents.scripts import QUOTE_ENDS, SENTENCE_ENDS, UNPUNCTUATED, is_unspaced, width
from pipeline.documents.scripts import words as split_words

ENGLISH: Final = "en"
STOP_WORDS: Final = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
BULLETS: Final = ("•", "‣", "▪", "-", "*", "●")
ELLIPSES: Final = ("...", "…")
LINE_END: Final = re.compile(rf"""(?:[.!?"”'’{SENTENCE_ENDS}{QUOTE_ENDS}]|[{UNPUNCTUATED}])$""")  # noqa: RUF001
SENTENCE: Final = re.compile(
    rf"""[.!?]+["'”’)\]]*(?:\s|$)|[{SENTENCE_ENDS}]+[{QUOTE_ENDS}"']*|[{UNPUNCTUATED}](?:\s|$)"""  # noqa: RUF001
)
C4_POLICY: Final = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
C4_CITATION: Final = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
C4_SENTENCES: Final = 3
C4_LINE_WORDS: Final = 5
C4_WORD_CHARACTERS: Final = 1_000
DUPLICATE_NGRAMS: Final = {2: 0.20, 3: 0.18, 4: 0.16}
REPEATED_NGRAMS: Final = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


def gopher(text: str) -> str | None:
    """MassiveText's quality and repetition rules.

    >>> gopher("word " * 10)
    'gopher_words: 10'
    """
    words = split_words(text)
    return _gopher_quality(text, words, english=True) or _gopher_repetition(text, words)


def gopher_beyond_english(text: str) -> str | None:
    """Gopher's rules for a text in another language than English.

    >>> gopher_beyond_english("守塔人都会爬上楼梯")
    'gopher_words: 9'
    """
    words = split_words(text)
    return _gopher_quality(text, words, english=False) or _gopher_repetition(text, [] if is_unspaced(text) else words)


def c4_lines(text: str) -> tuple[str, int]:
    """The lines that C4 keeps, without citation marks, and the number of lines removed. Idempotent.

    >>> c4_lines("The cat sat on the mat.[1]\\nRead more\\nEnable JavaScript to see the map.")
    ('The cat sat on the mat.', 2)
    """
    lines = [C4_CITATION.sub("", line).rstrip() for line in text.split("\n")]
    kept = [line for line in lines if _c4_line(line)]
    return "\n".join(kept), len(lines) - len(kept)


def c4(text: str) -> str | None:
    """C4's rules that drop a page, applied after its rules for lines.

    >>> c4("function() { return 1; }")
    'c4_brace: 1'
    """
    folded = text.lower()
    if "lorem ipsum" in folded:
        return "c4_lorem_ipsum: 1"
    if "{" in text:
        return f"c4_brace: {text.count('{')}"
    sentences = len(SENTENCE.findall(text))
    return f"c4_sentences: {sentences}" if sentences < C4_SENTENCES else None


def fineweb(text: str) -> str | None:
    """The three rules that FineWeb adds to Gopher's and C4's.

    >>> fineweb("no stop at the end")
    'fineweb_line_ends: 0.00'
    """
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return "fineweb_empty: 0"
    ends = sum(LINE_END.search(line.rstrip()) is not None for line in lines) / len(lines)
    if ends <= 0.12:
        return f"fineweb_line_ends: {ends:.2f}"
    short = sum(width(line) <= 30 for line in lines) / len(lines)
    if short >= 0.67:
        return f"fineweb_short_lines: {short:.2f}"
    repeated = _repeated_characters(lines) / len(text.replace("\n", ""))
    return f"fineweb_duplicate_lines: {repeated:.2f}" if repeated >= 0.1 else None


@unique
class QualityFilter(StrEnum):
    """The registry of quality filters. To add a filter, write its function and one line here.

    A member is the word that --filters takes, and the reason of the filter's drops. `judge` gives None to keep a text, or the rule that
    drops the text with its figure. `strip_lines`, where a filter has it, runs before: it gives the text without some lines, and their
    number. `judge_beyond_english`, where a filter has it, judges documents in other languages.
    """

    judge: Callable[[str], str | None]
    strip_lines: Callable[[str], tuple[str, int]] | None
    judge_beyond_english: Callable[[str], str | None] | None

    def __new__(
        cls,
        word: str,
        judge: Callable[[str], str | None],
        strip_lines: Callable[[str], tuple[str, int]] | None = None,
        judge_beyond_english: Callable[[str], str | None] | None = None,
    ) -> Self:
        """The member of a line below."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.judge, member.strip_lines, member.judge_beyond_english = judge, strip_lines, judge_beyond_english
        return member

    def reason(self, text: str, language: str) -> str | None:
        """Why the filter drops a text in a language."""
        beyond = None if language == ENGLISH else self.judge_beyond_english
        return (beyond or self.judge)(text)

    GOPHER = "gopher", gopher, None, gopher_beyond_english
    C4 = "c4", c4, c4_lines
    FINEWEB = "fineweb", fineweb


FILTERS: Final[dict[str, QualityFilter]] = {str(member): member for member in QualityFilter}
"""The filters by their words."""


def check_names(names: Iterable[str], setting: str) -> None:
    """Raise ValueError where a name is not that of a filter; `setting` is what the caller calls the names."""
    if unknown := sorted(set(names) - set(FILTERS)):
        raise ValueError(f"{setting} {unknown[0]}: not one of {', '.join(FILTERS)}")


def _gopher_quality(text: str, words: list[str], *, english: bool) -> str | None:
    count = len(words)
    if not 50 <= count <= 100_000:
        return f"gopher_words: {count}"
    lines = text.split("\n")
    shares = [
        ("gopher_hashes", text.count("#") / count, 0.0, 0.1),
        ("gopher_ellipsis_marks", sum(map(text.count, ELLIPSES)) / count, 0.0, 0.1),
        ("gopher_bullets", sum(line.lstrip().startswith(BULLETS) for line in lines) / len(lines), 0.0, 0.9),
        ("gopher_ellipses", sum(line.rstrip().endswith(ELLIPSES) for line in lines) / len(lines), 0.0, 0.3),
        ("gopher_letters", sum(any(map(str.isalpha, word)) for word in words) / count, 0.8, 1.0),
    ]
    if english:
        stop_words = float(len(STOP_WORDS.intersection(word.lower() for word in words)))
        shares.insert(0, ("gopher_word_length", sum(map(len, words)) / count, 3.0, 10.0))
        shares.append(("gopher_stop_words", stop_words, 2.0, float(len(STOP_WORDS))))
    return next((f"{name}: {share:.2f}" for name, share, least, most in shares if not least <= share <= most), None)


def _gopher_repetition(text: str, words: list[str]) -> str | None:
    lines = [line for line in text.split("\n") if line.strip()]
    paragraphs = [paragraph for paragraph in text.split("\n\n") if paragraph.strip()]
    shares = [
        ("gopher_duplicate_lines", _repeated(lines) / len(lines), 0.30),
        ("gopher_duplicate_paragraphs", _repeated(paragraphs) / len(paragraphs), 0.30),
        ("gopher_duplicate_line_characters", _repeated_characters(lines) / len(text), 0.20),
        ("gopher_duplicate_paragraph_characters", _repeated_characters(paragraphs) / len(text), 0.20),
    ]
    letters = sum(map(len, words)) or 1
    shares += [(f"gopher_top_{n}_gram", _top_ngram(words, n) / letters, most) for n, most in DUPLICATE_NGRAMS.items()]
    shares += [
        (f"gopher_duplicate_{n}_grams", _in_repeated_ngrams(words, n) / letters, most) for n, most in REPEATED_NGRAMS.items()
    ]
    return next((f"{name}: {share:.2f}" for name, share, most in shares if share > most), None)


def _c4_line(line: str) -> bool:
    """Whether C4 keeps a line: five words that end like a sentence, none of absurd length, no JavaScript or cookie notice."""
    folded, words = line.lower(), split_words(line)
    return (
        LINE_END.search(line) is not None
        and not line.endswith(ELLIPSES)
        and len(words) >= C4_LINE_WORDS
        and max(map(len, words)) <= C4_WORD_CHARACTERS
        and "javascript" not in folded
        and not any(policy in folded for policy in C4_POLICY)
    )


def _repeated(parts: list[str]) -> int:
    return len(parts) - len(set(parts))


def _repeated_characters(parts: list[str]) -> int:
    return sum(map(len, parts)) - sum(map(len, set(parts)))


def _top_ngram(words: list[str], n: int) -> int:
    """Letters in all occurrences of the most frequent n-gram; 0 where it occurs once."""
    counts = Counter(zip(*(words[i:] for i in range(n)), strict=False))
    if not counts:
        return 0
    count = max(counts.values())
    return 0 if count == 1 else count * max(sum(map(len, ngram)) for ngram, times in counts.items() if times == count)


def _in_repeated_ngrams(words: list[str], n: int) -> int:
    """Letters of the words in n-grams that occurred before; each word counts once."""
    earlier: set[tuple[str, ...]] = set()
    letters = end = 0
    for start, ngram in enumerate(zip(*(words[i:] for i in range(n)), strict=False)):
        if ngram in earlier:
            letters += sum(map(len, words[max(start, end) : start + n]))
            end = start + n
        earlier.add(ngram)
    return letters
