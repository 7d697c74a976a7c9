"""Documents that belong into one split: those of a cluster of duplicates that the stage `dedup` kept, and the copies of one text.

Where near duplicates are kept, a hash of each document's own text would put some into the training split and others into a held-out
one. The first document of their cluster stands for all of them.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.storage import arrays, files
from pipeline.storage.document_shards import CLUSTER_SCHEMA, CLUSTERS, DocumentShard
from pipeline.storage.manifest import StageManifest, input_folder, load_stage

GROUPS = np.dtype([("id", "V16"), ("group", "V16")])
"""A document id, and the one whose hash decides its split instead: ascending by id, each id once."""
COPIES = np.dtype([("row", "<i8"), ("number", "<i8")])
"""A selected row of a document shard that repeats the text of an earlier document, and how many came before it."""

Groups = npt.NDArray[np.void]
Copies = npt.NDArray[np.void]
Ids = npt.NDArray[np.void]
DocumentNumbers = npt.NDArray[np.int64]
"""A number per document."""


def cluster_groups(folder: str) -> Groups:
    """The groups of the documents of a dedup folder, or of that which an overlap folder follows from; none where all are unlike."""
    manifest = load_stage(folder, "documents", "dedup", "overlap")
    if manifest.stage == "overlap":
        return cluster_groups(input_folder(folder, manifest, "dedup"))
    if not manifest.of_kind(CLUSTERS):
        return np.empty(0, GROUPS)
    clusters = _tables(folder, manifest, CLUSTERS, CLUSTER_SCHEMA.names)
    pairs = [clusters.select(["document_id", "cluster"])]
    if manifest.of_kind("rewritten"):  # spans were cut: ids are those of the texts that are left
        rewritten = _tables(folder, manifest, "rewritten", ["document_id", "original_id", "url"])
        listed = dict(zip(clusters.column("url").to_pylist(), clusters.column("cluster").to_pylist(), strict=True))
        named = zip(rewritten.column("url").to_pylist(), rewritten.column("original_id").to_pylist(), strict=True)
        firsts = pa.array([listed.get(url, original) for url, original in named], pa.binary(16))
        pairs.append(pa.table([rewritten.column("document_id"), firsts], names=["document_id", "cluster"]))
    ids, firsts = (np.concatenate([ids_of(table.column(i).combine_chunks()) for table in pairs]) for i in range(2))
    order = np.argsort(firsts, kind="stable")
    order = order[np.argsort(ids[order], kind="stable")]
    groups = np.empty(len(order), GROUPS)
    groups["id"], groups["group"] = ids[order], firsts[order]
    return groups[np.unique(groups["id"], return_index=True)[1]]


def _tables(folder: str, manifest: StageManifest, kind: str, columns: list[str]) -> pa.Table:
    return pa.concat_tables([files.read_table(files.join(folder, entry.name), columns) for entry in manifest.of_kind(kind)])


def first_ids(ids: pa.Array, groups: str) -> pa.Array:
    """The id of each document's group by a file of GROUPS, its own where it has none."""
    known, own = _load(groups), ids_of(ids)
    places = np.minimum(np.searchsorted(known["id"], own), len(known) - 1)
    firsts = np.where(known["id"][places] == own, known["group"][places], own)
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(firsts), [None, pa.py_buffer(firsts.tobytes())])


@lru_cache(maxsize=2)
def _load(path: str) -> Groups:
    return np.asarray(arrays.load(path))


def find_copies(shards: Iterable[DocumentShard]) -> list[Copies]:
    """The COPIES of each shard: which of its rows repeat a text."""
    ids = [ids_of(shard.table(["document_id"]).column("document_id").combine_chunks()) for shard in shards]
    ends = np.cumsum([0, *map(len, ids)])
    every = np.concatenate([np.empty(0, "V16"), *ids])
    order = np.argsort(every, kind="stable")
    same = np.zeros(len(every), bool)
    same[1:] = every[order][1:] == every[order][:-1]
    positions = np.arange(len(every))
    number = np.zeros(len(every), np.int64)
    number[order] = positions - np.maximum.accumulate(np.where(same, 0, positions))
    found = []
    for first, end in pairwise(ends.tolist()):
        rows = np.flatnonzero(number[first:end])
        table = np.empty(len(rows), COPIES)
        table["row"], table["number"] = rows, number[first:end][rows]
        found.append(table)
    return found


def ids_of(column: pa.Array) -> Ids:
    """A column of document ids as an array."""
    if not len(column):
        return np.empty(0, "V16")
    return np.frombuffer(column.buffers()[1], "V16", len(column), 16 * column.offset)
