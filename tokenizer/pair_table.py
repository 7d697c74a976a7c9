"""The pairs that learning knows of: a table by their two ids, a queue by their counts, and where each occurs."""

from typing import Any, NamedTuple

import numpy as np

from tokenizer.compiled import Array, Integer, compiled

PAIRS, POOL, HEAP, MERGES, WANTED = range(5)


class State(NamedTuple):
    """The arrays of a run of learning. A pair is a number: its key is `left << 16 | right`, its places are `pool[first:first + size]`."""

    cells: Array
    starts: Array
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


def with_room(state: State, least: int) -> State:
    """The same swept, with room for the next merge and a good number after it: what is swept out is never needed again."""
    _sweep(state)
    pairs, places = int(state.at[PAIRS]), int(state.at[POOL])
    wanted = int(state.at[WANTED])
    state = state._replace(pool=_longer(state.pool, places + max(places // 8, wanted)))
    names = ("key", "frequency", "first", "size", "heap_count", "heap_pair")
    need = pairs + max(pairs, min(wanted, 2 * (257 + int(state.at[MERGES]))))
    state = state._replace(**{name: _longer(getattr(state, name), need) for name in names})
    if len(state.slots) < 2 * len(state.key):
        state = state._replace(slots=np.empty(1 << (2 * len(state.key) - 1).bit_length(), np.int32))
    _enter(state, least)
    return state


def _longer(array: Array, need: int) -> Array:
    if need <= len(array):
        return array
    longer = np.empty(need, array.dtype)
    longer[: len(array)] = array
    return longer


@compiled
def add(state: State, key: Integer, count: Integer, size: Integer) -> Integer:
    """Enter a new pair, with room for so many places; returns its number."""
    pair = state.at[PAIRS]
    state.at[PAIRS] += 1
    state.key[pair] = key
    state.frequency[pair] = count
    state.first[pair] = state.at[POOL]
    state.size[pair] = size
    state.at[POOL] += size
    state.slots[slot_of(state, key)] = pair
    return pair


@compiled
def slot_of(state: State, key: Integer) -> Integer:
    """Where the pair of this key stands in the hash table, or the empty slot that it would take."""
    mask = len(state.slots) - 1
    slot = (np.uint64(key) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)) & np.uint64(mask)
    at = np.int64(slot)
    while state.slots[at] >= 0 and state.key[state.slots[at]] != key:
        at = (at + 1) & mask
    return at


@compiled
def _sweep(state: State) -> None:
    """Forget the pairs that occur no more and the places that went stale: the others move up."""
    cells, pool, at = state.cells, state.pool, state.at
    pairs = at[PAIRS]
    at[PAIRS] = at[POOL] = 0
    for pair in range(pairs):
        if state.frequency[pair] == 0:
            continue
        left, right = state.key[pair] >> 16, state.key[pair] & 0xFFFF
        kept = at[POOL]
        for i in range(state.first[pair], state.first[pair] + state.size[pair]):
            place = np.int64(pool[i])
            if cells[place] == left and cells[place + state.lengths[left]] == right:
                pool[kept] = place
                kept += 1
        state.key[at[PAIRS]], state.frequency[at[PAIRS]] = state.key[pair], state.frequency[pair]
        state.first[at[PAIRS]], state.size[at[PAIRS]] = at[POOL], kept - at[POOL]
        at[PAIRS] += 1
        at[POOL] = kept


@compiled
def _enter(state: State, least: Integer) -> None:
    """Fill the hash table and the queue from the pairs."""
    state.slots[:] = -1
    state.at[HEAP] = 0
    for pair in range(state.at[PAIRS]):
        state.slots[slot_of(state, np.int64(state.key[pair]))] = pair
        if state.frequency[pair] >= least:
            push(state, state.frequency[pair], pair)


@compiled
def _before(state: State, count: Integer, pair: Integer, other_count: Integer, other: Integer) -> Any:
    return count > other_count or (count == other_count and state.key[pair] < state.key[other])


@compiled
def push(state: State, count: Integer, pair: Integer) -> None:
    """Queue a pair: the commonest comes first, of equals the one of the smaller ids."""
    counts, pairs = state.heap_count, state.heap_pair
    at = state.at[HEAP]
    state.at[HEAP] += 1
    while at > 0:
        up = (at - 1) >> 1
        if not _before(state, count, pair, counts[up], pairs[up]):
            break
        counts[at], pairs[at] = counts[up], pairs[up]
        at = up
    counts[at], pairs[at] = count, pair


@compiled
def pop(state: State) -> None:
    """Take the first pair from the queue."""
    counts, pairs = state.heap_count, state.heap_pair
    state.at[HEAP] -= 1
    size = state.at[HEAP]
    count, pair = counts[size], pairs[size]
    at = 0
    while 2 * at + 1 < size:
        down = 2 * at + 1
        if down + 1 < size and _before(state, counts[down + 1], pairs[down + 1], counts[down], pairs[down]):
            down += 1
        if not _before(state, counts[down], pairs[down], count, pair):
            break
        counts[at], pairs[at] = counts[down], pairs[down]
        at = down
    counts[at], pairs[at] = count, pair
