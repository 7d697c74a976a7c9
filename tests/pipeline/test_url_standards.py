"""URLs, hosts and suffixes by the vectors that standards bodies and peers publish (the README of `shared/data/standards`).

Each deliberate difference has a name: a rule here, and a line of docs/urls.md. A vector that no rule explains must agree.
"""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import idna
import pytest

from pipeline.urls import dedup_key, domain_of, fetch_url, host_of

DOCS = Path(__file__).parents[2] / "docs" / "urls.md"


class Difference(NamedTuple):
    """A vector with which we disagree: None is a refusal."""

    vector: str
    right: str | None
    ours: str | None


Rules = dict[str, Callable[[Difference], bool]]


@pytest.fixture
def standards(shared_data: Path) -> Path:
    folder = shared_data / "standards"
    if not folder.is_dir():
        pytest.skip(f"{folder}: the published vectors are not there")
    return folder


def vectors(folder: Path, name: str) -> list[list[Any]]:
    return json.loads((folder / name).read_text())["vectors"]


def check(differences: Iterable[Difference], rules: Rules) -> None:
    """Each difference is explained by a rule, and each rule explains one."""
    used, wrong = set(), []
    for difference in differences:
        names = [name for name, explains in rules.items() if explains(difference)]
        used.update(names)
        if not names:
            wrong.append(difference)
    assert wrong == []
    assert used == set(rules)


def fetched(url: str) -> str | None:
    try:
        return fetch_url(url)
    except ValueError:
        return None


def host(name: str) -> str | None:
    url = fetched(f"http://{name}/")
    return None if url is None else host_of(url)


def can_be_in_dns(name: str) -> bool:
    labels = name.removesuffix(".").split(".")
    return len(name) <= 253 and all(re.fullmatch(r"[A-Za-z0-9_-]{1,63}", label) for label in labels)


def authority(url: str) -> str:
    """The host of a URL as it is written, decoded."""
    name = re.split(r"[/?#\\]", re.sub(r"(?i)^\s*https?:[/\\]*", "", url), maxsplit=1)[0].rpartition("@")[2]
    return unquote(re.sub(r":\d*$", "", name))


def refused(explains: Callable[[str], bool]) -> Callable[[Difference], bool]:
    """A rule about the text of vectors that we refuse."""
    return lambda difference: difference.ours is None and explains(difference.vector)


def alike(*simplify: Callable[[str], str]) -> Callable[[Difference], bool]:
    """A rule about answers that are equal once both are simplified."""

    def explains(difference: Difference) -> bool:
        ours, right = difference.ours, difference.right
        for step in simplify:
            ours, right = step(ours or ""), step(right or "")
        return bool(ours) and ours == right

    return explains


def normal(url: str) -> str:
    """The URL with the percent encodings that RFC 3986 section 6.2.2 calls equivalent written alike."""
    head, mark, query = url.partition("?")
    return unquote(head).replace("%", "%25") + mark + unquote(query).replace("%", "%25")


def unquoted_for_ever(url: str) -> str:
    while (again := unquote(url)) != url:
        url = again
    return url


def without_fragment(url: str) -> str:
    return url.partition("#")[0]


def without_user(url: str) -> str:
    return re.sub(r"//[^/?]*@", "//", url)


def with_single_slashes(url: str) -> str:
    return re.sub(r"(?<!:)/+", "/", url.partition("?")[0]) + "?" + url.partition("?")[2]


def with_sorted_query(url: str) -> str:
    head, _, query = url.partition("?")
    pairs = [unquote(pair).removesuffix("=") for pair in query.split("&")]
    return "?".join([head, "&".join(sorted(pair for pair in pairs if pair and not pair.startswith("=")))])


def without_final_dot(url: str) -> str:
    return re.sub(r"^(https?://[^/?]*?)\.+(?=[/?]|$)", r"\1", url)


def with_groups_for_quads(url: str) -> str:
    return url.replace("127.0.0.1]", "7f00:1]")


def ends_in_a_number(difference: Difference) -> bool:
    if difference.ours is None:
        return False
    last = host_of(difference.ours).rstrip(".").rpartition(".")[2]
    return re.fullmatch(r"\d+|0x[0-9a-f]*", last) is not None


def unpunycoded(label: str) -> str:
    try:
        return label[4:].encode().decode("punycode") if label.startswith("xn--") else label
    except (UnicodeError, ValueError):
        return label


def mixes_directions(name: str) -> bool:
    try:
        idna.encode(name, uts46=True)
    except idna.IDNABidiError:
        return True
    except idna.IDNAError:
        return False
    return False


CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
TWO_SLASHES = "a scheme needs two slashes"
DNS = "a host that DNS cannot hold is refused"
NUMBERS = "a number as host is kept as it is, and the address policy refuses it"
PERCENT = "percent encodings are normalised by RFC 3986"
FRAGMENT = "fragments are dropped"
SEGMENTS = "empty path segments, empty parameters and the order of a query are kept"
SCHEMES = "other schemes and relative addresses are refused"

WHATWG: Rules = {
    TWO_SLASHES: refused(lambda url: bool(re.match(r"(?i)https?:(?!//)", url))),
    "port 0 is refused": refused(lambda url: bool(re.search(r":0+/", url))),
    DNS: refused(lambda url: not can_be_in_dns(authority(url))),
    NUMBERS: ends_in_a_number,
    PERCENT: lambda d: alike(normal)(d) or d.vector == "http://example.com/foo/%2e./%2e%2e/.%2e/%2e.bar",
}
CRAWLER_COMMONS: Rules = {
    SCHEMES: refused(lambda url: not re.match(r"(?i)https?:", url)),
    "an address without a host is refused": refused(lambda url: url.strip("/") == "http:"),
    SEGMENTS: alike(with_single_slashes, with_sorted_query),
    "a dot at the end of a host is kept": alike(without_final_dot),
    "IPv6 addresses are written without a dotted IPv4 part": alike(with_groups_for_quads),
}
URLCANON: Rules = {
    TWO_SLASHES: WHATWG[TWO_SLASHES],
    DNS: WHATWG[DNS],
    NUMBERS: ends_in_a_number,
    PERCENT: alike(without_fragment, without_user, normal),
    FRAGMENT: alike(without_fragment, normal),
    "user names and passwords are dropped": alike(without_user),
    SEGMENTS: alike(with_single_slashes, with_sorted_query, normal),
    "percent encodings are decoded only once": alike(without_fragment, unquoted_for_ever),
    "a word that only looks like a number is a host name": lambda d: d.vector == "http://0000xa/",
    "bytes that are not UTF-8 count as the characters": lambda d: "\x91" in d.vector,
}
FOLDED: Rules = {
    "the dedup key ignores the scheme, `www`, a slash at the end and known session parameters": lambda d: (
        d.ours is not None and dedup_key(d.ours) == dedup_key(str(d.right))
    ),
    "keep upper and lower case in the path and the query": lambda d: (
        with_sorted_query(dedup_key(str(d.ours)).lower()) == with_sorted_query(dedup_key(str(d.right)).lower())
    ),
    "keep session ids under ambiguous names": lambda d: bool(re.search(r"\bsid=|CFID=|/\(\w*\(?", d.vector)),
}
IDNA: Rules = {
    "a name that IDNA refuses is still looked up if DNS can hold it": lambda d: (
        d.right is None and d.ours is not None and can_be_in_dns(d.ours)
    ),
    DNS: lambda d: d.ours is None and not can_be_in_dns(str(d.right)),
    "a control or bidi character in a host, also inside punycode": lambda d: (
        d.ours is None and CONTROLS.search("".join(map(unpunycoded, str(d.right).split(".")))) is not None
    ),
    "a label that mixes left-to-right and right-to-left letters is refused": refused(lambda name: mixes_directions(name)),
}
SUFFIXES: Rules = {
    "a public suffix is its own domain": lambda d: d.right is None and d.ours == host(d.vector),
    "private suffixes are domains": lambda d: str(d.ours) == "uk.com",
    "a name under no public suffix is its own domain": lambda d: str(d.vector).endswith(".example") and d.ours == d.vector,
}
NEWER: Rules = {
    "suffixes are missing from the bundled list": lambda d: d.ours in (str(d.right).partition(".")[2], f"a.{d.right}"),
}
OTHERS = ("an empty Location header counts as missing",)
"""Differences that other test files check."""


def test_docs_list_every_deliberate_difference() -> None:
    text = " ".join(DOCS.read_text("utf-8").split()).lower()
    sets = (WHATWG, CRAWLER_COMMONS, URLCANON, FOLDED, IDNA, SUFFIXES, NEWER)
    names = {name for rules in sets for name in rules} | set(OTHERS)
    assert {name for name in names if name.lower() not in text} == set()


def test_urls_agree_with_the_whatwg_standard(standards: Path) -> None:
    rows = [Difference(url, right, fetched(url)) for url, _, right, _ in vectors(standards, "whatwg_urls/whatwg_urls.json")]
    check([row for row in rows if row.right != row.ours], WHATWG)
    assert sum(row.right == row.ours for row in rows) >= 297


def test_international_hosts_agree_with_idna(standards: Path) -> None:
    rows = [Difference(name, right, host(name)) for name, right, _ in vectors(standards, "idna/idna.json")]
    check([row for row in rows if row.right != row.ours], IDNA)
    assert sum(row.right == row.ours for row in rows) >= 2161


def test_domains_agree_with_the_public_suffix_list(standards: Path) -> None:
    rows = []
    for name, right in vectors(standards, "public_suffix/public_suffix.json"):
        ours = None if name is None else host(name)
        domain = None if ours is None else domain_of(ours)
        rows.append(Difference(name or "", right and host(right), domain))
    check([row for row in rows if row.right != row.ours], SUFFIXES)


def test_every_icann_suffix_holds_in_ascii(standards: Path) -> None:
    """The bundled list is some months older than the vectors."""
    rows = [(host(name), host(right)) for name, right in vectors(standards, "public_suffix/icann_rules.json")]
    wrong = [Difference(name or "", right, name and domain_of(name)) for name, right in rows]
    wrong = [row for row in wrong if row.right != row.ours]
    check(wrong, NEWER)
    assert len(wrong) <= 23


def test_repaired_urls_agree_with_crawler_commons(standards: Path) -> None:
    rows = [Difference(url, right, fetched(url)) for url, right in vectors(standards, "canonical_urls/crawler_commons.json")]
    check([row for row in rows if row.right != row.ours], CRAWLER_COMMONS)


def as_text(url: str) -> str:
    """The vector's bytes as text; they are UTF-8, but for two."""
    try:
        return url.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return url


@pytest.mark.parametrize(
    ("sets", "rules"), [(("semantic_precise", "supplemental_whatwg", "funky_ipv4"), URLCANON), (("aggressive",), FOLDED)]
)
def test_canonical_urls_agree_with_urlcanon(standards: Path, sets: tuple[str, ...], rules: Rules) -> None:
    rows = [
        Difference(as_text(url), right, fetched(as_text(url)))
        for url, right, name in vectors(standards, "canonical_urls/canonical_urls.json")
        if name in sets
    ]
    assert len(rows) >= 29
    check([row for row in rows if row.right != row.ours], rules)
