"""From folders to `Numbers`."""

from collections.abc import Sequence
from dataclasses import fields

import orjson

from pipeline.corpus.folder import Corpus, funnel
from pipeline.report.duplicates import duplicate_histograms, duplicate_pairs
from pipeline.report.histograms import document_histograms, link_histograms, page_histograms, sites, stage_numbers
from pipeline.report.numbers import Histogram, Numbers, Overlap
from pipeline.report.tokens import token_numbers
from pipeline.report.training import read_evaluations, read_run
from pipeline.storage import files


def gather(
    corpus: Corpus,
    *,
    title: str = "Corpus report",
    runs: Sequence[str] = (),
    evaluations: Sequence[str] = (),
    webtext_domains: str | None = None,
) -> Numbers:
    """All numbers of the corpus, of training runs' folders and of evaluations' folders."""
    histograms: list[Histogram] = []
    if "links" in corpus.manifests:
        histograms += link_histograms(corpus)
    if "pages" in corpus.manifests:
        histograms += page_histograms(corpus)
    found_sites = None
    if shards := corpus.unique_shards():
        of_documents, domains = document_histograms(shards)
        histograms += of_documents
        found_sites = sites(domains, webtext_domains)
    if "dedup" in corpus.manifests:
        histograms += duplicate_histograms(corpus)
    tokens = None
    if "tokens" in corpus.manifests:
        tokens, lengths = token_numbers(corpus)
        histograms.append(lengths)
    return Numbers(
        title,
        stage_numbers(corpus),
        funnel(corpus),
        tuple(histograms),
        found_sites,
        duplicate_pairs(corpus),
        tokens,
        tuple(read_run(folder) for folder in runs),
        tuple(result for folder in evaluations for result in read_evaluations(folder)),
        overlaps(corpus),
    )


def overlaps(corpus: Corpus) -> tuple[Overlap, ...]:
    """What the overlap stage measured, an evaluation set each."""
    rows = [row for path in corpus.paths("overlap", "overlap") for row in orjson.loads(files.read_bytes(path))]
    return tuple(Overlap(**{f.name: row[f.name] for f in fields(Overlap)}) for row in rows)
