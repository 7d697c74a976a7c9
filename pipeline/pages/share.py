"""The part of the web that one worker crawls: links grouped by the buckets of their hosts."""

from dataclasses import dataclass

from pipeline.links.buckets import HASH_BITS, host_hash
from pipeline.pages.crawl import CrawlRequest
from pipeline.pages.output import read_links, read_moved
from pipeline.records import Link
from pipeline.storage.private_addresses import addresses_of, lacks_address
from pipeline.urls import dedup_key, host_of


@dataclass(frozen=True, slots=True)
class Share:
    """The links of one part: shards of links, and files of links moved from other parts' hosts.

    Hosts lie in `buckets` buckets; those from `first` to `last` (excluded) belong to the part.
    """

    shards: tuple[str, ...]
    first: int = 0
    last: int = 1
    buckets: int = 1
    moved: tuple[str, ...] = ()

    def owns(self, url: str) -> bool:
        """Whether this part, and no other, asks the URL's host."""
        return self.first <= bucket_of(url, self.buckets) < self.last

    def addresses(self) -> dict[str, str]:
        """The addresses to fetch of the links that publish another URL, by that URL."""
        return {url: address for path in self.shards for url, address in addresses_of(path).items()}

    def read(self) -> tuple[dict[str, Link], dict[str, CrawlRequest]]:
        """The links and their first requests, both by the links' URLs. A link whose address was removed has no request."""
        links = {link.url: link for path in self.shards for link in read_links(path)}
        addresses = self.addresses()
        requests = {
            url: CrawlRequest(url, addresses.get(url, url)) for url in links if url in addresses or not lacks_address(url)
        }
        for path in self.moved:
            for link, moved in read_moved(path):
                if self.owns(moved.target):
                    links[link.url] = link
                    requests[link.url] = CrawlRequest(link.url, moved.target, moved.redirects, moved.chain)
        return links, requests


def bucket_of(url: str, buckets: int) -> int:
    """The bucket of a URL's host, as the links stage sorts hosts into shards. Spellings that fold to one host share a bucket."""
    return host_hash(host_of(dedup_key(url))) * buckets >> HASH_BITS


def shares(shards: list[tuple[str, int]], links_per_part: int) -> list[tuple[Share, int]]:
    """(share, number of links) of each part. `shards` are (path, rows), one per bucket, in order.

    Neighbouring shards join while their links fit into `links_per_part`; the result depends on the data alone.
    """
    groups: list[list[int]] = []
    for bucket, (_, rows) in enumerate(shards):
        if groups and sum(shards[b][1] for b in groups[-1]) + rows <= links_per_part:
            groups[-1].append(bucket)
        else:
            groups.append([bucket])
    return [
        (Share(tuple(shards[b][0] for b in group), group[0], group[-1] + 1, len(shards)), sum(shards[b][1] for b in group))
        for group in groups
    ]


def joined(neighbours: list[Share], most: int) -> list[Share]:
    """At most `most` shares of the same hosts, in order, without the links of `neighbours`.

    >>> [(share.first, share.last) for share in joined([Share((), bucket, bucket + 1, 5) for bucket in range(5)], 2)]
    [(0, 3), (3, 5)]
    """
    size = -(-len(neighbours) // most)
    groups = [neighbours[at : at + size] for at in range(0, len(neighbours), size)]
    return [Share((), group[0].first, group[-1].last, group[0].buckets) for group in groups]
