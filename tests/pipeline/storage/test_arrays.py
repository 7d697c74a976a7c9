import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.storage import arrays

KIND = np.dtype([("number", "<u4"), ("start", "<i8")])


class Garbage:
    """Takes so long to collect that another thread runs meanwhile."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        for _ in range(200):
            pass


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Switch threads and collect garbage as often as possible."""
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(50)
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("frequent_switches")
def test_arrays_load_in_threads_while_garbage_is_collected(tmp_path: Path) -> None:
    path = arrays.spill(str(tmp_path / "array.npy"), np.zeros(3, KIND))

    def load(_: int) -> int:
        Garbage()
        return len(arrays.load(path))

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(load, range(2000))) == {3}
