import ipaddress
import socket
from typing import Any

import pytest
from servers.hostile import WHOLE, Case, HostileServer, full, moved

from pipeline.pages.addresses import AddressPolicy, ForbiddenAddressError
from pipeline.pages.client import Client, RequestLimits
from pipeline.pages.crawl import Crawl, first_requests
from pipeline.pages.failures import RequestError, RequestFailure
from pipeline.pages.outcomes import DroppedLink, FetchedPage, FetchOutcome
from pipeline.pages.politeness import Politeness

FORBIDDEN = """
127.0.0.1 127.1 127.0.1 127.0.0.1. 127.000.000.001 2130706433 017700000001 0x7f000001 0X7F.1 0x7f.0.0.1 0177.0.0.1 0177.0x0.0.1
0 0.0.0.0 0x0 4294967297 127.0.0.1.0x0 %31%32%37.0.0.1 １２７.０.０.１ 127。0。0。1
localhost LOCALHOST localhost. inside.example mixed.example mapped.example
[::1] [0:0:0:0:0:0:0:1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:0:127.0.0.1] [::127.0.0.1] [::7f00:1]
[64:ff9b::7f00:1] [64:ff9b::127.0.0.1] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2002:7f00:0001::1] [2001:0:7f00:1::] [2001:db8::1]
[fe80::1] [fec0::1] [fc00::1] [fd12::1] [ff02::1] [100::1] [5f00::1]
10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1 192.0.0.170 192.0.2.1 198.18.0.1 198.51.100.7 203.0.113.9
224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 192.88.99.1
""".split()  # noqa: SIM905  # a list of sixty strings reads worse
INSIDE = {"inside.example": ["127.0.0.1"], "mixed.example": ["127.0.0.2", "127.0.0.1"], "mapped.example": ["::ffff:127.0.0.1"]}


class Canary:
    """Listens at an address that is forbidden, and counts connections."""

    def __enter__(self) -> "Canary":
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    @property
    def connections(self) -> int:
        """Number of connections since the last call; the kernel has completed them."""
        count = 0
        while True:
            try:
                self._listener.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1


def answers(port: int, addresses: list[str]) -> list[Any]:
    return [(socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses]


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::8a"])
def test_public_addresses_are_admitted(address: str) -> None:
    assert AddressPolicy().admits(ipaddress.ip_address(address))


def test_allowed_network_is_admitted_but_unusual_spellings_are_not() -> None:
    policy = AddressPolicy.of(["127.0.0.0/8"])
    policy.vet_host("127.0.0.1")
    for odd in ("2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "127.1"):
        with pytest.raises(ForbiddenAddressError):
            policy.vet_host(odd)


@pytest.mark.parametrize(
    "host", ["a.example", "x0.example", "1.2.3.4.example", "127.0.0.1.nip.example", "0x7f.example", "8.8.8.8"]
)
def test_names_and_public_addresses_pass_the_check_of_spelling(host: str) -> None:
    AddressPolicy().vet_host(host)


def test_host_with_one_forbidden_address_is_refused() -> None:
    with pytest.raises(ForbiddenAddressError, match=r"two\.example: leads to 10\.0\.0\.1"):
        AddressPolicy().vet_addresses("two.example", [("8.8.8.8", 80), ("10.0.0.1", 80)])


def lookup(host: str, port: int, **_: Any) -> list[Any]:
    """Names under .test resolve to the second loopback address, the rest as the system resolves them."""
    name = host.rstrip(".").lower()
    if name.endswith(".test"):
        return answers(port, ["127.0.0.2"])
    if name in INSIDE:
        return answers(port, INSIDE[name])
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def crawl(urls: list[str], resolve: Any = lookup) -> dict[str, FetchOutcome]:
    outcomes: dict[str, FetchOutcome] = {}

    def record(outcome: FetchOutcome) -> None:
        outcomes[outcome.url] = outcome

    with Client("webtext/test", AddressPolicy.of(["127.0.0.2/32"]), RequestLimits(5.0), lookup=resolve) as client:
        Crawl(client, Politeness(delay_seconds=0.0, retries=0), record).run(first_requests(urls), 16)
    return outcomes


def test_canary_counts_connections() -> None:
    with Canary() as canary:
        socket.create_connection(("127.0.0.1", canary.port)).close()
        assert canary.connections == 1
        assert canary.connections == 0


def test_no_spelling_of_a_forbidden_address_is_reached() -> None:
    assert len(set(FORBIDDEN)) >= 60
    with Canary() as canary, HostileServer({"good": page()}, "127.0.0.2") as server:
        forbidden = [f"http://{host}:{canary.port}/" for host in FORBIDDEN]
        legal = [server.url("good", number=number) for number in range(1, 11)]
        outcomes = crawl(forbidden + legal)
        assert canary.connections == 0
    assert all(isinstance(outcomes[url], FetchedPage) for url in legal)
    words = {url: outcome.reason for url, outcome in outcomes.items() if isinstance(outcome, DroppedLink)}
    assert set(words) == set(forbidden)
    unresolvable = {word for word in words.values() if word not in (RequestFailure.FORBIDDEN_ADDRESS, RequestFailure.BAD_URL)}
    assert unresolvable <= {RequestFailure.DNS}


def test_redirects_to_forbidden_addresses_are_refused() -> None:
    with Canary() as canary:
        cases = {f"to_{i}": Case(moved(f"http://{host}:{canary.port}/"), "") for i, host in enumerate(FORBIDDEN)}
        with HostileServer(cases | {"good": page()}, "127.0.0.2") as server:
            outcomes = crawl([server.url(name) for name in [*cases, "good"]])
        assert canary.connections == 0
    words = {url: str(outcome.reason) for url, outcome in outcomes.items() if isinstance(outcome, DroppedLink)}
    assert set(words) == {server.url(name) for name in cases}
    assert set(words.values()) <= {"forbidden_address", "bad_redirect", "dns"}


@pytest.mark.parametrize("cache_seconds", [0.0, 60.0])
def test_dns_rebinding_is_blocked(cache_seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.pages.resolver.CACHE_SECONDS", cache_seconds)
    lookups: list[str] = []

    def rebinding(host: str, port: int, **_: Any) -> list[Any]:
        lookups.append(host)
        return answers(port, ["127.0.0.2"] if len(lookups) == 1 else ["127.0.0.1"])

    with HostileServer({"rebinding": Case(full("Connection: close"), "page", ends=True)}, "127.0.0.2") as server:
        policy = AddressPolicy.of(["127.0.0.2/32"])
        with Client("webtext/test", policy, RequestLimits(5.0), lookup=rebinding) as client:
            assert client.get(server.url("rebinding")).body == WHOLE
            if cache_seconds:  # the cached address, which was checked
                assert client.get(server.url("rebinding")).body == WHOLE
                assert len(lookups) == 1
                return
            with pytest.raises(RequestError) as refused:
                client.get(server.url("rebinding"))
    assert refused.value.failure is RequestFailure.FORBIDDEN_ADDRESS
    assert len(lookups) == 2


def page() -> Case:
    return Case(full(), "page")
