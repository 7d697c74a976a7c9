"""Learns merges: incremental byte pair encoding over distinct words and their counts, in plain arrays.

One array of cells holds all distinct words, with one byte per cell and a separator between words. A token's id is in its first
and its last cell, so both neighbours of any token are found without links. A pair can arise only in the merge that makes the
younger of its two tokens, so its positions are recorded once, in that merge. Stale positions are recognised on use, and swept out
when room runs short.

No two pairs spell the same token: a stretch of text whose ends no token crosses is always merged in the same way, so both pairs
would be one.
"""

import numpy as np
import numpy.typing as npt

from tokenizer.compiled import Array, Integer, compiled
from tokenizer.pair_table import (
    HEAP_SIZE,
    MERGE_COUNT,
    PAIR_COUNT,
    POOL_SIZE,
    ROOM_NEEDED,
    LearnerState,
    add,
    make_room,
    pop,
    push,
    slot_of,
)
from tokenizer.paper import byte_ids

WORD_SEPARATOR = 0xFFFF
HOLE = 0xFFFE
MAX_IDS = HOLE
BLOCK = 16
"""The word of every 16th cell is stored; the words between are found by a short scan."""

OLD_LEFT, OLD_RIGHT, NEW_LEFT, NEW_RIGHT = range(4)


def learn(
    text: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    merges: int,
    *,
    min_frequency: int = 0,
    max_token_length: int | None = None,
) -> npt.NDArray[np.uint16]:
    """At most `merges` merges, in order, as rows (left id, right id).

    Word i is `text[offsets[i]:offsets[i + 1]]`, UTF-8, and occurs `counts[i]` times. The most common pair is merged first, and of
    equally common pairs the smaller (left, right). Counts are 64-bit. The order of words does not matter.
    """
    if 256 + merges > MAX_IDS:
        raise ValueError(f"{merges} merges: at most {MAX_IDS - 256:,} fit into 16-bit ids; ask for a smaller vocabulary")
    state = _begin(text, offsets, counts, merges)
    least, limit = max(1, min_frequency), max_token_length or np.iinfo(np.int32).max
    _index(state, least, *np.zeros((3, 1 << 16), np.int64))
    while not _merge_on(state, merges, least, limit):
        make_room(state, least)
    return state.merges[: state.counters[MERGE_COUNT]].copy()


def _begin(text: Array, offsets: Array, counts: Array, merges: int) -> LearnerState:
    cells = np.empty(len(text) + len(counts) + 1, np.uint16)
    blocks = np.empty(len(cells) // BLOCK + 1, np.int32)
    _lay_out(text, offsets, np.array(byte_ids(), np.uint16), cells, blocks)
    lengths = np.ones(1 << 16, np.int32)
    place = np.uint32 if len(cells) < 1 << 32 else np.int64
    pairs = max(1 << 17, len(counts))
    return LearnerState(
        cells=cells,
        offsets=offsets,
        blocks=blocks,
        times=counts,
        lengths=lengths,
        pool=np.empty(len(text) + len(text) // 4 + (1 << 12), place),
        key=np.empty(pairs, np.uint32),
        frequency=np.empty(pairs, np.int64),
        first=np.empty(pairs, place),
        size=np.empty(pairs, np.int32 if len(cells) < 1 << 31 else np.int64),
        slots=np.full(1 << (2 * pairs - 1).bit_length(), -1, np.int32),
        heap_count=np.empty(pairs, np.int64),
        heap_pair=np.empty(pairs, np.int32),
        sums=np.zeros((4, 1 << 16), np.int64),
        places=np.zeros((4, 1 << 16), np.int64),
        neighbours=np.empty((4, 1 << 16), np.int32),
        merges=np.empty((merges, 2), np.uint16),
        counters=np.zeros(5, np.int64),
    )


@compiled
def _lay_out(text: Array, offsets: Array, alphabet: Array, cells: Array, blocks: Array) -> None:
    cells[0] = WORD_SEPARATOR
    blocks[0] = 0
    for word in range(len(offsets) - 1):
        start = at = _start(offsets, word)
        for i in range(offsets[word], offsets[word + 1]):
            cells[at] = alphabet[text[i]]
            at += 1
        cells[at] = WORD_SEPARATOR
        for block in range((start + BLOCK - 1) // BLOCK, at // BLOCK + 1):
            blocks[block] = word


@compiled
def _start(offsets: Array, word: Integer) -> Integer:
    """The word's first cell. A separator precedes every word and follows the last."""
    return offsets[word] + word + 1


@compiled
def _times(state: LearnerState, place: Integer) -> Integer:
    """Count of the word that holds a cell."""
    word = np.int64(state.blocks[place // BLOCK])
    while _start(state.offsets, word + 1) <= place:
        word += 1
    return state.times[word]


@compiled
def _index(state: LearnerState, least: Integer, sums: Array, sizes: Array, ends: Array) -> None:
    """Count the pairs of bytes, record their positions and queue them. `sums`, `sizes`, `ends` are scratch: a zero per pair."""
    cells = state.cells
    for word in range(len(state.times)):
        for i in range(_start(state.offsets, word), _start(state.offsets, word + 1) - 2):
            key = cells[i] << 8 | cells[i + 1]
            sums[key] += state.times[word]
            sizes[key] += 1
    for key in range(1 << 16):
        if sizes[key]:
            pair = add(state, (key >> 8) << 16 | (key & 255), sums[key], sizes[key])
            ends[key] = state.first[pair]
            if sums[key] >= least:
                push(state, sums[key], pair)
    for word in range(len(state.times)):
        for i in range(_start(state.offsets, word), _start(state.offsets, word + 1) - 2):
            key = cells[i] << 8 | cells[i + 1]
            state.pool[ends[key]] = i
            ends[key] += 1


@compiled
def _merge_on(state: LearnerState, merges: Integer, least: Integer, limit: Integer) -> bool:
    """Learn merges until there are enough or none is left (True), or until there is no room for the next one (False)."""
    counters = state.counters
    while counters[MERGE_COUNT] < merges and counters[HEAP_SIZE] > 0:
        pair = state.heap_pair[0]
        count = state.frequency[pair]
        if state.heap_count[0] != count:
            pop(state)
            if count >= least:
                push(state, count, pair)
            continue
        new = 2 * state.size[pair]
        pairs = counters[PAIR_COUNT] + min(new, 2 * (257 + counters[MERGE_COUNT]))
        if pairs > len(state.key) or counters[POOL_SIZE] + new > len(state.pool):
            counters[ROOM_NEEDED] = new
            return False
        pop(state)
        _merge(state, pair, 256 + counters[MERGE_COUNT], least, limit)
        state.merges[counters[MERGE_COUNT], 0] = state.key[pair] >> 16
        state.merges[counters[MERGE_COUNT], 1] = state.key[pair] & 0xFFFF
        counters[MERGE_COUNT] += 1
    return True


@compiled
def _merge(state: LearnerState, pair: Integer, new: Integer, least: Integer, limit: Integer) -> None:
    left, right = np.int64(state.key[pair] >> 16), np.int64(state.key[pair] & 0xFFFF)
    length = state.lengths[left] + state.lengths[right]
    state.lengths[new] = length
    first = np.int64(state.first[pair])
    size = _replace(state, pair, left, right, new)
    state.size[pair] = size
    state.frequency[pair] = 0
    _subtract(state, OLD_LEFT, 16, left, pair)
    _subtract(state, OLD_RIGHT, 0, right << 16, pair)
    lefts, rights = _sum_neighbours(state, first, size, new, limit)
    _create(state, NEW_LEFT, lefts, 16, new, least)
    _create(state, NEW_RIGHT, rights, 0, new << 16, least)
    for i in range(first, first + size):
        place = np.int64(state.pool[i])
        before, after = state.cells[place - 1], state.cells[place + length]
        if before != WORD_SEPARATOR and state.lengths[before] + length <= limit:
            state.pool[state.places[NEW_LEFT, before]] = place - state.lengths[before]
            state.places[NEW_LEFT, before] += 1
        if after not in (WORD_SEPARATOR, new) and state.lengths[after] + length <= limit:
            state.pool[state.places[NEW_RIGHT, after]] = place
            state.places[NEW_RIGHT, after] += 1
    _forget(state, NEW_LEFT, lefts)
    _forget(state, NEW_RIGHT, rights)


@compiled
def _replace(state: LearnerState, pair: Integer, left: Integer, right: Integer, new: Integer) -> Integer:
    """Write the new token over each valid position of the pair, left to right, and sum the pairs that end there.

    Keeps those positions, and returns their number.
    """
    cells, pool, sums = state.cells, state.pool, state.sums
    width, length = state.lengths[left], state.lengths[new]
    first = np.int64(state.first[pair])
    end = first
    lefts = rights = 0
    for i in range(first, first + state.size[pair]):
        place = np.int64(pool[i])
        if cells[place] != left or cells[place + width] != right:
            continue
        times = _times(state, place)
        before, after = cells[place - 1], cells[place + length]
        if before not in (WORD_SEPARATOR, new):
            if sums[OLD_LEFT, before] == 0:
                state.neighbours[OLD_LEFT, lefts] = before
                lefts += 1
            sums[OLD_LEFT, before] += times
        if after != WORD_SEPARATOR:
            if sums[OLD_RIGHT, after] == 0:
                state.neighbours[OLD_RIGHT, rights] = after
                rights += 1
            sums[OLD_RIGHT, after] += times
        cells[place + width - 1] = HOLE
        cells[place + width] = HOLE
        cells[place] = new
        cells[place + length - 1] = new
        pool[end] = place
        end += 1
    state.places[OLD_LEFT, 0] = lefts
    state.places[OLD_RIGHT, 0] = rights
    return end - first


@compiled
def _subtract(state: LearnerState, side: Integer, shift: Integer, rest: Integer, merge: Integer) -> None:
    """Subtract the occurrences that ended from the counts of the old neighbours' pairs; `merge` is the merged pair itself."""
    for i in range(state.places[side, 0]):
        other = np.int64(state.neighbours[side, i])
        pair = state.slots[slot_of(state, other << shift | rest)]
        if pair >= 0 and pair != merge:
            state.frequency[pair] -= state.sums[side, other]
        state.sums[side, other] = 0


@compiled
def _sum_neighbours(state: LearnerState, first: Integer, size: Integer, new: Integer, limit: Integer) -> tuple[Integer, Integer]:
    """Sum the pairs that contain the new token, by neighbour; returns the numbers of left and right neighbours."""
    cells, sums, sizes = state.cells, state.sums, state.places
    length = state.lengths[new]
    lefts = rights = 0
    sizes[OLD_LEFT, 0] = sizes[OLD_RIGHT, 0] = 0
    for i in range(first, first + size):
        place = np.int64(state.pool[i])
        times = _times(state, place)
        before, after = cells[place - 1], cells[place + length]
        if before != WORD_SEPARATOR and state.lengths[before] + length <= limit:
            if sizes[NEW_LEFT, before] == 0:
                state.neighbours[NEW_LEFT, lefts] = before
                lefts += 1
            sums[NEW_LEFT, before] += times
            sizes[NEW_LEFT, before] += 1
        if after not in (WORD_SEPARATOR, new) and state.lengths[after] + length <= limit:
            if sizes[NEW_RIGHT, after] == 0:
                state.neighbours[NEW_RIGHT, rights] = after
                rights += 1
            sums[NEW_RIGHT, after] += times
            sizes[NEW_RIGHT, after] += 1
    return lefts, rights


@compiled
def _create(state: LearnerState, side: Integer, neighbours: Integer, shift: Integer, rest: Integer, least: Integer) -> None:
    """Add the new pairs; their `places` become where the next position is to be written."""
    for i in range(neighbours):
        other = np.int64(state.neighbours[side, i])
        count = state.sums[side, other]
        pair = add(state, other << shift | rest, count, state.places[side, other])
        state.places[side, other] = state.first[pair]
        if count >= least:
            push(state, count, pair)


@compiled
def _forget(state: LearnerState, side: Integer, neighbours: Integer) -> None:
    for i in range(neighbours):
        other = state.neighbours[side, i]
        state.sums[side, other] = 0
        state.places[side, other] = 0
