import random
import weakref
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from pipeline.dedup import clusters


def edge_array(edges: object) -> np.ndarray:
    return np.array(edges, np.int64).reshape(-1, 2)


def shapes() -> dict[str, np.ndarray]:
    draw = random.Random(5)
    order = list(range(3000))
    draw.shuffle(order)
    return {
        "none": edge_array([]),
        "chain": edge_array([(i, i + 1) for i in range(2999)]),
        "shuffled chain": edge_array(list(pairwise(order))),
        "star": edge_array([(i, 2999) for i in range(2999)]),
        "random": edge_array([(draw.randrange(3000), draw.randrange(3000)) for _ in range(2000)]),
        "clique": edge_array([(i, j) for i in range(60) for j in range(i)]),
    }


@pytest.mark.parametrize("shape", shapes())
def test_components_do_not_depend_on_the_order_of_edges(shape: str) -> None:
    edges = shapes()[shape]
    expected = clusters.components(3000, [edges])
    draw = random.Random(shape)
    mixed = edges[draw.sample(range(len(edges)), len(edges))]
    assert (clusters.components(3000, [mixed]) == expected).all()
    assert (clusters.components(3000, iter(np.array_split(mixed, 7))) == expected).all()
    assert all(expected[a] == expected[b] <= min(a, b) for a, b in edges)


def test_edges_are_read_one_array_at_a_time() -> None:
    arrays: list[weakref.ref[np.ndarray]] = []

    def edges() -> Iterator[np.ndarray]:
        for node in range(9):
            array = edge_array([(node, node + 1)])
            arrays.append(weakref.ref(array))
            assert sum(held() is not None for held in arrays) <= 2  # this one, and the one before in the caller's loop
            yield array

    assert clusters.components(10, edges()).tolist() == [0] * 10
    assert len(arrays) == 9
