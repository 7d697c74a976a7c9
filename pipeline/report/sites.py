"""The most common sites of a corpus, compared with the list of WebText's sites that OpenAI published."""

from collections import Counter

from tld import Result, get_tld

from pipeline.report.numbers import Site, SiteNumbers
from pipeline.report.tallies import NOT_KNOWN, ValueTally
from pipeline.storage import files
from tokenizer.errors import InputError

DOMAINS_MATCHED = 20_000
SITES_SHOWN = 25


def site_name(domain: str) -> str:
    """A host's site as OpenAI's list names it: without subdomain and suffix. IP addresses and local names stay as they are.

    >>> site_name("news.bbc.co.uk")
    'bbc'
    """
    result = get_tld(f"http://{domain}/", as_object=True, fail_silently=True, search_private=False)
    return result.domain if isinstance(result, Result) and result.domain else domain


def site_numbers(domains: ValueTally, webtext_domains: str | None) -> SiteNumbers:
    """The most common sites. `webtext_domains` is the path of OpenAI's list (`count name` per line), if at hand."""
    pairs = [(domain, items) for domain, items in domains.pairs() if domain != NOT_KNOWN]
    total = sum(items for _, items in pairs)
    ours: Counter[str] = Counter()
    for domain, items in pairs[:DOMAINS_MATCHED]:
        ours[site_name(domain)] += items
    theirs = read_webtext_domains(webtext_domains) if webtext_domains else {}
    rank = {name: i for i, name in enumerate(theirs, start=1)}
    their_total = sum(theirs.values())
    most_common = sorted(ours.items(), key=lambda pair: (-pair[1], pair[0]))[:SITES_SHOWN]
    top = tuple(
        Site(name, items, items / total, rank.get(name), theirs[name] / their_total if name in theirs else None)
        for name, items in most_common
    )
    if not theirs:
        return SiteNumbers(top, len(pairs))
    shared = [items for name, items in ours.items() if name in theirs]
    return SiteNumbers(top, len(pairs), len(shared), sum(shared) / total if total else 0.0, len(theirs))


def read_webtext_domains(path: str) -> dict[str, int]:
    """Site to documents in WebText, most common first. Raises InputError on a line that is not `count name`.

    OpenAI's list has one line without a name, probably for addresses without a suffix. It counts for no site.
    """
    if not files.exists(path):
        raise InputError(f"{path}: no such file; --webtext-domains takes OpenAI's domains.txt")
    documents: dict[str, int] = {}
    for number, line in enumerate(files.read_bytes(path).decode().splitlines(), start=1):
        count, _, name = line.strip().partition(" ")
        if not count.isdecimal():
            raise InputError(f"{path}:{number}: {line[:40]!r} is not `count name`; --webtext-domains takes OpenAI's domains.txt")
        documents[name.strip()] = int(count)
    documents.pop("", None)
    if not documents:
        raise InputError(f"{path}: names no site; --webtext-domains takes OpenAI's domains.txt")
    return documents
