from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.choice import BY_ADDRESS, BY_SIMILARITY, BY_TEXT, NOBODY, Likeness, choose

GRAPHS = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.lists(st.integers(-1, 3), min_size=n, max_size=n),
        st.lists(st.integers(0, 5), min_size=n, max_size=n),
        st.dictionaries(
            st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda e: e[0] < e[1]), st.sampled_from([0.7, 0.8, 0.9])
        ),
        st.integers(0, 3),
    )
)


def array(edges: object) -> np.ndarray:
    return np.array(edges, np.int64).reshape(-1, 2)


@settings(deadline=None)  # the first call compiles
@given(GRAPHS)
def test_the_kept_are_the_lexicographically_first_independent_set(graph) -> None:  # type: ignore[no-untyped-def]
    n, address, text, edges, fixed = graph
    edges = {pair: similarity for pair, similarity in edges.items() if set(pair) <= set(text)}
    like = Likeness(np.array(address), np.array(text), array(list(edges)), np.array(list(edges.values()), np.float32), fixed)
    choice = choose(like)

    def similar(a: int, b: int) -> bool:
        joined = (min(text[a], text[b]), max(text[a], text[b])) in edges
        return text[a] == text[b] or joined or (address[a] == address[b] != NOBODY)

    kept: list[int] = []
    for document in range(n):
        if document < fixed or not any(similar(document, other) for other in kept):
            kept.append(document)
    assert np.flatnonzero(choice.kept_by == NOBODY).tolist() == kept
    for document in set(range(n)) - set(kept):
        keeper, by = int(choice.kept_by[document]), choice.by[document]
        assert keeper in kept
        assert keeper < document
        if by == BY_SIMILARITY:
            pair = (min(text[document], text[keeper]), max(text[document], text[keeper]))
            assert choice.similarity[document] == np.float32(edges[pair])
        else:
            assert (address if by == BY_ADDRESS else text)[document] == (address if by == BY_ADDRESS else text)[keeper]
            assert by in {BY_ADDRESS, BY_TEXT}


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_first_of_equally_similar_documents_stands_for_another_in_any_order_of_pairs(order: tuple[int, ...]) -> None:
    edges, similarities = array([(i, 4) for i in range(4)]), np.array([0.8, 0.9, 0.7, 0.9], np.float32)
    chosen = list(order)
    like = Likeness(np.full(5, NOBODY), np.arange(5), edges[chosen], similarities[chosen])
    assert choose(like).kept_by.tolist() == [NOBODY, NOBODY, NOBODY, NOBODY, 1]
