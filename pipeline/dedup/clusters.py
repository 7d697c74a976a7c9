"""Clusters of similar documents by union-find.

Documents are nodes, and their numbers are the order of preference: 0 is preferred to all others.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from tokenizer.compiled import Integer, compiled, compiled_into_callers

NodeNumbers = npt.NDArray[np.int32]
Edges = npt.NDArray[np.int32]
Pairs = npt.NDArray[np.uint64]
"""Two numbers in one: the lesser in the high half."""

_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


def pack_pairs(lesser: npt.NDArray[np.integer], greater: npt.NDArray[np.integer]) -> Pairs:
    """The pairs of two arrays of numbers."""
    return lesser.astype(np.uint64) << _HALF | greater.astype(np.uint64)


def unpack_pairs(pairs: Pairs) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The lesser numbers of pairs, and the greater ones."""
    return (pairs >> _HALF).astype(np.int64), (pairs & _LOW).astype(np.int64)


def load() -> None:
    """Load the compiled code: a process's first call takes a second."""
    by_cluster(2, [np.ones(1, np.uint64)])


def components(count: int, edges: Iterable[Edges]) -> NodeNumbers:
    """The least node that each of `count` nodes is connected to. `edges` are arrays of shape (n, 2), read one at a time.

    >>> components(5, [np.array([[3, 4]], np.int32), np.array([[1, 3]], np.int32)]).tolist()
    [0, 1, 2, 1, 1]
    """
    parents = np.arange(count, dtype=np.int32)
    for array in edges:
        _join(parents, array)
    _flatten(parents)
    return parents


def by_cluster(count: int, pairs: Iterable[Pairs]) -> tuple[NodeNumbers, npt.NDArray[np.bool_]]:
    """The nodes in any of the pairs, cluster by cluster, ascending within each; and which are the first of their cluster.

    The arrays of pairs are read one at a time.
    """
    parents, involved = np.arange(count, dtype=np.int32), np.zeros(count, bool)
    for array in pairs:
        _join_pairs(parents, involved, array)
    nodes = int(involved.sum())
    order, begins = np.empty(nodes, np.int32), np.zeros(nodes, bool)
    _sort_by_cluster(parents, involved, np.zeros(count, np.int32), order, begins)
    return order, begins


@compiled
def _find(parents: NodeNumbers, node: Integer) -> Integer:
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


@compiled_into_callers
def _unite(parents: NodeNumbers, one: Integer, other: Integer) -> None:
    """Join two trees. The lesser root stays root, so that in the end every root is the least node of its component."""
    a, b = _find(parents, one), _find(parents, other)
    if a < b:
        parents[b] = a
    elif b < a:
        parents[a] = b


@compiled
def _join(parents: NodeNumbers, edges: Edges) -> None:
    for i in range(len(edges)):
        _unite(parents, edges[i, 0], edges[i, 1])


@compiled
def _join_pairs(parents: NodeNumbers, involved: npt.NDArray[np.bool_], pairs: Pairs) -> None:
    for pair in pairs:
        one, other = np.int64(pair >> _HALF), np.int64(pair & _LOW)
        involved[one] = involved[other] = True
        _unite(parents, one, other)


@compiled
def _flatten(parents: NodeNumbers) -> None:
    """Point every node to its root."""
    for node in range(len(parents)):
        parents[node] = _find(parents, node)


@compiled
def _sort_by_cluster(
    parents: NodeNumbers, involved: npt.NDArray[np.bool_], sizes: NodeNumbers, order: NodeNumbers, begins: npt.NDArray[np.bool_]
) -> None:
    """`sizes` (zeros) first counts the members of each root, then gives the place of the root's next member."""
    for node in range(len(parents)):
        if involved[node]:
            sizes[_find(parents, node)] += 1
    start = 0
    for node in range(len(parents)):
        if sizes[node]:
            size = sizes[node]
            sizes[node] = start
            begins[start] = True
            start += size
    for node in range(len(parents)):
        if involved[node]:
            root = _find(parents, node)
            order[sizes[root]] = node
            sizes[root] += 1
