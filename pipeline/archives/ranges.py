"""Which byte ranges of a WARC file are read for the records that are wanted: neighbours in one request, a whole file where most of it is.

The model: a request costs 1 / rate seconds, a byte costs 1 / bandwidth. Two records are read in one request where the bytes between
them cost less than a request of their own: at 4 requests and 10 MB per second, where fewer than 2.5 MB lie between them. A file
whose records all lie so is read whole, in pieces of at most 64 MiB: of 1 GB, that is 16 requests in place of some 35,000.
"""

from collections.abc import Sequence
from dataclasses import dataclass

BYTES_PER_SECOND = 10_000_000
MAX_PIECE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """The bytes from `start` to `stop` (excluded) of a file, for the records with these positions in the plan's list."""

    start: int
    stop: int
    records: tuple[int, ...]


def gap_bytes(requests_per_second: float, bytes_per_second: float = BYTES_PER_SECOND) -> int:
    """The most bytes between two records that are read in one request.

    >>> gap_bytes(4.0)
    2500000
    """
    return int(bytes_per_second / requests_per_second)


def plan(records: Sequence[tuple[int, int]], gap: int, most_bytes: int = MAX_PIECE_BYTES) -> list[Piece]:
    """The pieces that hold all records, each (offset, length), in ascending order. A record lies in one piece as a whole.

    >>> [(piece.start, piece.stop, piece.records) for piece in plan([(900, 50), (0, 100), (150, 100)], gap=200)]
    [(0, 250, (1, 2)), (900, 950, (0,))]
    """
    pieces: list[Piece] = []
    for number in sorted(range(len(records)), key=lambda i: records[i]):
        offset, length = records[number]
        end = offset + length
        last = pieces[-1] if pieces else None
        if last and offset - last.stop <= gap and max(end, last.stop) - last.start <= most_bytes:
            pieces[-1] = Piece(last.start, max(end, last.stop), (*last.records, number))
        else:
            pieces.append(Piece(offset, end, (number,)))
    return pieces
