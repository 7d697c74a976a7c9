import numpy as np

from pipeline.dedup.candidates import MEMBERS_COMPARED, pairs


def test_many_equal_keys_give_linear_work() -> None:
    for size in (2000, 20_000):
        paired = pairs(np.zeros(size, np.uint64), np.arange(size, dtype=np.uint64))
        assert len(paired) <= size * (MEMBERS_COMPARED**2 // size + 10)
        first, second = paired >> np.uint64(32), paired & np.uint64(0xFFFFFFFF)
        assert set(second[first == 0].tolist()) == set(range(1, size))


def test_each_pair_occurs_once_and_never_with_two_earlier_documents() -> None:
    keys = np.array([7, 7, 7, 8, 8, 9, 9], np.uint64)
    numbers = np.array([3, 0, 1, 0, 3, 0, 1], np.uint64)
    assert [(int(p) >> 32, int(p) & 0xFFFFFFFF) for p in pairs(keys, numbers, earlier=2)] == [(0, 3), (1, 3)]
    assert len(pairs(keys, numbers)) == 3
