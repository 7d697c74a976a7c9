import random
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup import clusters
from pipeline.dedup.candidates import MEMBERS_COMPARED, pairs
from pipeline.dedup.clusters import BY_ADDRESS, BY_SIMILARITY, BY_TEXT, NOBODY, Likeness

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
    choice = clusters.choose(like)

    def alike(a: int, b: int) -> bool:
        joined = (min(text[a], text[b]), max(text[a], text[b])) in edges
        return text[a] == text[b] or joined or (address[a] == address[b] != NOBODY)

    kept: list[int] = []
    for document in range(n):
        if document < fixed or not any(alike(document, other) for other in kept):
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
def test_of_equally_like_ones_the_first_stands_for_a_document_in_whatever_order_the_pairs_come(order: tuple[int, ...]) -> None:
    edges, similarities = array([(i, 4) for i in range(4)]), np.array([0.8, 0.9, 0.7, 0.9], np.float32)
    chosen = list(order)
    like = Likeness(np.full(5, NOBODY), np.arange(5), edges[chosen], similarities[chosen])
    assert clusters.choose(like).kept_by.tolist() == [NOBODY, NOBODY, NOBODY, NOBODY, 1]


def shapes() -> dict[str, np.ndarray]:
    draw = random.Random(5)
    order = list(range(3000))
    draw.shuffle(order)
    return {
        "none": array([]),
        "chain": array([(i, i + 1) for i in range(2999)]),
        "shuffled chain": array(list(pairwise(order))),
        "star": array([(i, 2999) for i in range(2999)]),
        "random": array([(draw.randrange(3000), draw.randrange(3000)) for _ in range(2000)]),
        "clique": array([(i, j) for i in range(60) for j in range(i)]),
    }


@pytest.mark.parametrize("shape", shapes())
def test_components_do_not_depend_on_the_order_of_edges(shape: str) -> None:
    edges = shapes()[shape]
    expected = clusters.components(3000, [edges])
    draw = random.Random(shape)
    mixed = edges[draw.sample(range(len(edges)), len(edges))]
    assert (clusters.components(3000, [mixed]) == expected).all()
    assert (clusters.components(3000, np.array_split(mixed, 7)) == expected).all()
    assert all(expected[a] == expected[b] <= min(a, b) for a, b in edges)


def test_a_bucket_of_many_equal_keys_gives_linear_work() -> None:
    for size in (2000, 20_000):
        found = pairs(np.zeros(size, np.uint64), np.arange(size, dtype=np.uint64))
        assert len(found) <= size * (MEMBERS_COMPARED**2 // size + 10)
        first, second = found >> np.uint64(32), found & np.uint64(0xFFFFFFFF)
        assert set(second[first == 0].tolist()) == set(range(1, size))


def test_pairs_are_each_named_once_and_leave_out_two_of_earlier_months() -> None:
    keys = np.array([7, 7, 7, 8, 8, 9, 9], np.uint64)
    numbers = np.array([3, 0, 1, 0, 3, 0, 1], np.uint64)
    assert [(int(p) >> 32, int(p) & 0xFFFFFFFF) for p in pairs(keys, numbers, earlier=2)] == [(0, 3), (1, 3)]
    assert len(pairs(keys, numbers)) == 3
