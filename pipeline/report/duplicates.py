"""Clusters of duplicates: how many, how large, how alike, and pairs to look at side by side."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.folder import Corpus
from pipeline.report.numbers import Histogram, Pair
from pipeline.report.tallies import DASH, Bins, BinTally, ValueTally
from pipeline.storage import files
from pipeline.storage.document_shards import DocumentShard, document_shards

SIZES = Bins((2, 3, 4, 5, 6, 10, 20, 50, 100, 1000))
PAIRS = 8
SHOWN_CHARACTERS = 1200
SIMILARITY_STEPS = 20


def duplicate_histograms(corpus: Corpus) -> list[Histogram]:
    """Removed documents by reason; clusters by size; near-duplicates by similarity."""
    table = _duplicates(corpus)
    reasons = ValueTally()
    for chunk in table.column("reason").chunks:
        reasons.add(chunk)
    found = [reasons.histogram("duplicates", "Why duplicates were removed", "reason", "documents")]
    if table.num_rows:
        found += [_sizes(table), _similarities(table)]
    return found


def _duplicates(corpus: Corpus) -> pa.Table:
    columns = ["document_id", "url", "kept_id", "kept_url", "cluster", "reason", "similarity"]
    tables = [files.read_table(path, columns) for path in corpus.paths("dedup", "duplicates")]
    return pa.concat_tables(tables) if tables else pa.table({name: pa.array([], pa.string()) for name in columns})


def _cluster_sizes(table: pa.Table) -> pa.Table:
    """cluster, members: the removed ones and every document kept for them."""
    grouped = table.group_by("cluster").aggregate([("document_id", "count"), ("kept_id", "count_distinct")])
    members = pc.add(grouped.column("document_id_count"), grouped.column("kept_id_count_distinct"))
    return pa.table({"cluster": grouped.column("cluster"), "members": members})


def _sizes(table: pa.Table) -> Histogram:
    sizes = BinTally(SIZES)
    sizes.add(_cluster_sizes(table).column("members").to_numpy())
    return sizes.histogram("clusters", "Clusters of duplicates", "documents in a cluster", "clusters")


def _similarities(table: pa.Table) -> Histogram:
    """In steps of 0.05; a float32 of 0.7 counts as 0.7."""
    values = table.column("similarity").drop_null().to_numpy().astype(np.float64)
    steps = np.minimum(np.floor(values * SIMILARITY_STEPS + 1e-5).astype(np.int64), SIMILARITY_STEPS)
    counted = sorted(Counter(steps.tolist()).items())
    labels = tuple("1" if step == SIMILARITY_STEPS else f"{step / SIMILARITY_STEPS:.2f}{DASH}" for step, _ in counted)
    counts = tuple(items for _, items in counted)
    title, axis = "How alike removed and kept are", "Jaccard similarity of shingles"
    return Histogram("similarity", title, axis, "documents", labels, counts, binned=True)


def duplicate_pairs(corpus: Corpus) -> tuple[Pair, ...]:
    """A few removed documents beside the kept ones, spread over all similarities; the same for the same corpus."""
    table = _duplicates(corpus)
    if not table.num_rows or "documents" not in corpus.folders:
        return ()
    rows = table.sort_by([("similarity", "ascending"), ("document_id", "ascending")])
    below = int(pc.sum(pc.less(rows.column("similarity"), 1.0)).as_py() or 0)
    span = below or rows.num_rows
    chosen = sorted({i * (span - 1) // max(1, PAIRS - 1) for i in range(PAIRS)})
    picked = rows.take(chosen).to_pylist()
    sizes = dict(zip(*(c.to_pylist() for c in _cluster_sizes(table).columns), strict=True))
    texts = _texts(
        corpus, {(row[key], row[url]) for row in picked for key, url in (("document_id", "url"), ("kept_id", "kept_url"))}
    )
    return tuple(
        Pair(
            row["url"],
            row["kept_url"],
            row["reason"],
            round(row["similarity"], 4),
            sizes[row["cluster"]],
            texts.get((row["document_id"], row["url"]), ""),
            texts.get((row["kept_id"], row["kept_url"]), ""),
        )
        for row in picked
    )


def _texts(corpus: Corpus, wanted: set[tuple[bytes, str]]) -> dict[tuple[bytes, str], str]:
    """The beginnings of the documents of those ids and URLs: ids are scanned, only the found rows' text is read."""
    ids = pa.array(sorted({key for key, _ in wanted}), pa.binary(16))
    found: dict[tuple[bytes, str], str] = {}
    for shard in document_shards(corpus.folders["documents"]):
        for key, url, text in _matching(shard, ids):
            if (key, url) in wanted:
                found[key, url] = text[:SHOWN_CHARACTERS]
    return found


def _matching(shard: DocumentShard, ids: pa.Array) -> list[tuple[bytes, str, str]]:
    known = files.read_table(shard.path, ["document_id"]).column("document_id")
    hits = np.flatnonzero(pc.is_in(known, value_set=ids).to_numpy(zero_copy_only=False))
    if not len(hits):
        return []
    found, start = [], 0
    for batch in files.record_batches(shard.path, ["document_id", "url", "text"]):
        low, high = np.searchsorted(hits, (start, start + batch.num_rows))
        rows = batch.take(pa.array(hits[low:high] - start)).to_pylist()
        found += [(row["document_id"], row["url"], row["text"]) for row in rows]
        start += batch.num_rows
    return found
