import pickle
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from page_folders import html_page, run, write_pages

from pipeline.documents import sandbox_pool
from pipeline.documents.limits import SandboxLimits
from pipeline.documents.page_ranges import page_ranges
from pipeline.documents.rules import DEFAULT_RULES
from pipeline.documents.transform import Extract
from pipeline.engine.runner import Engine
from pipeline.records import Document, Drop, RawPage
from pipeline.storage import files
from pipeline.storage.document_shards import document_shards
from pipeline.storage.manifest import StageManifest

URL = "http://example.org/"
BODIES = [html_page(1), b"<p>Too short.</p>", html_page(2), b"", html_page(1), *map(html_page, range(3, 12))]


def stored(document: Document) -> Document:
    """The document as a Parquet file stores it: its confidence is a float32."""
    return Document.from_row(Document.table([document]).to_pylist()[0])


def check(pages: list[RawPage], extract: Extract, documents: list[Document], drops: list[Drop]) -> None:
    """Assert what the transform gives for the pages."""
    with beam.Pipeline(FnApiRunner()) as pipeline:
        outputs = pipeline | beam.Create(pages) | extract
        assert_that(outputs.documents | beam.Map(stored), equal_to(documents), "documents")
        assert_that(outputs.drops, equal_to(drops), "drops")


def test_transform_gives_the_documents_and_drops_of_the_stage(tmp_path: Path, engine: Engine) -> None:
    folder = write_pages(tmp_path / "pages", BODIES)
    manifest = run(folder, tmp_path / "documents", engine)
    (shard,) = document_shards(str(tmp_path / "documents"))
    documents = [Document.from_row(row) for row in files.read_table(shard.path).to_pylist()]
    (entry,) = manifest.of_kind("drops")
    drops = [Drop.from_row(row) for row in files.read_table(str(tmp_path / "documents" / entry.name)).to_pylist()]
    assert (len(documents), len(drops)) == (12, 2)
    (pages,) = page_ranges(str(folder), StageManifest.load(str(folder)))
    raw_pages = [raw for page in pages.pages() if isinstance(raw := pages.read(page), RawPage)]
    for order in (raw_pages, raw_pages[::-1]):
        check(order, Extract(), documents, drops)


def test_transform_keeps_its_rules_and_limits() -> None:
    german = Extract(replace(DEFAULT_RULES, languages=frozenset({"de"})))
    check([RawPage(URL, html_page(1))], german, [], [Drop("documents", URL, "language", "en 1.00")])
    hasty = Extract(limits=SandboxLimits(cpu_seconds=0.01, wall_seconds=120))
    check([RawPage(URL, b"<p>word by word</p>" * 20_000)], hasty, [], [Drop("documents", URL, "cpu_time", "more than 0.01 s")])


def test_transform_gives_its_sandboxes_back_to_the_pool() -> None:
    limits = SandboxLimits(pages=1_234)
    check([RawPage(URL, b"")], Extract(limits=limits), [], [Drop("documents", URL, "no_markup")])
    assert len(sandbox_pool._idle[(DEFAULT_RULES, limits)]) >= 1


def test_transform_is_picklable() -> None:
    copy = pickle.loads(pickle.dumps(Extract(replace(DEFAULT_RULES, filters=("c4",)))))
    assert copy.rules.filters == ("c4",)
    assert copy.limits == SandboxLimits()
