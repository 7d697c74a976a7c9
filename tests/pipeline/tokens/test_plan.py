from itertools import pairwise

import numpy as np
import pytest

from pipeline.tokens.plan import even_borders


@pytest.mark.parametrize("group_tokens", [1, 10, 99, 1_000, 10**9])
def test_borders_cut_all_tokens_into_even_groups(group_tokens: int) -> None:
    buckets = np.random.default_rng(0).integers(0, 20, 500)
    borders = even_borders(buckets, group_tokens)
    sums = [int(buckets[a:b].sum()) for a, b in pairwise(borders)]
    assert (borders[0], borders[-1], sum(sums)) == (0, 500, buckets.sum())
    assert min(sums) > 0
    assert max(sums) <= group_tokens + 2 * 20


def test_no_tokens_give_no_borders() -> None:
    assert even_borders(np.zeros(9, np.int64), 5) == []
