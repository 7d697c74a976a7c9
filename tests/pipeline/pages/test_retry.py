from datetime import UTC, datetime

import pytest
from servers.hostile import PAGE, Case, HostileServer, drip, full
from servers.outcomes import crawl

from pipeline.pages.client import RequestLimits
from pipeline.pages.retry import requested_wait_seconds, retry_after_seconds

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Sat, 31 Jan 2026 12:00:30 GMT", 30.0),
        ("Sat, 31 Jan 2026 11:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1" * 5000, 111111111.0),
        ("²", None),
        ("Sat, 31 Jan 99999999999 12:00:30 GMT", None),
        ("Sat, 31 Jan 2026 12:00:30 +999999999999999999", None),
        ("Sat, 99999999999999999999 Jan 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_parsed(value: str, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ((), None),
        (("120", "60"), 120.0),
        (("60", "120"), 120.0),
        (("7", "7"), 7.0),
        (("120, 60",), 120.0),
        (("0 , 5",), 5.0),
        (("soon", "5"), 5.0),
        (("5", ""), 5.0),
        (("Sat, 31 Jan 2026 12:00:30 GMT", "5"), 30.0),
        (("5", "Sat, 31 Jan 2026 11:00:00 GMT"), 5.0),
        (("Sat, 31 Jan 2026 12:00:30 GMT", "Sat, 31 Jan 2026 12:00:50 GMT"), 50.0),
        (("soon", "later"), None),
    ],
)
def test_the_longest_of_several_retry_after_fields_counts(values: tuple[str, ...], seconds: float | None) -> None:
    headers = [("Retry-After" if number % 2 else "retry-after", value) for number, value in enumerate(values)]
    assert requested_wait_seconds([("X-A", "9"), *headers], NOW) == seconds


class Turns:
    """Gives its answers in turn, then the last one for ever."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.hits = 0

    def __call__(self) -> object:
        self.hits += 1
        yield self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


BUSY = full("Retry-After: 0", "Connection: close", body=b"busy", status="503 Busy")


def test_busy_server_is_asked_again() -> None:
    turns = Turns(BUSY, BUSY, full("Connection: close"))
    with HostileServer({"busy": Case(turns, PAGE)}) as server:  # type: ignore[arg-type]
        crawled = crawl(server, [server.url("busy")], 4, RequestLimits(5.0), retries=2, robots=False)
    assert crawled.word(server.url("busy")) == PAGE
    assert turns.hits == 3


def test_retries_end() -> None:
    turns = Turns(BUSY)
    with HostileServer({"busy": Case(turns, PAGE)}) as server:  # type: ignore[arg-type]
        crawled = crawl(server, [server.url("busy")], 4, RequestLimits(5.0), retries=2, robots=False)
    assert crawled.word(server.url("busy")) == "http_503"
    assert turns.hits == 3


def test_retry_after_is_capped() -> None:
    turns = Turns(full("Retry-After: 86400", "Connection: close", body=b"busy", status="429 Slow"), full("Connection: close"))
    with HostileServer({"busy": Case(turns, PAGE)}) as server:  # type: ignore[arg-type]
        crawled = crawl(server, [server.url("busy")], 4, RequestLimits(5.0), retries=1, robots=False, max_wait_seconds=0.1)
    assert crawled.word(server.url("busy")) == PAGE


def test_host_that_keeps_failing_is_set_aside() -> None:
    with HostileServer({"dead": Case(drip(b"", b""), "timeout"), "good": Case(full(), PAGE)}) as server:
        dead = [server.url("dead", f"/{number}") for number in range(8)]
        good = [server.url("good", f"/{number}") for number in range(8)]
        crawled = crawl(server, dead + good, 8, RequestLimits(1.0), robots=False, host_failures=3)
    words = [crawled.word(url) for url in dead]
    assert (words.count("timeout"), words.count("host_set_aside")) == (3, 5)
    assert {crawled.word(url) for url in good} == {PAGE}


def test_closed_kept_alive_connection_is_not_a_failure() -> None:
    """The server closes after each response without saying so: a request into the closed connection is sent once more."""
    with HostileServer({"closing": Case(full(), PAGE, ends=True)}) as server:
        urls = [server.url("closing", f"/{number}") for number in range(20)]
        crawled = crawl(server, urls, 1, RequestLimits(10.0), retries=0, robots=False)
    assert {crawled.word(url) for url in urls} == {PAGE}
