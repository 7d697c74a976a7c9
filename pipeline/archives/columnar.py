"""Common Crawl's columnar index: Parquet files, one row per capture, roughly sorted by SURT key.

Columns are taken by name: their order and presence vary with the year of the crawl (content_truncated since 2019, for example).
Row groups are skipped by their statistics of keys and times; of the others, the key column is read first, and the rest where a key
is wanted.
"""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.archives.cdxj import BadIndexError, digest_bytes
from pipeline.archives.lookups import Int64, Lookups
from pipeline.archives.matching import HitRows

KEY, TIME = "url_surtkey", "fetch_time"
REQUIRED = (KEY, "url", TIME, "fetch_status", "warc_filename", "warc_record_offset", "warc_record_length")
OPTIONAL = ("content_digest", "content_truncated", "content_mime_type")
REVISIT_TYPE = "warc/revisit"
_MICROSECONDS = pa.timestamp("us")


def hits(file: BinaryIO, lookups: Lookups) -> Iterator[tuple[Int64, HitRows]]:
    """For each row group with wanted keys: the positions of the keys among the distinct ones, and the rows, in the file's order.

    Raises BadIndexError for a file without the columns, and Arrow's errors for a damaged one.
    """
    parquet = pq.ParquetFile(file, pre_buffer=False)
    names = parquet.schema_arrow.names
    if missing := [name for name in REQUIRED if name not in names]:
        raise BadIndexError(f"no column {', '.join(missing)}: not a columnar index of Common Crawl")
    columns = [name for name in (*REQUIRED[1:], *OPTIONAL) if name in names]
    places = _leaf_places(parquet.metadata)
    for number in range(parquet.num_row_groups):
        group = parquet.metadata.row_group(number)
        start, stop = _wanted(group, places, lookups)
        if start == stop:
            continue
        keys = _text(parquet.read_row_group(number, [KEY], use_threads=False).column(0))
        position = pc.index_in(keys, value_set=lookups.distinct[0].slice(start, stop - start))
        rows = np.flatnonzero(np.asarray(position.is_valid()))
        if len(rows):
            found = np.asarray(position.drop_null()).astype(np.int64) + start
            table = parquet.read_row_group(number, columns, use_threads=False).take(pa.array(rows))
            yield found, _rows(table)


def time_range(file: BinaryIO) -> tuple[int, int] | None:
    """The first and last time of capture by the statistics of a file (microseconds); None where it has none."""
    metadata = pq.ParquetFile(file, pre_buffer=False).metadata
    places = _leaf_places(metadata)
    ranges = [_time_range(metadata.row_group(n), places) for n in range(metadata.num_row_groups)]
    known = [each for each in ranges if each]
    return (min(low for low, _ in known), max(high for _, high in known)) if known and len(known) == len(ranges) else None


def _leaf_places(metadata: pq.FileMetaData) -> dict[str, int]:
    return {metadata.schema.column(i).path: i for i in range(metadata.num_columns)}


def _wanted(group: pq.RowGroupMetaData, places: dict[str, int], lookups: Lookups) -> tuple[int, int]:
    """The distinct keys that a row group may hold, by its statistics; an empty range where its captures are of no use."""
    start, stop = 0, len(lookups.distinct[0])
    statistics = group.column(places[KEY]).statistics
    if statistics is not None and statistics.has_min_max:
        start, stop = lookups.between(_as_text(statistics.min), _as_text(statistics.max))
    times = _time_range(group, places)
    if start < stop and times is not None and not lookups.any_in(start, stop, *times):
        return 0, 0
    return start, max(start, stop)


def _time_range(group: pq.RowGroupMetaData, places: dict[str, int]) -> tuple[int, int] | None:
    statistics = group.column(places[TIME]).statistics
    if statistics is None or not statistics.has_min_max:
        return None
    low, high = (
        pa.scalar(value, _MICROSECONDS).value
        for value in (statistics.min.replace(tzinfo=None), statistics.max.replace(tzinfo=None))
    )
    return int(low), int(high) + 1_000_000  # a writer may have cut fractions


def _as_text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _text(column: pa.ChunkedArray) -> pa.Array:
    """A column of text of any Arrow type as one array; text that is not UTF-8 becomes null."""
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return pa.array([None if v is None else v.decode("utf-8", "replace") for v in column.to_pylist()], pa.string())
    array = column.cast(pa.string()).combine_chunks()
    return array if isinstance(array, pa.Array) else array.chunk(0)


def _texts(table: pa.Table, name: str) -> list[str]:
    return [value or "" for value in _text(table.column(name)).to_pylist()] if name in table.column_names else [""] * len(table)


def _numbers(table: pa.Table, name: str) -> Int64:
    return np.asarray(pc.fill_null(table.column(name).cast(pa.int64()), 0).combine_chunks())


def _rows(table: pa.Table) -> HitRows:
    times = table.column(TIME)
    kind = pa.timestamp("us", tz=times.type.tz) if pa.types.is_timestamp(times.type) else _MICROSECONDS
    captured_at = times.cast(kind, safe=False).cast(pa.int64())
    media_types = _texts(table, "content_mime_type")
    return HitRows(
        urls=_texts(table, "url"),
        captured_at=np.asarray(pc.fill_null(captured_at, 0).combine_chunks()),
        status=_numbers(table, "fetch_status").astype(np.int32),
        digests=[digest_bytes(value) for value in _texts(table, "content_digest")],
        warcs=_texts(table, "warc_filename"),
        offsets=_numbers(table, "warc_record_offset"),
        lengths=_numbers(table, "warc_record_length"),
        truncated=np.array([bool(value) for value in _texts(table, "content_truncated")], bool),
        revisits=np.array([value == REVISIT_TYPE for value in media_types], bool),
    )
