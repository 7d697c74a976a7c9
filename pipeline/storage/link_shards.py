"""Lookups in the tables of links that the stage `links` publishes."""

from collections.abc import Collection, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage import files


def keys_of_submissions(paths: Iterable[str], ids: Collection[str]) -> dict[str, set[str]]:
    """The dedup keys of the links that submissions name, by submission id (without `t3_`). `paths` are tables of links."""
    found: dict[str, set[str]] = {name: set() for name in ids}
    values = pa.array(sorted(ids), pa.string())
    for path in paths:
        for batch in files.record_batches(path, ["dedup_key", "submissions.list.element.id"], rows=1 << 16):
            lists = batch.column("submissions")
            names = lists.flatten().field("id")
            hits = pc.is_in(names, value_set=values)
            keys = batch.column("dedup_key").take(pc.list_parent_indices(lists).filter(hits))
            for name, key in zip(names.filter(hits).to_pylist(), keys.to_pylist(), strict=True):
                found[name].add(key)
    return found
