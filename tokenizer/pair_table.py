"""Pairs of adjacent tokens while merges are learned: a hash table by their ids, a queue by their counts, and their positions."""

from typing import Any, NamedTuple

import numpy as np

from tokenizer.compiled import Array, Integer, compiled

PAIR_COUNT, POOL_SIZE, HEAP_SIZE, MERGE_COUNT, ROOM_NEEDED = range(5)
"""Indices into `LearnerState.counters`: the lengths in use, and the positions that the next merge needs."""


class LearnerState(NamedTuple):
    """Arrays of a learner. A pair is a number; `key` is `left << 16 | right`, positions are `pool[first:first + size]`."""

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
    neighbours: Array
    merges: Array
    counters: Array


def make_room(state: LearnerState, least: int) -> None:
    """Sweep out stale pairs and positions, then grow the arrays for the next merge and many after it.

    Arrays grow in place, so none is in memory twice.
    """
    _sweep(state)
    pairs, places = int(state.counters[PAIR_COUNT]), int(state.counters[POOL_SIZE])
    needed = int(state.counters[ROOM_NEEDED])
    state.pool.resize(max(places + max(places // 8, needed), min(len(state.pool), 2 * places)), refcheck=False)
    need = pairs + max(pairs // 3, min(needed, 2 * (257 + int(state.counters[MERGE_COUNT]))))
    for array in (state.key, state.frequency, state.first, state.size, state.heap_count, state.heap_pair):
        _lengthen(array, need)
    while 2 * len(state.slots) < 3 * len(state.key):
        _lengthen(state.slots, 2 * len(state.slots))
    _rebuild(state, least)


def _lengthen(array: Array, need: int) -> None:
    if need > len(array):
        array.resize(need, refcheck=False)  # safe: only the state refers to it, and no view of it exists


@compiled
def add(state: LearnerState, key: Integer, count: Integer, size: Integer) -> Integer:
    """Add a new pair with room for `size` positions; returns its number."""
    pair = state.counters[PAIR_COUNT]
    state.counters[PAIR_COUNT] += 1
    state.key[pair] = key
    state.frequency[pair] = count
    state.first[pair] = state.counters[POOL_SIZE]
    state.size[pair] = size
    state.counters[POOL_SIZE] += size
    state.slots[slot_of(state, key)] = pair
    return pair


@compiled
def _hash(key: Integer) -> Integer:
    return np.int64(np.uint64(key) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32))


@compiled
def slot_of(state: LearnerState, key: Integer) -> Integer:
    """The slot of a key's pair in the hash table, or the empty slot where it would go."""
    mask = len(state.slots) - 1
    at = _hash(key) & mask
    while state.slots[at] >= 0 and state.key[state.slots[at]] != key:
        at = (at + 1) & mask
    return at


@compiled
def _sweep(state: LearnerState) -> None:
    """Remove pairs that no longer occur and stale positions; the others move up."""
    cells, pool, counters = state.cells, state.pool, state.counters
    pairs = counters[PAIR_COUNT]
    counters[PAIR_COUNT] = counters[POOL_SIZE] = 0
    for pair in range(pairs):
        if state.frequency[pair] == 0:
            continue
        left, right = state.key[pair] >> 16, state.key[pair] & 0xFFFF
        end = counters[POOL_SIZE]
        first = np.int64(state.first[pair])
        for i in range(first, first + state.size[pair]):
            place = np.int64(pool[i])
            if cells[place] == left and cells[place + state.lengths[left]] == right:
                pool[end] = place
                end += 1
        state.key[counters[PAIR_COUNT]], state.frequency[counters[PAIR_COUNT]] = state.key[pair], state.frequency[pair]
        state.first[counters[PAIR_COUNT]], state.size[counters[PAIR_COUNT]] = counters[POOL_SIZE], end - counters[POOL_SIZE]
        counters[PAIR_COUNT] += 1
        counters[POOL_SIZE] = end


@compiled
def _rebuild(state: LearnerState, least: Integer) -> None:
    """Rebuild the hash table and the queue from the pairs."""
    slots, mask = state.slots, len(state.slots) - 1
    slots[:] = -1
    size = 0
    for pair in range(state.counters[PAIR_COUNT]):
        slot = _hash(state.key[pair]) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = pair
        if state.frequency[pair] >= least:
            state.heap_count[size], state.heap_pair[size] = state.frequency[pair], pair
            size += 1
    state.counters[HEAP_SIZE] = size
    for at in range(size // 2 - 1, -1, -1):
        _sink(state, at, state.heap_count[at], state.heap_pair[at])


@compiled
def _before(state: LearnerState, count: Integer, pair: Integer, other_count: Integer, other: Integer) -> Any:
    return count > other_count or (count == other_count and state.key[pair] < state.key[other])


@compiled
def push(state: LearnerState, count: Integer, pair: Integer) -> None:
    """Add a pair to the queue. The most common pair comes first; of equally common pairs the one with the smaller key."""
    counts, pairs = state.heap_count, state.heap_pair
    at = state.counters[HEAP_SIZE]
    state.counters[HEAP_SIZE] += 1
    while at > 0:
        up = (at - 1) >> 1
        if not _before(state, count, pair, counts[up], pairs[up]):
            break
        counts[at], pairs[at] = counts[up], pairs[up]
        at = up
    counts[at], pairs[at] = count, pair


@compiled
def pop(state: LearnerState) -> None:
    """Remove the first pair from the queue."""
    state.counters[HEAP_SIZE] -= 1
    last = state.counters[HEAP_SIZE]
    _sink(state, 0, state.heap_count[last], state.heap_pair[last])


@compiled
def _sink(state: LearnerState, at: Integer, count: Integer, pair: Integer) -> None:
    """Put a pair at position `at` of the heap or below, so that those under it come after it."""
    counts, pairs, size = state.heap_count, state.heap_pair, state.counters[HEAP_SIZE]
    while 2 * at + 1 < size:
        down = 2 * at + 1
        if down + 1 < size and _before(state, counts[down + 1], pairs[down + 1], counts[down], pairs[down]):
            down += 1
        if not _before(state, counts[down], pairs[down], count, pair):
            break
        counts[at], pairs[at] = counts[down], pairs[down]
        at = down
    counts[at], pairs[at] = count, pair
