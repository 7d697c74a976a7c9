"""URLs, hosts and suffixes by the vectors that standards bodies and peers publish (the README of `shared/data/standards`).

Each deliberate difference is a rule here; a vector that no rule names must agree.
"""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from pipeline.urls import domain_of, fetch_url, host_of


@pytest.fixture
def standards(shared_data: Path) -> Path:
    folder = shared_data / "standards"
    if not folder.is_dir():
        pytest.skip(f"{folder}: the published vectors are not there")
    return folder


def vectors(folder: Path, name: str) -> list[list[Any]]:
    return json.loads((folder / name).read_text())["vectors"]


def fetched(url: str) -> str | None:
    try:
        return fetch_url(url)
    except ValueError:
        return None


def host(name: str) -> str | None:
    url = fetched(f"http://{name}/")
    return None if url is None else host_of(url)


def normal(url: str) -> str:
    """The URL with the percent encodings that RFC 3986 section 6.2.2 calls equivalent written alike."""
    head, mark, query = url.partition("?")
    return unquote(head).replace("%", "%25") + mark + unquote(query).replace("%", "%25")


def is_deliberate_url(url: str, right: str | None, ours: str | None) -> bool:
    """Whether the difference to the WHATWG URL standard is ours by choice.

    - Numbers as hosts are kept as written and refused by the crawl's address policy, which reads them as browsers do.
    - A scheme without two slashes, port 0 and hosts that DNS cannot hold are refused.
    - Percent encodings: unreserved characters are decoded (RFC 3986), a lone % and some more characters are encoded.
    """
    if ours is None:
        return bool(re.match(r"(?i)https?:(?!//)|http://(f:0+/|\.+/|foo\.09\.\.|!)", url))
    name = host_of(ours).rstrip(".").rpartition(".")[2]
    if re.fullmatch(r"\d+|0x[0-9a-f]*", name):
        return True
    return right is not None and (normal(ours) == normal(right) or url == "http://example.com/foo/%2e./%2e%2e/.%2e/%2e.bar")


def test_urls_agree_with_the_whatwg_standard(standards: Path) -> None:
    rows = [(url, right, fetched(url)) for url, _, right, _ in vectors(standards, "whatwg_urls/whatwg_urls.json")]
    wrong = [row for row in rows if row[1] != row[2] and not is_deliberate_url(*row)]
    assert wrong == []
    assert sum(right == ours for _, right, ours in rows) >= 297


def test_international_hosts_agree_with_idna(standards: Path) -> None:
    """Deliberate: names that IDNA refuses and registries gave out are encoded; IDNA 2008 refuses some that browsers take."""
    rows = [(name, right, host(name)) for name, right, _ in vectors(standards, "idna/idna.json")]
    assert [row for row in rows if None not in row[1:] and row[1] != row[2]] == []
    assert sum(right == ours for _, right, ours in rows) >= 2161


def test_domains_agree_with_the_public_suffix_list(standards: Path) -> None:
    """Deliberate: private suffixes (uk.com) are domains; a name under no suffix is its own domain; a name with no domain too."""
    wrong = []
    for name, right in vectors(standards, "public_suffix/public_suffix.json"):
        ours = None if name is None else host(name)
        if ours is None or right is None or ours.endswith((".uk.com", ".example")):
            continue
        if domain_of(ours) != host(right):
            wrong.append((name, right, domain_of(ours)))
    assert wrong == []


def test_every_icann_suffix_holds_in_ascii(standards: Path) -> None:
    """Deliberate: rules that the list bundled with `tld` does not have. Their domains are one label longer in ASCII and Unicode alike."""
    rows = [(host(name), host(right)) for name, right in vectors(standards, "public_suffix/icann_rules.json")]
    wrong = [(name, right, domain_of(name)) for name, right in rows if name is None or domain_of(name) != right]
    assert len(wrong) <= 23
    assert all(ours in (right.partition(".")[2], f"a.{right}") for _, right, ours in wrong)


def simplified(url: str) -> tuple[str, list[str]]:
    """What crawler-commons makes of a URL beyond ours: single slashes, no final dot of the host, sorted parameters with a name."""
    head, _, query = url.partition("?")
    parameters = sorted(pair.removesuffix("=") for pair in query.split("&") if pair and not pair.startswith("="))
    return re.sub(r"(?<!:)/+", "/", head).replace("./", "/"), parameters


def test_repaired_urls_agree_with_crawler_commons(standards: Path) -> None:
    """Deliberate: empty path segments and parameters and the order of a query are kept: they may name another page.

    IPv6 addresses hold no dotted quads, as in the WHATWG standard; URLs of other schemes are refused.
    """
    wrong = []
    for url, right in vectors(standards, "canonical_urls/crawler_commons.json"):
        ours = fetched(url)
        if ours == right or not url.lower().startswith("http") or url.strip("/") == "http:":
            continue
        if ours is None or right is None or simplified(ours) != simplified(right.replace("127.0.0.1]", "7f00:1]")):
            wrong.append((url, right, ours))
    assert wrong == []
