"""All numbers of a report, gathered from a corpus, training runs and evaluations."""

from collections.abc import Sequence

from pipeline.corpus.folder import CorpusFolder, funnel
from pipeline.report.duplicates import duplicate_histograms, duplicate_pairs
from pipeline.report.histograms import document_histograms, link_histograms, page_histograms
from pipeline.report.numbers import Histogram, OverlapNumbers, ReportNumbers
from pipeline.report.sites import site_numbers
from pipeline.report.stage_numbers import stage_numbers
from pipeline.report.tokens import token_numbers
from pipeline.report.training import read_evaluation, read_run, read_sample
from pipeline.storage import files
from tokenizer.errors import InputError
from tokenizer.typed_json import decode
from tokenizer.untrusted import MAX_JSON_BYTES


def gather(
    corpus: CorpusFolder,
    *,
    title: str = "Corpus report",
    runs: Sequence[str] = (),
    evaluations: Sequence[str] = (),
    webtext_domains: str | None = None,
    samples: Sequence[str] = (),
) -> ReportNumbers:
    """The numbers of the corpus and of the training runs, evaluations and samples in these folders and files.

    `webtext_domains` is the path of OpenAI's domains.txt.
    """
    histograms: list[Histogram] = []
    if "links" in corpus.manifests:
        histograms += link_histograms(corpus)
    if "pages" in corpus.manifests:
        histograms += page_histograms(corpus)
    sites = None
    if shards := corpus.unique_shards():
        of_documents, domains = document_histograms(corpus, shards)
        histograms += of_documents
        sites = site_numbers(domains, webtext_domains)
    if "dedup" in corpus.manifests:
        histograms += duplicate_histograms(corpus)
    tokens = None
    if "tokens" in corpus.manifests:
        tokens, lengths = token_numbers(corpus)
        histograms.append(lengths)
    return ReportNumbers(
        title,
        stage_numbers(corpus),
        funnel(corpus),
        tuple(histograms),
        sites,
        duplicate_pairs(corpus),
        tokens,
        tuple(read_run(folder) for folder in runs),
        tuple(figure for folder in evaluations for figure in read_evaluation(folder)),
        _overlap_numbers(corpus),
        tuple(read_sample(path) for path in samples),
    )


def _overlap_numbers(corpus: CorpusFolder) -> tuple[OverlapNumbers, ...]:
    """One record per evaluation set that the overlap stage measured."""
    numbers: list[OverlapNumbers] = []
    for path in corpus.paths("overlap", "overlap"):
        try:
            numbers += decode(files.read_bytes(path, MAX_JSON_BYTES), list[OverlapNumbers])
        except ValueError as error:
            raise InputError(f"{path}: not the numbers of an overlap ({error}); run the stage 'overlap' again") from error
    return tuple(numbers)
