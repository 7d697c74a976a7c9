"""The pairs that learning knows of: a table by their two ids, a queue by their counts, and where each occurs."""

from typing import Any, NamedTuple

import numpy as np

from tokenizer.compiled import Array, Integer, compiled

PAIR_COUNT, POOL_SIZE, HEAP_SIZE, MERGE_COUNT, ROOM_NEEDED = range(5)


class LearnerState(NamedTuple):
    """The arrays of a run of learning. A pair is a number: its key is `left << 16 | right`, its places are `pool[first:first + size]`."""

    cells: Array
    offsets: Array
    blocks: Array
    times: Array
    lengths: Array
    pool: Array
    key: Array
    frequency: Array
    first: Array
    size: Array
    slots: Array
    heap_count: Array
    heap_pair: Array
    sums: Array
    places: Array
    touched: Array
    merges: Array
    at: Array


def make_room(state: LearnerState, least: int) -> None:
    """Sweep, and make room for the next merge and a good number after it: what is swept out is never needed again.

    Arrays grow in place, so that none of them stands in memory twice.
    """
    _sweep(state)
    pairs, places = int(state.at[PAIR_COUNT]), int(state.at[POOL_SIZE])
    wanted = int(state.at[ROOM_NEEDED])
    state.pool.resize(max(places + max(places // 8, wanted), min(len(state.pool), 2 * places)), refcheck=False)
    need = pairs + max(pairs // 3, min(wanted, 2 * (257 + int(state.at[MERGE_COUNT]))))
    for array in (state.key, state.frequency, state.first, state.size, state.heap_count, state.heap_pair):
        _lengthen(array, need)
    while 2 * len(state.slots) < 3 * len(state.key):
        _lengthen(state.slots, 2 * len(state.slots))
    _enter(state, least)


def _lengthen(array: Array, need: int) -> None:
    if need > len(array):
        array.resize(need, refcheck=False)  # the state alone holds it, and nothing a view of it


@compiled
def add(state: LearnerState, key: Integer, count: Integer, size: Integer) -> Integer:
    """Enter a new pair, with room for so many places; returns its number."""
    pair = state.at[PAIR_COUNT]
    state.at[PAIR_COUNT] += 1
    state.key[pair] = key
    state.frequency[pair] = count
    state.first[pair] = state.at[POOL_SIZE]
    state.size[pair] = size
    state.at[POOL_SIZE] += size
    state.slots[slot_of(state, key)] = pair
    return pair


@compiled
def _hash(key: Integer) -> Integer:
    return np.int64(np.uint64(key) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32))


@compiled
def slot_of(state: LearnerState, key: Integer) -> Integer:
    """Where the pair of this key stands in the hash table, or the empty slot that it would take."""
    mask = len(state.slots) - 1
    at = _hash(key) & mask
    while state.slots[at] >= 0 and state.key[state.slots[at]] != key:
        at = (at + 1) & mask
    return at


@compiled
def _sweep(state: LearnerState) -> None:
    """Forget the pairs that occur no more and the places that went stale: the others move up."""
    cells, pool, at = state.cells, state.pool, state.at
    pairs = at[PAIR_COUNT]
    at[PAIR_COUNT] = at[POOL_SIZE] = 0
    for pair in range(pairs):
        if state.frequency[pair] == 0:
            continue
        left, right = state.key[pair] >> 16, state.key[pair] & 0xFFFF
        kept = at[POOL_SIZE]
        first = np.int64(state.first[pair])
        for i in range(first, first + state.size[pair]):
            place = np.int64(pool[i])
            if cells[place] == left and cells[place + state.lengths[left]] == right:
                pool[kept] = place
                kept += 1
        state.key[at[PAIR_COUNT]], state.frequency[at[PAIR_COUNT]] = state.key[pair], state.frequency[pair]
        state.first[at[PAIR_COUNT]], state.size[at[PAIR_COUNT]] = at[POOL_SIZE], kept - at[POOL_SIZE]
        at[PAIR_COUNT] += 1
        at[POOL_SIZE] = kept


@compiled
def _enter(state: LearnerState, least: Integer) -> None:
    """Fill the hash table and the queue from the pairs."""
    slots, mask = state.slots, len(state.slots) - 1
    slots[:] = -1
    queued = 0
    for pair in range(state.at[PAIR_COUNT]):
        slot = _hash(state.key[pair]) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = pair
        if state.frequency[pair] >= least:
            state.heap_count[queued], state.heap_pair[queued] = state.frequency[pair], pair
            queued += 1
    state.at[HEAP_SIZE] = queued
    for at in range(queued // 2 - 1, -1, -1):
        _sink(state, at, state.heap_count[at], state.heap_pair[at])


@compiled
def _before(state: LearnerState, count: Integer, pair: Integer, other_count: Integer, other: Integer) -> Any:
    return count > other_count or (count == other_count and state.key[pair] < state.key[other])


@compiled
def push(state: LearnerState, count: Integer, pair: Integer) -> None:
    """Queue a pair: the commonest comes first, of equals the one of the smaller ids."""
    counts, pairs = state.heap_count, state.heap_pair
    at = state.at[HEAP_SIZE]
    state.at[HEAP_SIZE] += 1
    while at > 0:
        up = (at - 1) >> 1
        if not _before(state, count, pair, counts[up], pairs[up]):
            break
        counts[at], pairs[at] = counts[up], pairs[up]
        at = up
    counts[at], pairs[at] = count, pair


@compiled
def pop(state: LearnerState) -> None:
    """Take the first pair from the queue."""
    state.at[HEAP_SIZE] -= 1
    last = state.at[HEAP_SIZE]
    _sink(state, 0, state.heap_count[last], state.heap_pair[last])


@compiled
def _sink(state: LearnerState, at: Integer, count: Integer, pair: Integer) -> None:
    """Put a pair where those below it come after it, from this place on downwards."""
    counts, pairs, size = state.heap_count, state.heap_pair, state.at[HEAP_SIZE]
    while 2 * at + 1 < size:
        down = 2 * at + 1
        if down + 1 < size and _before(state, counts[down + 1], pairs[down + 1], counts[down], pairs[down]):
            down += 1
        if not _before(state, counts[down], pairs[down], count, pair):
            break
        counts[at], pairs[at] = counts[down], pairs[down]
        at = down
    counts[at], pairs[at] = count, pair
