"""Checks of tables that others may have written: the columns that are asked for, their types, nulls, and valid text.

Arrow reads a file's types as they are. Our code, some of it compiled, counts on the types that our stages write: a text that is not
UTF-8, or a null where none can be, would end it.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.records import INSTANT, Document, Drop, Duplicate, Link, Page, required
from tokenizer.errors import InputError

KNOWN: dict[str, pa.Field] = {
    field.name: field
    for schema in (Drop.SCHEMA, Duplicate.SCHEMA, Document.SCHEMA, Page.SCHEMA, Link.SCHEMA, [required("row", pa.int64())])
    for field in schema
}
"""The columns of all stages' files: one name has one type everywhere."""

ADDED = frozenset(
    {
        *("redirects", "extraction_confidence"),
        *("source", "captured_at", "distance_days", "archive_file", "archive_offset", "digest"),
    }
)
"""Columns that files of earlier versions lack: they are read where they are."""
EARLIEST_MICROSECONDS, LATEST_MICROSECONDS = -62_135_596_800 * 10**6, 253_402_300_800 * 10**6 - 1
HINT = "run `webtext verify` to find all damaged files, and their stages again"


def check_schema(path: str, schema: pa.Schema, columns: Sequence[str] | None = None) -> None:
    """Raise InputError unless the file has the columns (`a.b` is a part of a) and each known one has its type."""
    for name in schema.names if columns is None else dict.fromkeys(column.split(".")[0] for column in columns):
        if name in ADDED and name not in schema.names:
            continue
        if schema.names.count(name) != 1:
            raise InputError(f"{path}: has {schema.names.count(name)} columns '{name}', not one; {HINT}")
        known = KNOWN.get(name)
        if known is not None and schema.field(name).type != known.type:
            raise InputError(f"{path}: column '{name}' is of type {schema.field(name).type}, not {known.type}; {HINT}")


def check_values(path: str, table: pa.Table | pa.RecordBatch, *, spill: bool = False) -> None:
    """Raise InputError for damaged values, text that is not UTF-8, and nulls where there can be none: a `spill` may have them."""
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: {str(error).splitlines()[0].rstrip('.')}; {HINT}") from error
    for name, column in zip(table.column_names, table.columns, strict=True):
        known = KNOWN.get(name)
        if known is not None and not known.nullable and column.null_count and not spill:
            raise InputError(f"{path}: column '{name}' has {column.null_count:,} nulls; {HINT}")
        for times in _instants(column):
            least, most = pc.min_max(times.cast(pa.int64())).values()
            if least.is_valid and not EARLIEST_MICROSECONDS <= least.as_py() <= most.as_py() <= LATEST_MICROSECONDS:
                raise InputError(f"{path}: column '{name}' has a time that is not in the years 1 to 9999; {HINT}")


def _instants(column: pa.ChunkedArray | pa.Array) -> Iterator[pa.ChunkedArray | pa.Array]:
    """The times in a column, in lists of structs too: Python's own times end with the year 9999."""
    if column.type == INSTANT:
        yield column
    elif column.type == Link.SCHEMA.field("submissions").type:
        yield pc.struct_field(pc.list_flatten(column), "created_at")


def check_rows(path: str, rows: int) -> None:
    """Raise InputError unless a local Parquet file holds that many rows."""
    try:
        held = pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a Parquet file ({str(error).splitlines()[0].rstrip('.')}); {HINT}") from error
    if held != rows:
        raise InputError(f"{path}: holds {held:,} rows, its manifest says {rows:,}; {HINT}")
