from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.repeated_keys import may_repeat


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), max_size=300), st.sampled_from([np.uint32, np.uint64]))
def test_every_repeated_key_is_marked(keys: list[int], kind: type[np.unsignedinteger[Any]]) -> None:
    keys += keys[::3]
    repeats = may_repeat(np.array(keys, kind))
    assert all(may for key, may in zip(keys, repeats.tolist(), strict=True) if keys.count(key) > 1)


def test_few_keys_are_marked_by_chance() -> None:
    assert may_repeat(np.random.default_rng(1).integers(0, 2**64, 100_000, np.uint64)).mean() < 1 / 8
