"""An outage of the network ends a crawl; dead sites do not, however many they are and whenever they fail."""

import errno
import heapq
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from servers.replay import ReplayServer, Reply
from servers.stage_runs import drops_of, link, links_folder, pages_of, run
from servers.witness import WitnessServer

from pipeline.cli import main as commands
from pipeline.engine.runner import Engine
from pipeline.pages.addresses import AddressPolicy
from pipeline.pages.client import Client, RequestLimits
from pipeline.pages.crawl import Crawl, first_requests
from pipeline.pages.outage import LOST_SITES, WINDOW_SITES, OutageWatch, check_reached
from pipeline.pages.outcomes import DroppedLink, FetchedPage, FetchOutcome, PageDrop
from pipeline.pages.politeness import Politeness
from pipeline.pages.share import bucket_of
from pipeline.records import Link
from tokenizer.errors import OutageError

LOOPBACK = AddressPolicy.of(["127.0.0.0/8"])
SITES = 400


def simulate(watch: OutageWatch, requests: list[tuple[str, str]], seconds: Callable[[str], float], threads: int = 64) -> int:
    """Requests (site, failure) in the order in which they begin, each taking its seconds. Returns how many began."""
    running: list[tuple[float, int, str, str]] = []
    clock = 0.0
    for begun, (site, failure) in enumerate(requests):
        if len(running) == threads:
            clock, number, *ended = heapq.heappop(running)
            try:
                watch.end(number, *ended)
            except OutageError:
                return begun
        heapq.heappush(running, (clock + seconds(failure), watch.begin(), site, failure))
    for _, number, *ended in sorted(running):
        watch.end(number, *ended)
    return len(requests)


@pytest.mark.parametrize("dead", [0.0, 0.4, 0.6, 0.75])
@pytest.mark.parametrize(
    "seconds",
    [lambda failure: 0.005 if failure else 1.0, lambda failure: 30.0 if failure else 0.1, lambda _: 1.0],
    ids=["dead_sites_fail_sooner", "dead_sites_fail_later", "alike"],
)
def test_dead_sites_of_an_old_list_are_no_outage(dead: float, seconds: Callable[[str], float]) -> None:
    chance = random.Random(5)
    requests = [(f"s{number}.example", "dns" if chance.random() < dead else "") for number in range(20_000)]
    requests += [each for each in requests if each[1]] * 2  # at the end, dead sites alone are asked again
    assert simulate(OutageWatch(), requests, seconds, threads=256) == len(requests)


@pytest.mark.parametrize("begin", [0, 150, 5_000])
@pytest.mark.parametrize("failure", ["dns", "connection", "timeout", "proxy"])
def test_an_outage_ends_a_crawl_of_new_sites(begin: int, failure: str) -> None:
    chance = random.Random(6)
    requests = [
        (f"s{number}.example", failure if number >= begin or chance.random() < 0.5 else "") for number in range(begin + 1_000)
    ]
    begun = simulate(OutageWatch(), requests, lambda _: 1.0)
    assert begin + WINDOW_SITES / 2 <= begun <= begin + WINDOW_SITES + 64


def test_an_outage_that_lets_a_few_requests_through_is_one() -> None:
    requests = [(f"s{number}.example", "" if number % 50 == 0 else "dns") for number in range(1_000)]
    assert simulate(OutageWatch(), requests, lambda _: 1.0) < 200


def test_sites_that_answered_before_are_evidence_at_once() -> None:
    sites = [f"s{number}.example" for number in range(LOST_SITES)]
    watch = OutageWatch()
    assert simulate(watch, [(site, "") for site in sites], lambda _: 1.0) == LOST_SITES
    with pytest.raises(OutageError, match="10 sites in a row that answered before"):
        simulate(watch, [(site, "connection") for site in sites], lambda _: 1.0)


def test_a_platform_that_refuses_us_is_one_site() -> None:
    """Thousands of hosts of one domain fail after they answered: other sites still answer, so the network is up."""
    requests = [("blogs.example", ""), *[("blogs.example", "connection")] * 500, ("other.example", "")] * 3
    assert simulate(OutageWatch(), requests, lambda _: 1.0) == len(requests)


def test_drops_wait_until_a_later_request_reaches_a_site() -> None:
    watch = OutageWatch()
    early, failed = watch.begin(), watch.begin()
    assert watch.end(failed, "dead.example", "dns") == []
    drop = DroppedLink("http://dead.example/", PageDrop.DNS)
    watch.wait(drop)
    assert watch.end(early, "slow.example", "") == []  # it began before the failure: it says nothing about what followed
    assert watch.end(watch.begin(), "good.example", "") == [drop]
    watch.wait(drop)
    assert watch.rest() == [drop]
    assert watch.rest() == []


@pytest.mark.parametrize(
    ("pages", "dropped", "is_outage"),
    [
        (0, {"dns": 4}, True),
        (0, {"connection": 1}, True),
        (0, {"timeout": 3, "host_set_aside": 9}, True),
        (0, {"proxy": 2, "bad_url": 1, "forbidden_address": 1}, True),
        (0, {"dns": 4, "http_404": 1}, False),
        (0, {"dns": 4, "robots": 1}, False),
        (0, {"dns": 4, "tls": 1}, False),
        (1, {"dns": 400}, False),
        (0, {"bad_url": 2}, False),
        (0, {"http_503": 3}, False),
        (0, {}, False),
    ],
)
def test_a_crawl_that_reached_no_site_is_an_outage(pages: int, dropped: dict[str, int], is_outage: bool) -> None:
    if is_outage:
        with pytest.raises(OutageError, match="no site can be reached"):
            check_reached(pages, dropped)
    else:
        check_reached(pages, dropped)


class Network:
    """Names that resolve to a witness until the network is `down`; then look-ups or connections fail in one of many ways."""

    def __init__(self, server: WitnessServer, fault: Exception | str) -> None:
        self.down = threading.Event()
        self._server = server
        self._fault = fault

    def lookup(self, host: str, port: int, **options: Any) -> list[Any]:
        if not self.down.is_set():
            return self._server.lookup(host, port, **options)
        if isinstance(self._fault, Exception):
            raise self._fault
        with socket.socket() as closed:  # a port that nobody listens on
            closed.bind((self._fault, 0))
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", closed.getsockname())]


FAULTS: dict[str, Exception | str] = {
    "name_server_is_away": socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
    "no_such_name": socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    "name_server_fails": socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure in name resolution"),
    "no_data": socket.gaierror(-5, "No address associated with hostname"),
    "look_up_times_out": TimeoutError("timed out"),
    "network_is_unreachable": OSError(errno.ENETUNREACH, "Network is unreachable"),
    "no_route": OSError(errno.EHOSTUNREACH, "No route to host"),
    "network_is_down": OSError(errno.ENETDOWN, "Network is down"),
    "connections_are_refused": "127.0.0.1",
    "connections_of_another_address_are_refused": "127.0.0.9",
}


@contextmanager
def crawl(server: WitnessServer, network: Network) -> Iterator[tuple[Crawl, list[FetchOutcome]]]:
    outcomes: list[FetchOutcome] = []
    polite = Politeness(delay_seconds=0.0, retries=0, robots=False, address_requests=64)
    with Client("webtext/test", LOOPBACK, RequestLimits(10.0), lookup=network.lookup) as client:
        yield Crawl(client, polite, outcomes.append, outages=OutageWatch()), outcomes


def urls(server: WitnessServer, count: int = SITES) -> list[str]:
    return [f"http://www.s{number}.test:{server.port}/" for number in range(count)]


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_crawl_without_a_network_ends_and_drops_nothing(fault: str) -> None:
    with WitnessServer() as server:
        network = Network(server, FAULTS[fault])
        network.down.set()
        with crawl(server, network) as (running, outcomes), pytest.raises(OutageError) as raised:
            running.run(first_requests(urls(server)), 16)
    assert outcomes == []
    assert "97 of the last" in str(raised.value) or "98 of the last" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_crawl_whose_network_fails_keeps_its_pages_and_drops_no_later_link(fault: str) -> None:
    with WitnessServer() as server:
        network = Network(server, FAULTS[fault])
        with crawl(server, network) as (running, outcomes):
            take = running.record

            def record(outcome: FetchOutcome) -> None:
                take(outcome)
                if len(outcomes) >= 50:
                    network.down.set()

            running.record = record
            with pytest.raises(OutageError):
                running.run(first_requests(urls(server)), 8)
    assert all(isinstance(outcome, FetchedPage) for outcome in outcomes)
    assert 50 <= len(outcomes) < 70


def command(folder: Path, links: str, *flags: str) -> int:
    return commands.run(
        ["pages", "--input", links, "--output", str(folder), "--host-delay", "0", "--retries", "0", "--workers", "1", *flags]
    )


def dead_proxy() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_no_network_ends_the_command_and_the_same_command_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    addresses = [f"http://s{number}.example/" for number in range(4)]
    links = links_folder(tmp_path / "links", [link(url) for url in addresses])
    for _ in range(2):
        assert command(tmp_path / "pages", links, "--proxy", dead_proxy()) == 75
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
        assert "no site can be reached (4 proxy)" in line
        assert "Run the same command" in line
        assert not (tmp_path / "pages" / "manifest.json").exists()
    with ReplayServer({url: Reply(b"<p>Here") for url in addresses}) as web:
        assert command(tmp_path / "pages", links, "--proxy", web.proxy_url) == 0
    assert len(pages_of(tmp_path / "pages")) == 4


@pytest.mark.slow
def test_an_outage_seen_by_a_worker_process_ends_the_stage_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.pages.stage.LINKS_PER_PART", 1)
    buckets: list[list[Link]] = [[] for _ in range(2)]
    for number in range(300):
        url = f"http://www.site{number}.example/"
        buckets[bucket_of(url, 2)].append(link(url))
    links = links_folder(tmp_path / "links", *buckets)
    with pytest.raises(OutageError, match="sites cannot be reached"):
        run(links, tmp_path / "pages", Engine(workers=2), proxy=dead_proxy())
    assert not (tmp_path / "pages" / "manifest.json").exists()


def test_links_of_sites_that_are_gone_are_dropped_on_request(tmp_path: Path) -> None:
    links = links_folder(tmp_path / "links", [link("http://a.example/")])
    assert command(tmp_path / "pages", links, "--proxy", dead_proxy(), "--no-stop-on-outage") == 0
    assert drops_of(tmp_path / "pages") == {"http://a.example/": "proxy"}


def test_a_run_without_a_network_stops_at_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "urls.txt").write_text("http://a.example.com/\nhttp://b.example.org/\n")
    flags = ["--urls", str(tmp_path / "urls.txt"), "--proxy", dead_proxy(), "--retries", "0", "--workers", "1"]
    assert commands.run(["run", "--output", str(tmp_path / "corpus"), *flags]) == 75
    assert "no site can be reached (2 proxy)" in capsys.readouterr().err
    assert not (tmp_path / "corpus" / "documents").exists()
