"""`Fetch`: the pages stage's crawl as a transform for any Beam pipeline."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Queue
from typing import Literal, NamedTuple

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.typehints.decorators import no_annotations

from pipeline.pages.client import Client
from pipeline.pages.crawl import Crawl, CrawlRequest
from pipeline.pages.listed import Listed
from pipeline.pages.outcomes import DroppedLink, FetchedPage, FetchOutcome, MovedLink, PageDrop
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share, bucket_of
from pipeline.pages.warc_writer import RedirectChain
from pipeline.records import Drop, Link, RawPage
from pipeline.redaction import redact

STAGE = "pages"
DROPS: Literal["drops"] = "drops"
MOVED: Literal["moved"] = "moved"
QUEUED_OUTCOMES = 64
"""Finished pages that may wait for the rest of the pipeline: more would fill the memory while the crawl goes on."""


class FetchOutputs(NamedTuple):
    """Outputs of `Fetch`: every link is a page or a drop."""

    pages: PCollection[RawPage]
    drops: PCollection[Drop]


@dataclass(frozen=True, slots=True)
class BucketRequest:
    """A link to fetch from `target`, where `redirects` have led, in the crawl of the target's bucket."""

    link: Link
    target: str
    redirects: int = 0
    redirected: tuple[str, ...] = ()


DroppedOutput = TaggedOutput[Literal["drops"], Drop]
MovedOutput = TaggedOutput[Literal["moved"], BucketRequest]


@dataclass
class Fetch(beam.PTransform[PCollection[Link], FetchOutputs]):
    """Fetches links from the web, politely: links (`Link`) in, pages with decoded bodies and drops with reasons out.

    Hosts are grouped into `buckets`; a bucket is crawled by one worker at a time, with `settings.threads` hosts side by side, so
    no host gets two requests at once. Redirects to a host of another bucket are followed in further rounds, each after the end of
    the one before. More buckets than workers balance the load; fewer buckets let more hosts wait side by side. The input has to
    be bounded. A bundle that the runner retries is fetched again. No files are written: the settings for WARC files have no
    effect.

    A crawl whose network is down fails its bundle with OutageError, so that the runner tries it again, unless
    `settings.stop_on_outage` is off.

    Raises ValueError for archives (`settings.source`, `settings.fetch_from`), which only the stage reads: it indexes them first.

    Example (`links` is a PCollection of `Link`):

        pages, drops = links | Fetch(PagesSettings(contact="https://example.com/crawl"))
        pages | beam.Map(lambda page: (page.url, len(page.body)))
    """

    settings: PagesSettings = field(default_factory=PagesSettings)
    buckets: int = 16

    def __post_init__(self) -> None:
        if self.settings.sources != ("live",):
            raise ValueError("Fetch reads the live web: for archives (source, fetch_from) run the stage `pages`")
        if self.buckets < 1:
            raise ValueError(f"buckets {self.buckets}: must be 1 or more")

    @no_annotations  # type: ignore[untyped-decorator]  # Beam takes no NamedTuple of PCollections for a type, and would warn
    def expand(self, links: PCollection[Link]) -> FetchOutputs:
        """Crawl in rounds, one more than a link may have redirects; each GroupByKey waits for the end of the round before."""
        crawl = CrawlBucket(self.settings, self.buckets)
        requests = links | "Start" >> beam.Map(_first_request)
        pages, drops = [], []
        for number in range(self.settings.max_redirects + 1):
            crawled = (
                requests
                | f"Bucket {number}" >> beam.Map(_with_bucket, self.buckets)
                | f"Group {number}" >> beam.GroupByKey()
                | f"Crawl {number}" >> beam.ParDo(crawl).with_outputs(DROPS, MOVED, main="pages")
            )
            pages.append(crawled.pages)
            drops.append(crawled[DROPS])
            requests = crawled[MOVED]
        return FetchOutputs(pages | "Pages" >> beam.Flatten(), drops | "Drops" >> beam.Flatten())


def _first_request(link: Link) -> BucketRequest:
    return BucketRequest(link, link.url)


def _with_bucket(request: BucketRequest, buckets: int) -> tuple[int, BucketRequest]:
    return bucket_of(request.target, buckets), request


class CrawlBucket(beam.DoFn):
    """Crawls the hosts of one bucket; links that are redirected to hosts of other buckets come out as `moved`."""

    def __init__(self, settings: PagesSettings, buckets: int) -> None:
        self._settings = settings
        self._buckets = buckets

    def setup(self) -> None:
        """Open the HTTP client."""
        self._client = self._settings.client()
        self._listed = Listed.of(self._settings.takedown)

    def teardown(self) -> None:
        """Close the HTTP client."""
        self._client.close()

    def process(self, element: tuple[int, Iterable[BucketRequest]]) -> Iterator[RawPage | DroppedOutput | MovedOutput]:
        """Pages and drops as the crawl finishes them."""
        bucket, bucket_requests = element
        links: dict[str, list[Link]] = defaultdict(list)
        requests: dict[str, CrawlRequest] = {}
        for request in bucket_requests:
            url = request.link.url
            if listed := self._listed.of_link(request.link):
                yield _output(request.link, DroppedLink(url, PageDrop.TAKEN_DOWN, listed))
                continue
            links[url].append(request.link)
            requests[url] = CrawlRequest(url, request.target, request.redirects, RedirectChain(urls=request.redirected))
        share = Share((), bucket, bucket + 1, self._buckets)
        for outcome in crawl_outcomes(self._client, self._settings, share, [requests[url] for url in sorted(requests)]):
            for link in links[outcome.url]:
                yield _output(link, self._listed.outcome(outcome))


def _output(link: Link, outcome: FetchOutcome) -> RawPage | DroppedOutput | MovedOutput:
    """An outcome as an element of one of the outputs, counted in the pipeline's metrics."""
    if isinstance(outcome, MovedLink):
        return MovedOutput(MOVED, BucketRequest(link, outcome.target, outcome.redirects, outcome.chain.urls))
    Metrics.counter(STAGE, "in").inc()
    if isinstance(outcome, DroppedLink):
        Metrics.counter(STAGE, f"dropped_{outcome.reason}").inc()
        return DroppedOutput(DROPS, outcome.drop(STAGE))
    assert isinstance(outcome, FetchedPage)  # no page is held from an earlier crawl
    Metrics.counter(STAGE, "out").inc()
    return raw_page(link, outcome)


def raw_page(link: Link, page: FetchedPage) -> RawPage:
    """A fetched page as the documents stage reads it from the crawl's index and WARC files."""
    return RawPage(
        url=redact(link.url),
        body=page.response.body,
        media_type=page.media_type,
        charset=page.charset,
        final_url=redact(page.response.url),
        dedup_key=link.dedup_key,
        domain=link.domain,
        karma=link.karma,
        submitted_at=link.submitted_at,
        redirects=page.chain.urls,
    )


def crawl_outcomes(
    client: Client, settings: PagesSettings, share: Share, requests: Sequence[CrawlRequest]
) -> Iterator[FetchOutcome]:
    """The outcomes of a crawl of the share's hosts, in the order in which they finish. Closing the iterator ends the crawl."""
    outcomes: Queue[FetchOutcome | None] = Queue(QUEUED_OUTCOMES)
    crawl = Crawl(
        *(client, settings.politeness, outcomes.put, settings.now, share.owns),
        kept_types=settings.kept_types,
        outages=settings.outage_watch(),
    )
    with ThreadPoolExecutor(1, "crawl") as pool:
        running = pool.submit(crawl.run, requests, settings.threads)
        running.add_done_callback(lambda _: outcomes.put(None))
        finished = False
        try:
            while (outcome := outcomes.get()) is not None:
                yield outcome
            finished = True
        finally:
            if not finished:
                crawl.stop()
                for _ in iter(outcomes.get, None):  # threads may wait for room in the queue
                    pass
        running.result()
