"""Which documents of a cluster are kept: the lexicographically first maximal independent set of the graph of similar documents.

Documents are nodes 0 … n-1 in the order of preference. A document is removed only if a kept one that is preferred to it is
similar.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.dedup.clusters import Edges, NodeNumbers
from tokenizer.compiled import compiled

EdgeSimilarities = npt.NDArray[np.float32]

NOBODY = -1
BY_ADDRESS, BY_TEXT, BY_SIMILARITY = range(3)


class Likeness(NamedTuple):
    """Which documents are similar; the first `fixed` ones are kept whatever they are similar to.

    Documents of one `address` or one `text` (numbers of groups, or NOBODY) are all similar. Text groups are similar by `edges`
    (m, 2), each with its similarity.
    """

    address: NodeNumbers
    text: NodeNumbers
    edges: Edges
    similarities: EdgeSimilarities
    fixed: int = 0

    def equal(self) -> "Likeness":
        """The likeness in which only documents of one address or one text are similar: without edges between texts."""
        return self._replace(edges=self.edges[:0], similarities=self.similarities[:0])


class Choice(NamedTuple):
    """For each document the kept one that removes it (NOBODY: it is kept), by which rule, and how similar the two are."""

    kept_by: NodeNumbers
    by: NodeNumbers
    similarity: EdgeSimilarities

    @classmethod
    def nothing(cls, documents: int) -> "Choice":
        """The choice that keeps all documents."""
        return cls(_nobody(documents), _nobody(documents), np.ones(documents, np.float32))


class _Neighbours(NamedTuple):
    """Edge numbers in compressed rows: text group g has `edges[starts[g]:starts[g + 1]]`, in no order."""

    starts: npt.NDArray[np.int64]
    edges: NodeNumbers


def choose(like: Likeness) -> Choice:
    """Keep each document, in order, unless a kept one is similar to it: the lexicographically first maximal independent set."""
    documents = len(like.text)
    texts = int(like.text.max(initial=NOBODY)) + 1
    choice = Choice.nothing(documents)
    address_kept = _nobody(int(like.address.max(initial=NOBODY)) + 1)
    removed = Choice(_nobody(texts), _nobody(0), np.full(texts, -1.0, np.float32))
    _choose(like, _neighbours(texts, like.edges), address_kept, _nobody(texts), removed, choice)
    return choice


def _nobody(count: int) -> NodeNumbers:
    return np.full(count, NOBODY, np.int32)


def _neighbours(count: int, edges: Edges) -> _Neighbours:
    """The edges of each text group: an edge is in the rows of both its ends."""
    neighbours = _Neighbours(np.zeros(count + 1, np.int64), np.empty(2 * len(edges), np.int32))
    _fill(neighbours.starts, neighbours.edges, edges)
    return neighbours


@compiled
def _fill(starts: npt.NDArray[np.int64], rows: NodeNumbers, edges: Edges) -> None:
    """`starts` (zeros) first counts each row, then holds the row's end; filling moves it back to the row's start."""
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
def _is_removed(text: int, like: Likeness, neighbours: _Neighbours, text_kept: NodeNumbers, removed: Choice) -> bool:
    """Whether a kept document is similar to this text group.

    The most similar one removes it; of equally similar ones that of the least group, whatever the order of the edges. The answer
    is stored, so that a group's neighbours are not searched for each member.
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
    like: Likeness, neighbours: _Neighbours, address_kept: NodeNumbers, text_kept: NodeNumbers, removed: Choice, choice: Choice
) -> None:
    """`removed` has for each text group the kept neighbour that removes it, and its similarity."""
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
