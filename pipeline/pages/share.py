"""TODO-DOC."""

from dataclasses import dataclass

from pipeline.links.buckets import HASH_BITS, host_hash
from pipeline.pages.crawl import Visit
from pipeline.pages.output import read_links, read_moved
from pipeline.records import Link
from pipeline.urls import dedup_key, host_of


@dataclass(frozen=True, slots=True)
class Share:
    """The links of one part: shards of links, and what other parts handed over. Of `buckets` buckets of hosts, those from `first` to
    `last` (excluded) are its own.
    """

    shards: tuple[str, ...]
    first: int = 0
    last: int = 1
    buckets: int = 1
    handed_over: tuple[str, ...] = ()

    def owns(self, url: str) -> bool:
        """Whether the URL's host is asked by this part alone."""
        return self.first <= bucket_of(url, self.buckets) < self.last

    def read(self) -> tuple[dict[str, Link], dict[str, Visit]]:
        """The links and where each is to be asked for first, by the links' URLs."""
        links = {link.url: link for path in self.shards for link in read_links(path)}
        first = {url: Visit(url, url) for url in links}
        for path in self.handed_over:
            for link, moved in read_moved(path):
                if self.owns(moved.target):
                    links[link.url] = link
                    first[link.url] = Visit(link.url, moved.target, moved.redirects, way=moved.way)
        return links, first


def bucket_of(url: str, buckets: int) -> int:
    """The bucket of a URL's host, as the links stage deals them: all spellings of a host that fold together lie in one."""
    return host_hash(host_of(dedup_key(url))) * buckets >> HASH_BITS


def shares(shards: list[tuple[str, int]], links_a_part: int) -> list[tuple[Share, int]]:
    """Link shards (path, rows), a bucket each, in order: together until a part has its share. (share, links) a part, by the data alone."""
    groups: list[list[int]] = []
    for bucket, (_, rows) in enumerate(shards):
        if groups and sum(shards[b][1] for b in groups[-1]) + rows <= links_a_part:
            groups[-1].append(bucket)
        else:
            groups.append([bucket])
    return [
        (Share(tuple(shards[b][0] for b in group), group[0], group[-1] + 1, len(shards)), sum(shards[b][1] for b in group))
        for group in groups
    ]
