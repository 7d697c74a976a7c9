"""Which documents stay: clusters of like documents, and the lexicographically first maximal independent set of a graph of them.

Documents are known by their numbers, and the numbers are the order: 0 is the first choice.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tokenizer.compiled import Integer, compiled

Numbers = npt.NDArray[np.int32]
Edges = npt.NDArray[np.int32]
Pairs = npt.NDArray[np.uint64]
"""Two numbers in one: the lesser in the high half."""
Places = npt.NDArray[np.int64]
Similarities = npt.NDArray[np.float32]

NOBODY = -1
BY_ADDRESS, BY_TEXT, BY_SIMILARITY = range(3)
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


def packed(lesser: npt.NDArray[np.integer], greater: npt.NDArray[np.integer]) -> Pairs:
    """Pairs of two arrays of numbers."""
    return lesser.astype(np.uint64) << _HALF | greater.astype(np.uint64)


def unpacked(pairs: Pairs) -> tuple[Places, Places]:
    """The lesser numbers of pairs, and the greater ones."""
    return (pairs >> _HALF).astype(np.int64), (pairs & _LOW).astype(np.int64)


def load() -> None:
    """Fetch the compiled code: the first call of a process takes a second."""
    by_cluster(2, [np.ones(1, np.uint64)])


def components(count: int, edges: Sequence[Edges]) -> Numbers:
    """For each of `count` nodes the least node that the edges, arrays of (n, 2), join it to, by union-find."""
    parents = np.arange(count, dtype=np.int32)
    for some in edges:
        _join(parents, some)
    return parents


def by_cluster(count: int, pairs: Iterable[Pairs]) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """The nodes that are in any of the pairs, cluster after cluster, ascending within each; and which are the first of theirs."""
    parents, involved = np.arange(count, dtype=np.int32), np.zeros(count, bool)
    for found in pairs:
        _join_pairs(parents, involved, found)
    nodes = int(involved.sum())
    order, begins = np.empty(nodes, np.int32), np.zeros(nodes, bool)
    _sort_by_cluster(parents, involved, np.zeros(count, np.int32), order, begins)
    return order, begins


@compiled
def _join_pairs(parents: Numbers, involved: npt.NDArray[np.bool_], pairs: Pairs) -> None:
    for pair in pairs:
        one, other = np.int64(pair >> _HALF), np.int64(pair & _LOW)
        involved[one] = involved[other] = True
        a, b = _find(parents, one), _find(parents, other)
        if a < b:
            parents[b] = a
        elif b < a:
            parents[a] = b


@compiled
def _sort_by_cluster(
    parents: Numbers, involved: npt.NDArray[np.bool_], sizes: Numbers, order: Numbers, begins: npt.NDArray[np.bool_]
) -> None:
    """`sizes` (zeros) is room: members of each root, then where the next of them goes."""
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


@compiled
def _find(parents: Numbers, node: Integer) -> Integer:
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


@compiled
def _join(parents: Numbers, edges: Edges) -> None:
    """The lesser root stays root, so that in the end every root is the least of its component."""
    for i in range(len(edges)):
        a = _find(parents, edges[i, 0])
        b = _find(parents, edges[i, 1])
        if a < b:
            parents[b] = a
        elif b < a:
            parents[a] = b
    for node in range(len(parents)):
        parents[node] = _find(parents, node)


class Likeness(NamedTuple):
    """Documents 0 … n-1 in the order of choice; the first `fixed` are kept whatever they are like.

    Those of one `address` or one `text` (numbers of groups, or NOBODY) are all alike; texts are alike by `edges` (m, 2) of text groups,
    each with its similarity.
    """

    address: Numbers
    text: Numbers
    edges: Edges
    similarities: Similarities
    fixed: int = 0


class Choice(NamedTuple):
    """For each document the kept one that removes it (NOBODY: it is kept), by what, and how similar the two are."""

    kept_by: Numbers
    by: Numbers
    similarity: Similarities


class _Neighbours(NamedTuple):
    """The numbers of the edges of text group g, in compressed rows: `edges[starts[g]:starts[g + 1]]`, in no order."""

    starts: Places
    edges: Numbers


def choose(like: Likeness) -> Choice:
    """Keep each document, in order, unless one that is kept is like it: the lexicographically first maximal independent set."""
    documents = len(like.text)
    texts = int(like.text.max(initial=NOBODY)) + 1
    choice = Choice(_nobody(documents), _nobody(documents), np.ones(documents, np.float32))
    address_kept = _nobody(int(like.address.max(initial=NOBODY)) + 1)
    removed = Choice(_nobody(texts), _nobody(0), np.full(texts, -1.0, np.float32))
    _choose(like, _neighbours(texts, like.edges), address_kept, _nobody(texts), removed, choice)
    return choice


def _nobody(count: int) -> Numbers:
    return np.full(count, NOBODY, np.int32)


def _neighbours(count: int, edges: Edges) -> _Neighbours:
    """Each edge is in the rows of both its ends."""
    found = _Neighbours(np.zeros(count + 1, np.int64), np.empty(2 * len(edges), np.int32))
    _fill(found.starts, found.edges, edges)
    return found


@compiled
def _fill(starts: Places, rows: Numbers, edges: Edges) -> None:
    """`starts` (zeros) first counts each row, then says where it ends, and as it fills from there, at last where it begins."""
    for edge in range(len(edges)):
        for end in range(2):
            starts[edges[edge, end]] += 1
    for row in range(1, len(starts)):
        starts[row] += starts[row - 1]
    for edge in range(len(edges)):
        for end in range(2):
            here = edges[edge, end]
            starts[here] -= 1
            rows[starts[here]] = edge


@compiled
def _is_removed(text: int, like: Likeness, neighbours: _Neighbours, text_kept: Numbers, removed: Choice) -> bool:
    """Whether a kept document is like this text: the likest, of those the least group's, in whatever order the edges came.

    Once found it stands, so a group's neighbours are not searched for each member.
    """
    if removed.kept_by[text] < 0:
        nearest = -1
        for i in range(neighbours.starts[text], neighbours.starts[text + 1]):
            edge = neighbours.edges[i]
            group, similarity = like.edges[edge, 0] + like.edges[edge, 1] - text, like.similarities[edge]
            if text_kept[group] >= 0 and (
                similarity > removed.similarity[text] or (similarity == removed.similarity[text] and group < nearest)
            ):
                nearest = group
                removed.kept_by[text] = text_kept[group]
                removed.similarity[text] = similarity
    return bool(removed.kept_by[text] >= 0)


@compiled
def _choose(
    like: Likeness, neighbours: _Neighbours, address_kept: Numbers, text_kept: Numbers, removed: Choice, choice: Choice
) -> None:
    """`removed` says of a whole text group by whom, a kept neighbour, and how similar."""
    for document in range(len(like.text)):
        address, text = like.address[document], like.text[document]
        if document >= like.fixed:
            if address >= 0 and address_kept[address] >= 0:
                choice.kept_by[document], choice.by[document] = address_kept[address], BY_ADDRESS
                continue
            if text >= 0 and text_kept[text] >= 0:
                choice.kept_by[document], choice.by[document] = text_kept[text], BY_TEXT
                continue
            if text >= 0 and _is_removed(text, like, neighbours, text_kept, removed):
                choice.kept_by[document], choice.by[document] = removed.kept_by[text], BY_SIMILARITY
                choice.similarity[document] = removed.similarity[text]
                continue
        if address >= 0 and address_kept[address] < 0:
            address_kept[address] = document
        if text >= 0 and text_kept[text] < 0:
            text_kept[text] = document
