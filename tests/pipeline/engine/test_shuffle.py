import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.shuffle import scatter

ENTRIES = [np.dtype("<u8"), np.dtype((np.uint64, (2,))), np.dtype([("hash", "<u8"), ("number", "<u4")])]


@pytest.mark.parametrize("kind", ENTRIES, ids=str)
@settings(deadline=None)
@given(destination=st.lists(st.integers(0, 6), max_size=50))
def test_scatter_keeps_the_order_of_entries_per_destination(kind: np.dtype, destination: list[int]) -> None:
    to = np.array(destination, np.int64)
    entries = np.frombuffer(np.random.default_rng(1).bytes(kind.itemsize * len(to)), kind)
    ordered, sizes = scatter(entries, to, 7)
    assert sizes.tolist() == [destination.count(i) for i in range(7)]
    assert ordered.tobytes() == entries[np.argsort(to, kind="stable")].tobytes()
