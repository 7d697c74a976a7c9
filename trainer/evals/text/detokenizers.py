"""Invertible detokenisers: the text as people would write it, from which the original file can be made again, byte by byte.

The paper: "Since these de-tokenizers are invertible, we can still calculate the log probability of a dataset" (section 3.1). Its own were
never published. Here a rule never decides alone: two tokens are written together only where splitting what is written gives back exactly
those tokens, and tokens that the rules would split (`No.`, `U.S.`) are collected from the file first. So the inverse holds for any file.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Rules:
    """How a tokenised text is written. Each mapping is token to what is written for it.

    `opening` tokens stand against the next one, `closing` against the last, `between` against both (with the pattern of the places where
    it may be found again), `paired` open and close in turn, `repeated` stand against themselves, `inside` is written inside tokens.
    """

    name: str
    opening: Mapping[str, str] = field(default_factory=dict)
    closing: Mapping[str, str] = field(default_factory=dict)
    between: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    paired: frozenset[str] = frozenset()
    repeated: frozenset[str] = frozenset()
    inside: tuple[str, str] | None = None

    @cached_property
    def openers(self) -> list[tuple[str, str]]:
        """(written, token), longest first."""
        return _longest_first({**self.opening, **{p: p for p in self.paired}})

    @cached_property
    def closers(self) -> list[tuple[str, str]]:
        """The same of what closes."""
        return _longest_first({**self.closing, **{p: p for p in self.paired}})

    @cached_property
    def middles(self) -> list[tuple[re.Pattern[str], str]]:
        """(places, token) of what stands between."""
        return [(re.compile(pattern), token) for token, (_, pattern) in self.between.items()]


def same(*tokens: str) -> dict[str, str]:
    """Tokens that are written as they are."""
    return {token: token for token in tokens}


CONTRACTIONS = ("'s", "'m", "'re", "'ve", "'ll", "'d", "'S", "'")
STOPS = (",", ".", ";", ":", "?", "!", ")", "]", "%")

WIKITEXT = Rules(
    "wikitext",
    opening=same("(", "[", "$", "£"),
    closing=same(*STOPS, *CONTRACTIONS, "'t"),
    between={"@-@": ("-", r"(?<=.)-(?=.)"), "@,@": (",", r"(?<=[\d>]),(?=[\d<])"), "@.@": (".", r"(?<=[\d>])\.(?=[\d<])")},
    paired=frozenset({'"'}),
    repeated=frozenset({"="}),
)
PENN_TREEBANK = Rules(
    "ptb", opening=same("$", "#"), closing=same("n't", "%", *CONTRACTIONS), inside=("\\/", "/")
)  # sentence punctuation is not in the file, so a stop is always a word's own
ONE_BILLION_WORD = Rules(
    "lm1b", opening=same("(", "[", "$", "£", "€"), closing=same("n't", *STOPS, *CONTRACTIONS), paired=frozenset({'"'})
)
CHILDRENS_BOOKS = Rules(
    "cbt",
    opening={"`": "'", "``": '"', "-LRB-": "(", "-LSB-": "["},
    closing={"''": '"', "-RRB-": ")", "-RSB-": "]", **same("n't", *STOPS, *CONTRACTIONS)},
)


class Detokeniser:
    """The rules together with a text's own exceptions: `join` writes a line, `split` undoes it."""

    def __init__(self, rules: Rules, tokens: Iterable[str] = (), *, padded: bool = False) -> None:
        self.rules = rules
        self.padded = padded
        self.exceptions: frozenset[str] = frozenset()
        self.exceptions = frozenset(token for token in set(tokens) if self._peel(token) != [token])
        self._known: dict[str, list[str]] = {}

    @classmethod
    def of_text(cls, rules: Rules, text: str) -> "Detokeniser":
        """For a file, whose tokens are what stands between single spaces; `padded` where each line has a space on either side."""
        return cls(rules, (token for line in text.split("\n") for token in line.split(" ")), padded=is_padded(text))

    @property
    def name(self) -> str:
        """For the record."""
        return f"{self.rules.name}, invertible, {len(self.exceptions)} exceptions"

    def join(self, line: str) -> str:
        """A tokenised line as it would be written.

        >>> Detokeniser(WIKITEXT).join('He said , " well @-@ known " ( 1 @,@ 200 ) .')
        'He said, "well-known" (1,200).'
        """
        chunks: list[list[str]] = []
        open_pairs: set[str] = set()
        glue = False
        tokens = line.split(" ")
        place = 0
        while place < len(tokens):
            token = tokens[place]
            taken = 2 if token in self.rules.between and place + 1 < len(tokens) else 1
            opens = token in self.rules.opening or (token in self.rules.paired and token not in open_pairs)
            if not (self._leans(chunks, token, opens=opens, glue=glue) and self._extend(chunks, tokens[place : place + taken])):
                chunks.append([token])
                taken = 1
            open_pairs ^= {token} & self.rules.paired
            glue = opens
            place += taken
        return " ".join(self._written(chunk) for chunk in chunks)

    def split(self, line: str) -> str:
        """The tokenised line again."""
        return " ".join(token for chunk in line.split(" ") for token in self._split_chunk(chunk))

    def join_text(self, text: str) -> str:
        """A whole file, line by line. WikiText and Penn Treebank begin and end each line with a space: it goes, and comes back."""
        return "\n".join(self.join(_unpadded(line) if self.padded else line) for line in text.split("\n"))

    def split_text(self, text: str) -> str:
        """The whole file again."""
        lines = text.split("\n")
        tokenised = [self.split(line) for line in lines]
        if not self.padded:
            return "\n".join(tokenised)
        last = len(lines) - 1
        return "\n".join(_padded(line) if i < last or line else line for i, line in enumerate(tokenised))

    def _leans(self, chunks: list[list[str]], token: str, *, opens: bool, glue: bool) -> bool:
        """Whether the token is written against what stands before it."""
        if not chunks:
            return False
        closes = token in self.rules.closing or (token in self.rules.paired and not opens)
        again = token in self.rules.repeated and chunks[-1][-1] == token
        return glue or closes or again or token in self.rules.between

    def _extend(self, chunks: list[list[str]], tokens: list[str]) -> bool:
        """Add tokens to the last chunk if they can be told apart again."""
        longer = [*chunks[-1], *tokens]
        if self._split_chunk(self._surface(longer)) != longer:
            return False
        chunks[-1] = longer
        return True

    def _written(self, chunk: list[str]) -> str:
        surface = self._surface(chunk)
        return surface if self._split_chunk(surface) == chunk else chunk[0]

    def _surface(self, tokens: list[str]) -> str:
        rules = self.rules
        last = len(tokens) - 1
        written = []
        for i, token in enumerate(tokens):
            if i < last and token in rules.opening:
                token = rules.opening[token]
            elif i and token in rules.closing:
                token = rules.closing[token]
            elif 0 < i < last and token in rules.between:
                token = rules.between[token][0]
            written.append(token if rules.inside is None else token.replace(*rules.inside))
        return "".join(written)

    def _split_chunk(self, chunk: str) -> list[str]:
        """The tokens of what stands between spaces; most chunks come again and again."""
        found = self._known.get(chunk)
        if found is None:
            found = self._known[chunk] = self._peel(chunk)
        return found

    def _peel(self, chunk: str) -> list[str]:
        head: list[str] = []
        tail: list[str] = []
        while chunk not in self.exceptions:
            opener = next(((w, t) for w, t in self.rules.openers if chunk.startswith(w) and len(chunk) > len(w)), None)
            closer = next(((w, t) for w, t in self.rules.closers if chunk.endswith(w) and len(chunk) > len(w)), None)
            if opener:
                head.append(opener[1])
                chunk = chunk.removeprefix(opener[0])
            elif closer:
                tail.append(closer[1])
                chunk = chunk.removesuffix(closer[0])
            else:
                break
        return [*head, *self._split_word(chunk), *reversed(tail)]

    def _split_word(self, word: str) -> list[str]:
        if word in self.exceptions:
            return [word]
        if len(word) > 1 and word[0] in self.rules.repeated and set(word) == {word[0]}:
            return list(word)
        pieces = [word]
        for pattern, token in self.rules.middles:
            pieces = [part for piece in pieces for part in _with_between(pattern.split(piece), token)]
        if self.rules.inside is None:
            return pieces
        spelled, written = self.rules.inside
        escaped = re.compile(rf"(?<!{re.escape(spelled[0])}){re.escape(written)}")
        return [escaped.sub(lambda _: spelled, piece) for piece in pieces]


def is_padded(text: str) -> bool:
    """Whether every line begins and ends with a space, as WikiText's and Penn Treebank's do; a lone space at the file's end is no line."""
    lines = text.split("\n")
    body = lines if lines[-1] else lines[:-1]
    return bool(body) and lines[-1] != " " and all(_padded(_unpadded(line)) == line for line in body)


def _unpadded(line: str) -> str:
    if line == " ":
        return ""
    return line[1:-1] if len(line) > 2 and line[0] == line[-1] == " " else line


def _padded(line: str) -> str:
    return f" {line} " if line else " "


def _with_between(parts: list[str], token: str) -> list[str]:
    return [item for part in parts for item in (token, part)][1:]


def _longest_first(written: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted(((w, token) for token, w in written.items()), key=lambda pair: (-len(pair[0]), pair[0]))
