"""Multiple choice: candidates that share a prefix, of which the most likely one is the answer."""

from collections.abc import Sequence


def split_common_prefix(rows: Sequence[Sequence[int]]) -> tuple[list[int], list[list[int]]]:
    """Return the ids that all rows begin with, and the rest of each row (at least one id).

    >>> split_common_prefix([[1, 2, 3], [1, 2, 4, 5]])
    ([1, 2], [[3], [4, 5]])
    """
    length = 0
    while length < min(len(row) for row in rows) - 1 and len({row[length] for row in rows}) == 1:
        length += 1
    return list(rows[0][:length]), [list(row[length:]) for row in rows]


def is_lowest(costs: Sequence[float], answer: int) -> bool:
    """Whether the answer costs less than every other choice. A tie is no answer, so a uniform model scores zero."""
    return all(costs[answer] < cost for index, cost in enumerate(costs) if index != answer)
