import tempfile
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup import census
from pipeline.dedup.clusters import unpack_pairs
from pipeline.dedup.index import INDEX_ROWS, ShardIndex
from pipeline.storage import files

FIRST, LAST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000 for year in (1, 9999))
NEAR = 1_500_000_000_000_000
TIMES = st.one_of(st.none(), st.integers(NEAR, NEAR + 3), st.integers(FIRST, LAST))
KEYS = st.sampled_from([bytes([last, *bytes(14), first]) for first in range(2) for last in range(3)])
"""Some keys agree in one half, or in the low bits alone."""
DOCUMENT = st.fixed_dictionaries(
    {
        "document_id": KEYS,
        "address": KEYS,
        "words": KEYS,
        "karma": st.integers(-2, 2),
        "submitted_at": TIMES,
        "units": st.integers(0, 6),
        "text_bytes": st.integers(0, 2),
    }
)
SHARDS = st.lists(st.lists(DOCUMENT, max_size=8), max_size=4)
Document = dict[str, Any]


def write_indexes(folder: Path, shards: list[list[Document]]) -> list[ShardIndex]:
    indexes = []
    for i, documents in enumerate(shards):
        rows = [d | {"url": "u", "shingles": shingles(d)} for d in documents]
        files.publish_table(str(folder / f"{i}.parquet"), pa.Table.from_pylist(rows, INDEX_ROWS))
        indexes.append(ShardIndex(len(rows), str(folder / f"{i}.parquet"), ""))
    return indexes


def shingles(document: Document) -> int:
    return max(0, int(document["units"]) - 4)


def preference(document: Document) -> tuple[Any, ...]:
    time = document["submitted_at"]
    address = (int.from_bytes(document["address"][i : i + 8], "little") for i in (0, 8))
    return time is None, time, -document["karma"], document["document_id"], *address


def content(document: Document) -> bytes | None:
    """The key of the whole text; None for an empty one."""
    if not document["text_bytes"]:
        return None
    key: bytes = document["words" if shingles(document) else "document_id"]
    return key


def equals(keys: list[Any]) -> set[tuple[int, int]]:
    first: dict[Any, int] = {}
    return {(first[key], i) for i, key in enumerate(keys) if key is not None and first.setdefault(key, i) != i}


@settings(max_examples=60, deadline=None)
@given(SHARDS, SHARDS)
def test_the_census_equals_a_plain_sort(earlier: list[list[Document]], shards: list[list[Document]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        indexes = write_indexes(Path(folder), [*earlier, *shards])
        result = census.take_census(indexes[len(earlier) :], indexes[: len(earlier)])
    documents, older = list(chain(*earlier, *shards)), sum(map(len, earlier))
    expected = [*sorted(documents[:older], key=preference), *sorted(documents[older:], key=preference)]
    ordered = [documents[row] for row in result.flat_rows]
    assert [preference(document) for document in ordered] == [preference(document) for document in expected]
    assert result.numbers()[result.flat_rows].tolist() == list(range(len(documents)))
    same_address, same_text = (
        set(zip(*np.stack(unpack_pairs(same)).tolist(), strict=True)) for same in (result.same_address, result.same_text)
    )
    assert same_address == equals([document["address"] for document in ordered])
    assert same_text == equals([content(document) for document in ordered])
    others = {other for _, other in same_text}
    compared = [n if shingles(document) and n not in others else census.ABSENT for n, document in enumerate(ordered)]
    assert result.compared_numbers()[result.flat_rows].tolist() == compared
