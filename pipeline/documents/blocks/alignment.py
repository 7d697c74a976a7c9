"""Which blocks of a page another extractor's text is made of: its words stand in theirs, in the same order."""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

WORD: Final = re.compile(r"\w+")
SHINGLE: Final = 4
SHARE: Final = 0.5
"""A block belongs to a text where at least this share of its shingles of words stands there."""

CANDIDATES: Final = 6
"""The places of a text that are tried for one block: more are repeats."""


class Alignment(NamedTuple):
    """The blocks that a text is made of, and the share of the text's words that they cover."""

    blocks: list[int]
    coverage: float


def align(texts: Sequence[str], text: str) -> Alignment:
    """Find the blocks among `texts` whose words stand in `text`, in the same order. Blocks that repeat are taken once.

    >>> align(["Home", "The ship came in with the tide.", "So it was.", "Home"], "The ship came in with the tide. So it was.").blocks
    [1, 2]
    """
    words = WORD.findall(text.lower())
    blocks = [WORD.findall(block.lower()) for block in texts]
    chain = _longest_chain(blocks, _places(words))
    spans = [(block, start, min(len(words), start + len(blocks[block]))) for block, start in chain]
    spans += _short_blocks(blocks, words, [(-1, 0, 0), *spans, (len(blocks), len(words), len(words))])
    spans.sort()
    covered = bytearray(len(words))
    for _, start, end in spans:
        covered[start:end] = b"\1" * (end - start)
    return Alignment([block for block, _, _ in spans], sum(covered) / (len(words) or 1))


def _places(words: Sequence[str]) -> dict[tuple[str, ...], list[int]]:
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for k in range(len(words) - SHINGLE + 1):
        places[tuple(words[k : k + SHINGLE])].append(k)
    return places


def _longest_chain(blocks: Sequence[Sequence[str]], places: dict[tuple[str, ...], list[int]]) -> list[tuple[int, int]]:
    """The blocks of SHINGLE words or more, with their places in the text, that rise together and have the most words.

    `best` holds the heaviest chains by the place of their last block; each is a link to the one before.
    """
    starts: list[int] = []
    best: list[tuple[int, int, int, object]] = []
    for number, words in enumerate(blocks):
        shingles = [tuple(words[k : k + SHINGLE]) for k in range(len(words) - SHINGLE + 1)]
        found = [k for k, shingle in enumerate(shingles) if shingle in places]
        if not found or len(found) < SHARE * len(shingles):
            continue
        for place in reversed(places[shingles[found[0]]][:CANDIDATES]):
            start = max(0, place - found[0])
            at = bisect_left(starts, start)
            before = best[at - 1] if at else None
            weight = len(words) + (before[0] if before else 0)
            if at < len(starts) and starts[at] == start and best[at][0] >= weight:
                continue
            end = at
            while end < len(starts) and best[end][0] <= weight:
                end += 1
            starts[at:end] = [start]
            best[at:end] = [(weight, number, start, before)]
    chain = []
    link: object = best[-1] if best else None
    while isinstance(link, tuple):
        _, number, start, link = link
        chain.append((number, start))
    return chain[::-1]


def _short_blocks(
    blocks: Sequence[Sequence[str]], words: Sequence[str], spans: Sequence[tuple[int, int, int]]
) -> list[tuple[int, int, int]]:
    """Shorter blocks that stand in the text between the longer ones around them."""
    found = []
    for (last, _, start), (next_block, end, _) in pairwise(spans):
        for number in range(last + 1, next_block):
            own = blocks[number]
            if not 0 < len(own) < SHINGLE:
                continue
            place = next((k for k in range(start, end - len(own) + 1) if words[k : k + len(own)] == own), None)
            if place is not None:
                found.append((number, place, place + len(own)))
                start = place + len(own)
    return found
