"""From runs to the answer: what is shown where runs do not have the same."""

import numpy as np
import pytest

from trainer.compare.analysis import _curves
from trainer.compare.statistics import Scores

FULL = [[1024, 4.0], [2048, 3.0], [4096, 2.0]]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (FULL, [[1024.0, 4.0], [2048.0, 3.0], [4096.0, 2.0]]),
        ([[4096, 1.0]], [[4096.0, 1.5]]),
        ([[2048, 2.0], [8192, 0.0]], [[2048.0, 2.5]]),
        ([[2048, 9.0], [2048, 2.0]], [[2048.0, 2.5]]),  # a step done again after a kill
        ([], []),
    ],
)
def test_curves_have_the_points_that_every_seed_has(other: list[list[float]], expected: list[list[float]]) -> None:
    scores = Scores(np.full((1, 2, 3), 8.0), np.full(3, 8.0))
    records = [[{"curve": {"set": FULL}, "tokens": 5000}, {"curve": {"set": other}, "tokens": 5000}]]
    assert _curves(["corpus"], records, {"set": scores}) == {"set": {"corpus": [*expected, [5000.0, 1.0]]}}


def test_a_set_that_no_run_scored_on_its_way_has_its_end_alone() -> None:
    scores = Scores(np.full((1, 1, 3), 4.0), np.full(3, 8.0))
    assert _curves(["corpus"], [[{"curve": {}, "tokens": 10}]], {"set": scores}) == {"set": {"corpus": [[10.0, 0.5]]}}
