"""Why each block of a page was kept or dropped, in words for a person."""

from typing import Final

import numpy as np

from pipeline.documents import charset, extractors
from pipeline.documents.account import BlockAccount
from pipeline.documents.blocks import chooser, layout, tags, word_groups
from pipeline.documents.blocks.extractor import MIN_CHARACTERS, SURELY, SURELY_NOT, Extracted
from tokenizer.compiled import Array

STATUS: Final = {
    layout.TOO_DEEP: f"elements nest deeper than {layout.MAX_DEPTH} levels",
    layout.UNCLOSED: "skipped content never ends",
}
ABOVE, BELOW = f"above the cut of {chooser.CUT}", f"not above the cut of {chooser.CUT}"
QUESTION, HIDDEN, NUMBER = "a question or a term whose answer is kept", "hidden", "the number of a line of code"
IN_TEXT, NOT_IN_TEXT = "in the other extractor's text", "not in the other extractor's text"
SURE, SURE_NOT = (
    f"above {SURELY}, kept beside the other extractor's text",
    f"below {SURELY_NOT}, left out of the other extractor's text",
)
NO_BLOCKS: Final = "the text is not made of the page's blocks"


def path_of(found: Extracted, extractor: str, min_confidence: float) -> str:
    """Which way a page's text was found, in a sentence."""
    slow = f"{found.method}: {_why_slow(found, extractor, min_confidence)}"
    if found.method == "stated":
        return "stated: the article that the page states in its JSON-LD replaces a shorter text"
    return slow if slow.rpartition(": ")[2] else "blocks: the forests chose the blocks"


def _why_slow(found: Extracted, extractor: str, min_confidence: float) -> str:
    if extractor != extractors.BLOCKS:
        return f"--extractor {extractor}"
    page = found.page
    if not page.is_complete:
        return f"the slow path, since {STATUS[page.counts.status]}"
    if not page.counts.blocks:
        return "the slow path, since the page has no block"
    if found.confidence is not None and found.confidence < min_confidence:
        return f"the slow path, since the expected F1 of {found.confidence:.2f} is below {min_confidence:g}"
    if page.choice.characters < MIN_CHARACTERS:
        return f"the slow path, since the forests chose {page.choice.characters} characters, fewer than {MIN_CHARACTERS}"
    return ""


def verdicts(found: Extracted, extractor: str) -> list[BlockAccount]:
    """The verdict on each block, in the page's order. A scan that gave up has blocks up to there, and no probabilities."""
    page, count = found.page, found.page.counts.blocks
    likely = page.choice.likely if page.is_complete and count else None
    keep = np.zeros(count, np.bool_) if found.keep is None else found.keep
    rules = _rules(found, extractor, likely, keep)
    names = ["", *tags.NAMES]
    elements = page.scanned.blocks[:count, layout.TAG_OF].tolist()
    return [
        BlockAccount(
            charset.clean(text),
            names[element] or "page",
            None if likely is None else round(float(likely[k]), 4),
            bool(keep[k]),
            rules[k],
        )
        for k, (text, element) in enumerate(zip(page.block_texts(), elements, strict=False))
    ]


def _rules(found: Extracted, extractor: str, likely: Array | None, keep: Array) -> list[str]:
    page = found.page
    if found.keep is None:
        return [NO_BLOCKS] * page.counts.blocks
    numbers = np.zeros(page.counts.blocks, np.bool_)
    chooser.mark_line_numbers(page.scanned, page.counts.blocks, numbers)
    hidden = page.scanned.masks[: page.counts.blocks, layout.CLASSES] & word_groups.NOT_SHOWN
    by_forests = found.method in ("blocks", "unsure")
    rules = []
    for k, kept in enumerate(keep.tolist()):
        chance = 0.0 if likely is None else float(likely[k])
        if not kept and numbers[k]:
            rules.append(NUMBER)
        elif not kept and hidden[k] and chance == 0:
            rules.append(HIDDEN)
        elif by_forests:
            rules.append((ABOVE if chance > chooser.CUT else QUESTION) if kept else BELOW)
        elif extractor != extractors.BLOCKS:
            rules.append(IN_TEXT if kept else NOT_IN_TEXT)
        elif kept:
            rules.append(SURE if chance > SURELY else IN_TEXT)
        else:
            rules.append(SURE_NOT if chance < SURELY_NOT else NOT_IN_TEXT)
    return rules
