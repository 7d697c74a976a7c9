"""The links of a part by their numbers, without those that an earlier source gave a page of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.pages.held import Earlier
from pipeline.pages.output import read_links
from pipeline.pages.share import Share
from pipeline.records import Link
from pipeline.storage.private_addresses import lacks_address


@dataclass(frozen=True, slots=True)
class NumberedShare:
    """The links of a part, numbered from `first` in the order of their shards."""

    share: Share
    first: int
    earlier: Earlier


def numbered_links(share: Share, first: int) -> Iterator[tuple[int, Link]]:
    """Every link of a share with its number."""
    links = (link for path in share.shards for link in read_links(path))
    return enumerate(links, first)


def missing_links(work: NumberedShare) -> Iterator[tuple[int, Link, str]]:
    """(number, link, address to fetch) of each link that has no page yet. One whose address was removed keeps its published URL."""
    done = work.earlier.done(work.share)
    addresses = work.share.addresses()
    for number, link in numbered_links(work.share, work.first):
        if link.url not in done and (link.url in addresses or not lacks_address(link.url)):
            yield number, link, addresses.get(link.url, link.url)


def links_by_number(shares: Sequence[tuple[int, Share]], numbers: set[int]) -> dict[int, Link]:
    """The links with these numbers; `shares` are (number of the first link, share)."""
    found: dict[int, Link] = {}
    waiting = sorted(numbers)
    for position, (first, share) in enumerate(shares):
        last = shares[position + 1][0] if position + 1 < len(shares) else None
        if any(number >= first and (last is None or number < last) for number in waiting):
            found.update((number, link) for number, link in numbered_links(share, first) if number in numbers)
    return found
