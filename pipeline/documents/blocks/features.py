"""What the forests know of a block: counts of its text, words of its elements' classes, and its surroundings."""

from typing import Final

import numpy as np

from pipeline.documents.blocks import layout, relations, tags, word_groups
from pipeline.documents.blocks.layout import Scanned
from pipeline.documents.blocks.relations import RELATIONS, Scratch
from tokenizer.compiled import Array, Integer, compiled, compiled_inner

GROUPS: Final = len(word_groups.ATTRIBUTE_GROUPS)
TEXT_GROUPS: Final = len(word_groups.TEXT_GROUPS)
ANCESTORS: Final = len(tags.ANCESTORS)
PARENTS: Final = 5
"""Elements around a block that are described: its own and four around that."""

NEIGHBOURS: Final = (-2, -1, 1, 2)
TEXT, ELEMENTS, PAGE, AROUND, TAGS = 16, 4 * PARENTS, 6, 4 * len(NEIGHBOURS), 5
RELATIONS_AT: Final = TEXT + 3 * GROUPS + ANCESTORS + 1 + ELEMENTS + PAGE + AROUND + TAGS + TEXT_GROUPS + 3
FEATURES: Final = RELATIONS_AT + RELATIONS

_CONTEXT_RELATIONS_AT: Final = 28 + TEXT
_ALIKE_AT: Final = _CONTEXT_RELATIONS_AT + len(relations.FOR_CONTEXT)
_CAPTION_AT: Final = _ALIKE_AT + relations.LIKE_COLUMNS
CONTEXT: Final = _CAPTION_AT + 3
"""Features of the second forest, which knows what the first says of the blocks around."""

_DISTANCES: Final = (-3, -2, -1, 1, 2, 3)
_LONG_CHARACTERS: Final = 40
_PROSE_CHARACTERS: Final = 80
_CENTRES: Final = (0.5, 0.75)
_H1, _H6 = tags.TAG["h1"], tags.TAG["h6"]
_FIGURE: Final = tags.ancestor_bit("figure") | tags.ancestor_bit("figcaption")
_CAPTION_CLASS: Final = word_groups.bit_of(word_groups.ATTRIBUTE_GROUPS, "caption")
_PHOTO_WORDS: Final = word_groups.bit_of(word_groups.TEXT_GROUPS, "photo")


@compiled
def describe(page: Scanned, count: Integer, out: Array) -> None:
    """Write the features of the first forest, one row per block, but for those of `relations`, which begin at RELATIONS_AT."""
    blocks, elements = page.blocks, page.elements
    total: Integer = np.int64(0)
    links: Integer = np.int64(0)
    for k in range(count):
        total += blocks[k, layout.CHARACTERS]
        links += blocks[k, layout.LINK_CHARACTERS]
    before: Integer = np.int64(0)
    for k in range(count):
        row = out[k]
        _describe_text(blocks[k], k, count, before, total, row)
        before += blocks[k, layout.CHARACTERS]
        at = _describe_classes(page.masks[k], row, TEXT)
        at = _describe_elements(elements, blocks[k, layout.ELEMENT], row, at)
        paragraphs = elements[0, layout.PARAGRAPH_CHARACTERS]
        row[at] = np.log1p(np.float32(total))
        row[at + 1] = links / max(1, total)
        row[at + 2] = count
        row[at + 3] = np.log1p(np.float32(paragraphs))
        row[at + 4] = paragraphs / max(1, total)
        row[at + 5] = elements[blocks[k, layout.ELEMENT], layout.CHILDREN]
        at = _describe_neighbours(blocks, elements, k, count, row, at + PAGE)
        element = blocks[k, layout.ELEMENT]
        parent = elements[element, layout.PARENT]
        row[at] = elements[element, layout.ELEMENT_TAG]
        row[at + 1] = elements[parent, layout.ELEMENT_TAG]
        row[at + 2] = elements[parent, layout.CHILDREN]
        row[at + 3] = elements[elements[parent, layout.PARENT], layout.ELEMENT_TAG]
        row[at + 4] = elements[blocks[k, layout.TABLE], layout.TABLE_FACTS] if blocks[k, layout.TABLE] > 0 else -1
        at += TAGS
        for bit in range(TEXT_GROUPS):
            row[at + bit] = (page.masks[k, layout.TEXT_WORDS] >> bit) & 1
        at += TEXT_GROUPS
        row[at] = blocks[k, layout.CHARACTERS] / max(1, blocks[k, layout.WORDS])
        row[at + 1] = blocks[k - 1, layout.LAST_KIND] if k > 0 else -1
        row[at + 2] = blocks[k + 1, layout.LAST_KIND] if k + 1 < count else -1


@compiled_inner
def _describe_text(block: Array, number: Integer, count: Integer, before: Integer, total: Integer, row: Array) -> None:
    characters, words = block[layout.CHARACTERS], max(1, block[layout.WORDS])
    row[0] = np.log1p(np.float32(characters))
    row[1] = block[layout.WORDS]
    row[2] = block[layout.LINK_CHARACTERS] / max(1, characters)
    row[3] = block[layout.STOPS] / words
    row[4] = block[layout.COMMAS] / words
    row[5] = block[layout.DIGITS] / max(1, characters)
    row[6] = block[layout.CAPITALS] / max(1, characters)
    row[7] = block[layout.LINKS]
    row[8] = block[layout.TAG_OF]
    row[9] = block[layout.DEPTH]
    row[10] = block[layout.BREAKS]
    row[11] = number / count
    row[12] = before / max(1, total)
    row[13] = block[layout.STOPS]
    row[14] = block[layout.FIRST_KIND]
    row[15] = block[layout.LAST_KIND]


@compiled_inner
def _describe_classes(masks: Array, row: Array, at: Integer) -> Integer:
    own, parents, every = masks[layout.OWN_CLASSES], masks[layout.PARENT_CLASSES], masks[layout.CLASSES]
    for bit in range(GROUPS):
        row[at + bit] = (own >> bit) & 1
        row[at + GROUPS + bit] = (parents >> bit) & 1
        row[at + 2 * GROUPS + bit] = (every >> bit) & 1
    at += 3 * GROUPS
    for bit in range(ANCESTORS):
        row[at + bit] = (masks[layout.ANCESTRY] >> bit) & 1
    row[at + ANCESTORS] = (every & np.int64(word_groups.HIDDEN)) != 0
    return at + ANCESTORS + 1


@compiled_inner
def _describe_elements(elements: Array, element: Integer, row: Array, at: Integer) -> Integer:
    everything = max(1, elements[0, layout.PARAGRAPH_CHARACTERS])
    for _ in range(PARENTS):
        this = elements[element]
        characters = this[layout.OWN_CHARACTERS] + this[layout.ALL_CHARACTERS]
        row[at] = np.log1p(np.float32(characters))
        row[at + 1] = (this[layout.OWN_LINK_CHARACTERS] + this[layout.ALL_LINK_CHARACTERS]) / max(1, characters)
        row[at + 2] = this[layout.PARAGRAPH_CHARACTERS] / everything
        row[at + 3] = (this[layout.OWN_STOPS] + this[layout.ALL_STOPS]) / max(1, characters)
        at += 4
        element = this[layout.PARENT]
    return at


@compiled_inner
def _describe_neighbours(blocks: Array, elements: Array, number: Integer, count: Integer, row: Array, at: Integer) -> Integer:
    parent = elements[blocks[number, layout.ELEMENT], layout.PARENT]
    for distance in NEIGHBOURS:
        other = number + distance
        if other < 0 or other >= count:
            for k in range(4):
                row[at + k] = -1
        else:
            block = blocks[other]
            row[at] = np.log1p(np.float32(block[layout.CHARACTERS]))
            row[at + 1] = block[layout.LINK_CHARACTERS] / max(1, block[layout.CHARACTERS])
            row[at + 2] = block[layout.STOPS] / max(1, block[layout.WORDS])
            row[at + 3] = elements[block[layout.ELEMENT], layout.PARENT] == parent
        at += 4
    return at


@compiled
def describe_context(
    page: Scanned,
    count: Integer,
    element_count: Integer,
    features: Array,
    likely: Array,
    sums: Array,
    scratch: Scratch,
    out: Array,
) -> None:
    """Write the features of the second forest. `likely` is what the first says of `features`; `sums` has three zeros per element."""
    relations.describe_alike(page, count, likely, scratch, out, _ALIKE_AT)
    blocks, elements = page.blocks, page.elements
    _describe_sides(blocks, count, likely, out)
    _describe_centres(blocks, elements, count, element_count, likely, sums, out)
    total = weighted = np.float64(0)
    first, last = count, -1
    for k in range(count):
        characters = blocks[k, layout.CHARACTERS]
        total += characters
        weighted += characters * likely[k]
        parent = elements[blocks[k, layout.ELEMENT], layout.PARENT]
        grandparent = elements[parent, layout.PARENT]
        sums[parent, 0] += characters * likely[k]
        sums[parent, 1] += characters
        if grandparent != parent:
            sums[grandparent, 0] += characters * likely[k]
            sums[grandparent, 1] += characters
        if likely[k] > 0.5 and characters > _LONG_CHARACTERS:
            first = min(first, k)
            last = k
    before = np.float64(0)
    for k in range(count):
        row, characters = out[k], blocks[k, layout.CHARACTERS]
        row[0] = likely[k]
        for d in range(len(_DISTANCES)):
            other = k + _DISTANCES[d]
            row[1 + d] = likely[other] if 0 <= other < count else -1
        parent = elements[blocks[k, layout.ELEMENT], layout.PARENT]
        grandparent = elements[parent, layout.PARENT]
        row[7] = sums[parent, 0] / max(1, sums[parent, 1])
        row[8] = sums[grandparent, 0] / max(1, sums[grandparent, 1])
        row[9] = weighted / max(1, total)
        row[10] = np.log1p(np.float32(characters))
        row[11] = blocks[k, layout.LINK_CHARACTERS] / max(1, characters)
        row[12] = blocks[k, layout.STOPS]
        row[13] = first <= k <= last
        row[14] = k - first
        row[15] = last - k
        row[16] = before / max(1, weighted)
        row[17] = blocks[k, layout.TAG_OF]
        row[18] = np.log1p(weighted)
        for feature in range(TEXT):
            row[28 + feature] = features[k, feature]
        for column in range(len(relations.FOR_CONTEXT)):
            row[_CONTEXT_RELATIONS_AT + column] = features[k, RELATIONS_AT + relations.FOR_CONTEXT[column]]
        own = page.masks[k, layout.OWN_CLASSES] | page.masks[k, layout.PARENT_CLASSES]
        row[_CAPTION_AT] = page.masks[k, layout.ANCESTRY] & _FIGURE != 0
        row[_CAPTION_AT + 1] = own & _CAPTION_CLASS != 0
        row[_CAPTION_AT + 2] = page.masks[k, layout.TEXT_WORDS] & _PHOTO_WORDS != 0
        before += characters * likely[k]


@compiled_inner
def _describe_sides(blocks: Array, count: Integer, likely: Array, out: Array) -> None:
    """Write the nearest prose and heading before a block, the nearest prose after it, and the unlikely text between."""
    prose, heading, gap = -1.0, -1.0, 0.0
    for k in range(count):
        out[k, 19] = prose
        out[k, 20] = np.log1p(gap)
        out[k, 21] = heading
        characters = blocks[k, layout.CHARACTERS]
        if likely[k] < 0.3:
            gap += characters
        if _H1 <= blocks[k, layout.TAG_OF] <= _H6:
            heading = likely[k]
        if characters >= _PROSE_CHARACTERS:
            prose = likely[k]
            if likely[k] > 0.5:
                gap = 0.0
    prose = -1.0
    gap = 0.0
    for k in range(count - 1, -1, -1):
        out[k, 22] = prose
        out[k, 23] = np.log1p(gap)
        if likely[k] < 0.3:
            gap += blocks[k, layout.CHARACTERS]
        if blocks[k, layout.CHARACTERS] >= _PROSE_CHARACTERS:
            prose = likely[k]
            if likely[k] > 0.5:
                gap = 0.0


@compiled_inner
def _describe_centres(
    blocks: Array, elements: Array, count: Integer, element_count: Integer, likely: Array, sums: Array, out: Array
) -> None:
    """Write whether a block is in the innermost elements that hold most of the likely text, and the share that elements around it hold."""
    total = np.float64(0)
    for k in range(count):
        weight = blocks[k, layout.CHARACTERS] * likely[k]
        total += weight
        sums[blocks[k, layout.ELEMENT], 2] += weight
    for k in range(element_count - 1, 0, -1):
        sums[elements[k, layout.PARENT], 2] += sums[k, 2]
    for centre in range(len(_CENTRES)):
        root = element_count - 1
        while root > 0 and sums[root, 2] < _CENTRES[centre] * total:
            root -= 1
        for k in range(count):
            element = np.int64(blocks[k, layout.ELEMENT])
            while element > root:
                element = np.int64(elements[element, layout.PARENT])
            out[k, 24 + centre] = element == root
    for k in range(count):
        element = elements[blocks[k, layout.ELEMENT], layout.PARENT]
        out[k, 26] = sums[element, 2] / max(1.0, total)
        element = elements[elements[element, layout.PARENT], layout.PARENT]
        out[k, 27] = sums[element, 2] / max(1.0, total)
