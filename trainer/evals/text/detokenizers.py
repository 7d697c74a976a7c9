"""Invertible detokenizers: a tokenized file as people write text, and back to the same bytes.

The paper: "Since these de-tokenizers are invertible, we can still calculate the log probability of a dataset" (section 3.1).
Its detokenizers were never published. Here two tokens are joined only if splitting the result returns exactly these tokens,
and tokens that the rules would split (`No.`, `U.S.`) are collected from the file first. The inverse therefore holds for any file.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class DetokenizerRules:
    """Spelling of a tokenized text. Each mapping is from a token to its written form.

    `opening` tokens join the next token, `closing` tokens the previous one, `between` tokens both (with the pattern that finds
    them again), `paired` tokens open and close in turn, `repeated` tokens join themselves. `inside` is a replacement within
    tokens, from what the token holds to its written form.
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
        """Pairs (written, token) of opening tokens, longest first."""
        return _longest_first({**self.opening, **{p: p for p in self.paired}})

    @cached_property
    def closers(self) -> list[tuple[str, str]]:
        """Pairs (written, token) of closing tokens, longest first."""
        return _longest_first({**self.closing, **{p: p for p in self.paired}})

    @cached_property
    def middles(self) -> list[tuple[re.Pattern[str], str]]:
        """Pairs (pattern, token) of tokens that join both neighbors."""
        return [(re.compile(pattern), token) for token, (_, pattern) in self.between.items()]


def verbatim(*tokens: str) -> dict[str, str]:
    """Mapping of tokens that are written unchanged."""
    return {token: token for token in tokens}


CONTRACTIONS = ("'s", "'m", "'re", "'ve", "'ll", "'d", "'S", "'")
STOPS = (",", ".", ";", ":", "?", "!", ")", "]", "%")

WIKITEXT = DetokenizerRules(
    "wikitext",
    opening=verbatim("(", "[", "$", "£"),
    closing=verbatim(*STOPS, *CONTRACTIONS, "'t"),
    between={"@-@": ("-", r"(?<=.)-(?=.)"), "@,@": (",", r"(?<=[\d>]),(?=[\d<])"), "@.@": (".", r"(?<=[\d>])\.(?=[\d<])")},
    paired=frozenset({'"'}),
    repeated=frozenset({"="}),
)
PENN_TREEBANK = DetokenizerRules(
    "ptb", opening=verbatim("$", "#"), closing=verbatim("n't", "%", *CONTRACTIONS), inside=("\\/", "/")
)  # the file has no sentence punctuation, so a stop belongs to its word
ONE_BILLION_WORD = DetokenizerRules(
    "lm1b", opening=verbatim("(", "[", "$", "£", "€"), closing=verbatim("n't", *STOPS, *CONTRACTIONS), paired=frozenset({'"'})
)
CHILDRENS_BOOKS = DetokenizerRules(
    "cbt",
    opening={"`": "'", "``": '"', "-LRB-": "(", "-LSB-": "["},
    closing={"''": '"', "-RRB-": ")", "-RSB-": "]", **verbatim("n't", *STOPS, *CONTRACTIONS)},
)


class Detokenizer:
    """Rules with the exceptions of one text. `split` inverts `join`."""

    def __init__(self, rules: DetokenizerRules, tokens: Iterable[str] = (), *, padded: bool = False) -> None:
        self.rules = rules
        self.padded = padded
        self.exceptions: frozenset[str] = frozenset()
        self.exceptions = frozenset(token for token in set(tokens) if self._peel(token) != [token])
        self._cache: dict[str, list[str]] = {}

    @classmethod
    def of_text(cls, rules: DetokenizerRules, text: str) -> "Detokenizer":
        """Detokenizer for a file whose tokens are separated by single spaces."""
        return cls(rules, (token for line in text.split("\n") for token in line.split(" ")), padded=is_padded(text))

    @property
    def name(self) -> str:
        """Description for results: the rules, and the number of exceptions."""
        return f"{self.rules.name}, invertible, {len(self.exceptions)} exceptions"

    def join(self, line: str) -> str:
        """Detokenize a line.

        >>> Detokenizer(WIKITEXT).join('He said , " well @-@ known " ( 1 @,@ 200 ) .')
        'He said, "well-known" (1,200).'
        """
        chunks: list[list[str]] = []
        open_pairs: set[str] = set()
        glue = False
        tokens = line.split(" ")
        index = 0
        while index < len(tokens):
            token = tokens[index]
            count = 2 if token in self.rules.between and index + 1 < len(tokens) else 1
            opens = token in self.rules.opening or (token in self.rules.paired and token not in open_pairs)
            if not (self._joins(chunks, token, opens=opens, glue=glue) and self._extend(chunks, tokens[index : index + count])):
                chunks.append([token])
                count = 1
            open_pairs ^= {token} & self.rules.paired
            glue = opens
            index += count
        return " ".join(self._write(chunk) for chunk in chunks)

    def split(self, line: str) -> str:
        """Restore the tokenized line."""
        return " ".join(token for chunk in line.split(" ") for token in self._split_chunk(chunk))

    def join_text(self, text: str) -> str:
        """Detokenize a file line by line. A padded file (WikiText, Penn Treebank) loses the space at both ends of each line."""
        return "\n".join(self.join(_unpadded(line) if self.padded else line) for line in text.split("\n"))

    def split_text(self, text: str) -> str:
        """Restore the tokenized file."""
        lines = text.split("\n")
        tokenized = [self.split(line) for line in lines]
        if not self.padded:
            return "\n".join(tokenized)
        last = len(lines) - 1
        return "\n".join(_padded(line) if i < last or line else line for i, line in enumerate(tokenized))

    def _joins(self, chunks: list[list[str]], token: str, *, opens: bool, glue: bool) -> bool:
        """Whether the token joins the token before it."""
        if not chunks:
            return False
        closes = token in self.rules.closing or (token in self.rules.paired and not opens)
        repeats = token in self.rules.repeated and chunks[-1][-1] == token
        return glue or closes or repeats or token in self.rules.between

    def _extend(self, chunks: list[list[str]], tokens: list[str]) -> bool:
        """Add tokens to the last chunk if splitting it restores them."""
        longer = [*chunks[-1], *tokens]
        if self._split_chunk(self._surface(longer)) != longer:
            return False
        chunks[-1] = longer
        return True

    def _write(self, chunk: list[str]) -> str:
        surface = self._surface(chunk)
        return surface if self._split_chunk(surface) == chunk else chunk[0]

    def _surface(self, tokens: list[str]) -> str:
        rules = self.rules
        last = len(tokens) - 1
        forms = []
        for i, token in enumerate(tokens):
            if i < last and token in rules.opening:
                token = rules.opening[token]
            elif i and token in rules.closing:
                token = rules.closing[token]
            elif 0 < i < last and token in rules.between:
                token = rules.between[token][0]
            forms.append(token if rules.inside is None else token.replace(*rules.inside))
        return "".join(forms)

    def _split_chunk(self, chunk: str) -> list[str]:
        """Tokens of a chunk between spaces, from the cache if possible: most chunks repeat."""
        tokens = self._cache.get(chunk)
        if tokens is None:
            tokens = self._cache[chunk] = self._peel(chunk)
        return tokens

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
            pieces = [part for piece in pieces for part in _interleave(pattern.split(piece), token)]
        if self.rules.inside is None:
            return pieces
        token_form, text_form = self.rules.inside
        escaped = re.compile(rf"(?<!{re.escape(token_form[0])}){re.escape(text_form)}")
        return [escaped.sub(lambda _: token_form, piece) for piece in pieces]


def is_padded(text: str) -> bool:
    """Whether every line begins and ends with a space. A single space at the end of the file is not a line."""
    lines = text.split("\n")
    body = lines if lines[-1] else lines[:-1]
    return bool(body) and lines[-1] != " " and all(_padded(_unpadded(line)) == line for line in body)


def _unpadded(line: str) -> str:
    if line == " ":
        return ""
    return line[1:-1] if len(line) > 2 and line[0] == line[-1] == " " else line


def _padded(line: str) -> str:
    return f" {line} " if line else " "


def _interleave(parts: list[str], token: str) -> list[str]:
    return [item for part in parts for item in (token, part)][1:]


def _longest_first(written: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted(((w, token) for token, w in written.items()), key=lambda pair: (-len(pair[0]), pair[0]))
