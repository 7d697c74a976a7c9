"""Numbers of the removed duplicates: reasons, cluster sizes, similarities, and pairs to compare by eye."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.folder import CorpusFolder
from pipeline.report.numbers import DuplicateExample, Histogram
from pipeline.report.tallies import DASH, Bins, BinTally, ValueTally
from pipeline.storage import files
from pipeline.storage.document_shards import CLUSTERS, DocumentShard, document_shards

CLUSTER_SIZES = Bins((2, 3, 4, 5, 6, 10, 20, 50, 100, 1000))
PAIRS = 8
CHARACTERS_SHOWN = 1200
STEPS_PER_UNIT = 20
"""Bins of similarity between 0 and 1."""


def duplicate_histograms(corpus: CorpusFolder) -> list[Histogram]:
    """Removed documents by reason; clusters by size; near-duplicates by similarity; clusters of kept duplicates by size."""
    table = _duplicates(corpus)
    reasons = ValueTally()
    for chunk in table.column("reason").chunks:
        reasons.add(chunk)
    histograms = [reasons.histogram("duplicates", "Reasons for removal", "reason", "documents")]
    if table.num_rows:
        histograms += [_sizes(table), _similarities(table)]
    if kept := corpus.paths("dedup", CLUSTERS):
        histograms.append(_kept_sizes(pa.concat_tables([files.read_table(path, ["cluster"]) for path in kept])))
    return histograms


def _duplicates(corpus: CorpusFolder) -> pa.Table:
    columns = ["document_id", "url", "kept_id", "kept_url", "cluster", "reason", "similarity"]
    tables = [files.read_table(path, columns) for path in corpus.paths("dedup", "duplicates")]
    return pa.concat_tables(tables) if tables else pa.table({name: pa.array([], pa.string()) for name in columns})


def _cluster_sizes(table: pa.Table) -> pa.Table:
    """A table of cluster and members: the removed documents and those kept in their place."""
    grouped = table.group_by("cluster").aggregate([("document_id", "count"), ("kept_id", "count_distinct")])
    members = pc.add(grouped.column("document_id_count"), grouped.column("kept_id_count_distinct"))
    return pa.table({"cluster": grouped.column("cluster"), "members": members})


def _sizes(table: pa.Table) -> Histogram:
    sizes = BinTally(CLUSTER_SIZES)
    sizes.add(_cluster_sizes(table).column("members").to_numpy())
    return sizes.histogram("clusters", "Clusters of duplicates", "documents per cluster", "clusters")


def _kept_sizes(clusters: pa.Table) -> Histogram:
    """Clusters of kept duplicates; each has one document more than the table has rows of it."""
    sizes = BinTally(CLUSTER_SIZES)
    sizes.add(pc.value_counts(clusters.column("cluster")).field("counts").to_numpy() + 1)
    return sizes.histogram("kept_clusters", "Clusters of duplicates that were kept", "documents per cluster", "clusters")


def _similarities(table: pa.Table) -> Histogram:
    """Similarities in bins of 0.05; the float32 nearest to 0.7 counts as 0.7."""
    values = table.column("similarity").drop_null().to_numpy().astype(np.float64)
    steps = np.minimum(np.floor(values * STEPS_PER_UNIT + 1e-5).astype(np.int64), STEPS_PER_UNIT)
    counted = sorted(Counter(steps.tolist()).items())
    labels = tuple("1" if step == STEPS_PER_UNIT else f"{step / STEPS_PER_UNIT:.2f}{DASH}" for step, _ in counted)
    counts = tuple(items for _, items in counted)
    title, axis = "Similarity of removed to kept documents", "Jaccard similarity of shingles"
    return Histogram("similarity", title, axis, "documents", labels, counts, binned=True)


def duplicate_pairs(corpus: CorpusFolder) -> tuple[DuplicateExample, ...]:
    """PAIRS removed documents, each with the kept one, spread evenly over all similarities. The choice is deterministic."""
    table = _duplicates(corpus)
    if not table.num_rows or "documents" not in corpus.folders:
        return ()
    rows = table.sort_by([("similarity", "ascending"), ("document_id", "ascending")])
    below = int(pc.sum(pc.less(rows.column("similarity"), 1.0)).as_py() or 0)
    span = below or rows.num_rows
    places = sorted({i * (span - 1) // max(1, PAIRS - 1) for i in range(PAIRS)})
    chosen = rows.take(places).to_pylist()
    sizes = dict(zip(*(c.to_pylist() for c in _cluster_sizes(table).columns), strict=True))
    texts = _texts(
        corpus, {(row[key], row[url]) for row in chosen for key, url in (("document_id", "url"), ("kept_id", "kept_url"))}
    )
    return tuple(
        DuplicateExample(
            row["url"],
            row["kept_url"],
            row["reason"],
            round(row["similarity"], 4),
            sizes[row["cluster"]],
            texts.get((row["document_id"], row["url"]), ""),
            texts.get((row["kept_id"], row["kept_url"]), ""),
        )
        for row in chosen
    )


def _texts(corpus: CorpusFolder, keys: set[tuple[bytes, str]]) -> dict[tuple[bytes, str], str]:
    """The beginnings of the documents with these (id, URL): all ids are scanned, but only matching rows' text is read."""
    ids = pa.array(sorted({key for key, _ in keys}), pa.binary(16))
    texts: dict[tuple[bytes, str], str] = {}
    for shard in document_shards(corpus.folders["documents"]):
        for key, url, text in _matching_rows(shard, ids):
            if (key, url) in keys:
                texts[key, url] = text[:CHARACTERS_SHOWN]
    return texts


def _matching_rows(shard: DocumentShard, ids: pa.Array) -> list[tuple[bytes, str, str]]:
    column = files.read_table(shard.path, ["document_id"]).column("document_id")
    hits = np.flatnonzero(pc.is_in(column, value_set=ids).to_numpy(zero_copy_only=False))
    if not len(hits):
        return []
    matches, start = [], 0
    for batch in files.record_batches(shard.path, ["document_id", "url", "text"]):
        low, high = np.searchsorted(hits, (start, start + batch.num_rows))
        rows = batch.take(pa.array(hits[low:high] - start)).to_pylist()
        matches += [(row["document_id"], row["url"], row["text"]) for row in rows]
        start += batch.num_rows
    return matches
