"""Rows of an index, whatever its format, matched with lookups: the captures of each link."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.archives.cdxj import IndexRow
from pipeline.archives.choose import CAPTURE, INEXACT, OUTSIDE, REVISIT, TRUNCATED, CaptureRows
from pipeline.archives.lookups import Int64, Lookups
from pipeline.pages.archive_index import hash64
from pipeline.urls import dedup_key
from tokenizer.untrusted import inner_name

NAME_BYTES = 248
NAME = np.dtype([("warc", "<u8"), ("name", f"S{NAME_BYTES}")])
"""The name of a WARC file, by its hash."""
MAX_RECORD_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class HitRows:
    """Rows of an index whose keys are wanted, column by column; times in microseconds, digests of 20 bytes or empty."""

    urls: list[str]
    captured_at: Int64
    status: npt.NDArray[np.int32]
    digests: list[bytes]
    warcs: list[str]
    offsets: Int64
    lengths: Int64
    truncated: npt.NDArray[np.bool_]
    revisits: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Sequence[IndexRow]) -> "HitRows":
        """The columns of some rows."""
        return cls(
            [row.url for row in rows],
            np.array([row.captured_at for row in rows], np.int64),
            np.array([row.status for row in rows], np.int32),
            [row.digest for row in rows],
            [row.warc for row in rows],
            np.array([row.offset for row in rows], np.int64),
            np.array([row.length for row in rows], np.int64),
            np.array([row.is_truncated for row in rows], bool),
            np.array([row.is_revisit for row in rows], bool),
        )


def captures_of(lookups: Lookups, found: Int64, rows: HitRows, names: dict[int, str]) -> CaptureRows:
    """The captures of all lookups in some rows; row i has the distinct key `found[i]`. Names of WARC files are added to `names`.

    Left out are captures of another page, whose key alone is the same (keys ignore case); captures outside the lookup's window
    but for the link's nearest, which says how far away it is; captures that the link's redirects went through; and rows without a
    place in a WARC file.
    """
    row, lookup = lookups.pairs(found)
    has_place = np.array([_is_file_name(name) for name in rows.warcs], bool)
    has_place &= (rows.offsets >= 0) & (rows.lengths > 0) & (rows.lengths <= MAX_RECORD_BYTES)
    kept = has_place[row]
    row, lookup = row[kept], lookup[kept]
    times = rows.captured_at[row]
    inside = (times >= lookups.low[lookup]) & (times <= lookups.high[lookup])
    kept = inside | _nearest_of_each(lookups.link[lookup], np.abs(times - lookups.at[lookup]), ~inside)
    row, lookup, inside = row[kept], lookup[kept], inside[kept]
    hashes = {name: hash64(name) for name in {rows.warcs[i] for i in row}}
    captures: CaptureRows = np.zeros(len(row), CAPTURE)
    kept = np.ones(len(row), bool)
    for i, (r, k) in enumerate(zip(row.tolist(), lookup.tolist(), strict=True)):
        url, wanted = rows.urls[r], lookups.urls[k].as_py()
        exact = url == wanted
        page = _page_hash(wanted)
        if not exact and _page_hash(url) != page:
            kept[i] = False
            continue
        warc = hashes[rows.warcs[r]]
        if _was_tried(lookups.tried[k].as_py(), warc, int(rows.offsets[r])):
            kept[i] = False
            continue
        flags = (0 if exact else INEXACT) | (0 if inside[i] else OUTSIDE)
        flags |= (TRUNCATED if rows.truncated[r] else 0) | (REVISIT if rows.revisits[r] else 0)
        captures[i] = (
            *(
                lookups.link[k],
                rows.captured_at[r],
                rows.captured_at[r] - lookups.at[k],
                page,
                warc,
                rows.offsets[r],
                rows.lengths[r],
            ),
            *(rows.digests[r], 200 if rows.revisits[r] and not rows.status[r] else rows.status[r], flags),
        )
    captures = captures[kept]
    known = set(captures["warc"].tolist())
    names.update({value: name for name, value in hashes.items() if value in known})
    return captures


@lru_cache(maxsize=1 << 14)
def _is_file_name(name: str) -> bool:
    """Whether an index's name of a WARC file is one of a file of the archive: an index is another's, and may lead elsewhere."""
    try:
        return len(inner_name(name).encode()) <= NAME_BYTES
    except ValueError:
        return False


def _nearest_of_each(links: Int64, distances: Int64, among: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which of the entries in `among` is its link's nearest one."""
    chosen = np.zeros(len(links), bool)
    places = np.flatnonzero(among)
    if len(places):
        order = places[np.lexsort((distances[places], links[places]))]
        chosen[order[np.r_[True, np.diff(links[order]) != 0]]] = True
    return chosen


def page_hash(url: str) -> int:
    """A hash that all spellings of one page's address share; 0 for what is no address."""
    try:
        return hash64(dedup_key(url))
    except ValueError:
        return 0


_page_hash = lru_cache(maxsize=1 << 14)(page_hash)


def tried_entry(warc: int, offset: int) -> bytes:
    """A capture in a lookup's column `tried`."""
    return warc.to_bytes(8, "little") + offset.to_bytes(8, "little")


def _was_tried(tried: bytes, warc: int, offset: int) -> bool:
    entry = tried_entry(warc, offset) if tried else b""
    return any(tried[i : i + 16] == entry for i in range(0, len(tried), 16))


def names_array(names: dict[int, str]) -> npt.NDArray[Any]:
    """The names of WARC files as entries of a shuffle."""
    return np.array([(value, name.encode()) for value, name in sorted(names.items())], NAME)
