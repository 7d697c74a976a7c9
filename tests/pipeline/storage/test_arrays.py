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
    """Its end takes so long that another thread goes on meanwhile."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        for _ in range(200):
            pass


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads take turns all the time, garbage is collected all the time."""
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(50)
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("impatient")
def test_threads_load_while_garbage_is_collected(tmp_path: Path) -> None:
    path = arrays.spill(str(tmp_path / "array.npy"), np.zeros(3, KIND))

    def load(_: int) -> int:
        Garbage()
        return len(arrays.load(path))

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(load, range(2000))) == {3}
