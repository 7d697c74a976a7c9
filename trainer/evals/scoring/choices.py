"""What tasks of choosing share: candidates that begin alike, the likeliest of which is the answer."""

from collections.abc import Sequence


def parted(rows: Sequence[Sequence[int]]) -> tuple[list[int], list[list[int]]]:
    """The ids that all rows begin with, and what is left of each (at least one id).

    >>> parted([[1, 2, 3], [1, 2, 4, 5]])
    ([1, 2], [[3], [4, 5]])
    """
    length = 0
    while length < min(len(row) for row in rows) - 1 and len({row[length] for row in rows}) == 1:
        length += 1
    return list(rows[0][:length]), [list(row[length:]) for row in rows]


def is_best(costs: Sequence[float], answer: int) -> bool:
    """Whether the answer alone costs least: a tie is no answer, so that a model that knows nothing scores nothing."""
    return all(costs[answer] < cost for place, cost in enumerate(costs) if place != answer)
