"""`Fetch` in an ordinary pipeline, against the pages stage on the same web."""

import pickle
from itertools import pairwise
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from servers.replay import NOT_FOUND, ReplayServer, Reply
from servers.stage_runs import body_of, links_folder, pages_of, pages_settings, run
from servers.stage_runs import link as link_to
from servers.witness import WitnessServer

from pipeline.engine.runner import Engine
from pipeline.pages.crawl import CrawlRequest
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share, bucket_of
from pipeline.pages.transform import QUEUED_OUTCOMES, Fetch, crawl_outcomes
from pipeline.records import Drop, Link, RawPage
from pipeline.storage import files
from pipeline.storage.manifest import StageManifest

HOSTS = [f"h{number}.example" for number in range(8)]


def web() -> dict[str, bytes | Reply | None]:
    """Pages of each kind, and chains of redirects over hosts."""
    pages: dict[str, bytes | Reply | None] = {
        f"https://{HOSTS[-1]}/on": b"<p>The end of a long chain",
        "https://h2.example/plain": Reply(b"plain w\xf6rds", "text/plain; charset=ISO-8859-1"),
        "https://h3.example/gone?api_key=1": NOT_FOUND,
        "https://h4.example/lost": None,
        "https://h5.example/robots.txt": Reply(b"User-agent: *\nDisallow: /private", "text/plain"),
        "https://h5.example/private": b"<p>Private",
    }
    for host, other in pairwise(HOSTS):
        pages[f"https://{host}/"] = b"<p>At " + host.encode()
        pages[f"https://{host}/other"] = Reply(status=302, headers=(("Location", f"https://{other}/plain"),))
        pages[f"https://{host}/on"] = Reply(status=301, headers=(("Location", f"https://{other}/on"),))
    return pages


LINKS = [link_to(url, "abc") for url in web() if not url.endswith("robots.txt")]


def printed(element: RawPage) -> int:
    """A function of a page, for Beam's type check of the output."""
    return len(element.body)


def check(
    links: list[Link], settings: PagesSettings, pages: list[RawPage], drops: list[Drop], workers: int, buckets: int
) -> None:
    """Run `Fetch` in memory and compare its outputs."""
    options = PipelineOptions([f"--direct_num_workers={workers}", "--direct_running_mode=multi_threading"])
    with beam.Pipeline(FnApiRunner(), options) as pipeline:
        outputs = pipeline | beam.Create(links) | Fetch(settings, buckets)
        assert_that(outputs.pages, equal_to(pages), "Pages equal")
        assert_that(outputs.drops, equal_to(drops), "Drops equal")
        assert_that(outputs.pages | "Size" >> beam.Map(printed), equal_to([len(page.body) for page in pages]), "Sizes equal")


def stage_output(folder: Path) -> tuple[list[RawPage], list[Drop]]:
    """Pages and drops of a finished stage, as later stages read them."""
    pages = [RawPage.of(page, body_of(folder, page)) for page in pages_of(folder)]
    entries = StageManifest.load(str(folder)).of_kind("drops")
    rows = [row for entry in entries for row in files.read_table(str(folder / entry.name)).to_pylist()]
    return pages, [Drop.from_row(row) for row in rows]


def test_fetch_gives_the_pages_and_drops_of_the_stage(tmp_path: Path, engine: Engine) -> None:
    links = links_folder(tmp_path / "links", LINKS)
    with ReplayServer(web()) as server:
        settings = {"proxy": server.proxy_url, "ca_bundle": server.ca_bundle}
        run(links, tmp_path / "pages", engine, **settings)
        pages, drops = stage_output(tmp_path / "pages")
        assert len(pages) + len(drops) == len(LINKS)
        assert {"https://h2.example/on", "https://h1.example/other"} < {page.url for page in pages}
        assert {drop.reason for drop in drops} == {"http_404", "connection", "robots", "too_many_redirects"}
        assert len({bucket_of(page.final_url, 5) for page in pages}) > 2
        for workers, buckets, order in ((1, 5, 1), (3, 5, -1), (1, 1, 1)):
            check(LINKS[::order], pages_settings(**settings), pages, drops, workers, buckets)


def test_a_page_of_two_links_with_one_url_is_requested_once() -> None:
    links = [link_to("https://one.example/", name) for name in ("abc", "def")]
    with ReplayServer({"https://one.example/": b"<p>One"}) as server:
        settings = pages_settings(proxy=server.proxy_url, ca_bundle=server.ca_bundle)
        first = links[0]
        about = (first.dedup_key, first.domain, first.karma, first.submitted_at)
        page = RawPage("https://one.example/", b"<p>One", "text/html", "utf-8", "https://one.example/", *about)
        check(links, settings, [page, page], [], 1, 4)
        assert server.hits["https://one.example/"] == 1


def test_hosts_get_one_request_at_a_time_with_several_workers() -> None:
    with WitnessServer(service_seconds=0.02) as server:
        links = [link_to(f"http://h{number % 8}.test/{number}") for number in range(48)]
        settings = pages_settings(proxy=f"http://127.0.0.1:{server.port}", threads=8)
        options = PipelineOptions(["--direct_num_workers=4", "--direct_running_mode=multi_threading"])
        with beam.Pipeline(FnApiRunner(), options) as pipeline:
            outputs = pipeline | beam.Create(links) | Fetch(settings, 6)
            assert_that(outputs.drops, equal_to([]))
    assert set(server.hits().values()) == {1}
    assert len(server.hits()) == len(links) + 8  # and robots.txt once per host
    assert set(server.most_at_once.values()) == {1}


def test_closing_the_outcomes_ends_the_crawl() -> None:
    with WitnessServer() as server:
        settings = pages_settings(proxy=f"http://127.0.0.1:{server.port}", threads=4)
        requests = [CrawlRequest(url, url) for url in (f"http://h{n % 50}.test/{n}" for n in range(20 * QUEUED_OUTCOMES))]
        with settings.client() as client:
            outcomes = crawl_outcomes(client, settings, Share(()), requests)
            next(outcomes)
            outcomes.close()
        assert len(server.hits()) < len(requests)


def test_an_error_of_the_crawl_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def burst(*_: object, **__: object) -> None:
        raise RuntimeError("burst")

    monkeypatch.setattr("pipeline.pages.crawl.page_or_drop", burst)
    with WitnessServer() as server:
        settings = pages_settings(proxy=f"http://127.0.0.1:{server.port}")
        with settings.client() as client, pytest.raises(RuntimeError, match="burst"):
            list(crawl_outcomes(client, settings, Share(()), [CrawlRequest("http://a.test/", "http://a.test/")]))


def test_fetch_is_picklable() -> None:
    transform = Fetch(PagesSettings(contact="https://example.com/crawl"), 3)
    copy = pickle.loads(pickle.dumps(transform))  # made in the line itself
    assert (copy.settings, copy.buckets) == (transform.settings, 3)


def test_archives_and_invalid_bucket_counts_are_refused() -> None:
    for settings in (PagesSettings(fetch_from=("pages.warc.gz",)), PagesSettings(source=("wayback", "live"))):
        with pytest.raises(ValueError, match="for archives \\(source, fetch_from\\) run the stage `pages`"):
            Fetch(settings)
    with pytest.raises(ValueError, match="buckets 0: must be 1 or more"):
        Fetch(buckets=0)
