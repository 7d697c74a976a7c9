"""An archive that answers badly: every link is still the capture of the day, the next one, or a named drop."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from servers.crawl_archive import Fault, MadeCrawl, RangeServer, Request, Shot, range_server, served_file, write_cdxj
from servers.stage_runs import body_of, drops_of, link, links_folder, pages_of, run

from pipeline.engine.runner import Engine

AT = datetime(2015, 9, 1, tzinfo=UTC)
PAGES = 12
NEAR, FAR = "near", "far"


def crawl(root: Path) -> MadeCrawl:
    """Two captures of each page: one of the day and one a week later, in files of their own."""
    shots = [Shot(f"http://a.example/{n}", AT + timedelta(days=7 * later)) for later in (0, 1) for n in range(PAGES)]
    return MadeCrawl("CC-MAIN-2015-35", shots, per_file=PAGES).write(root)


def fetch(
    tmp_path: Path, engine: Engine, made: MadeCrawl, fault: Fault | None, **settings: object
) -> tuple[Counter[str], RangeServer]:
    """How many links gave the near capture, the far one, or a drop; and what the server saw."""
    index = write_cdxj(tmp_path / "index", [made])
    links = links_folder(tmp_path / "links", [link(f"http://a.example/{n}", at=AT) for n in range(PAGES)])
    folder = tmp_path / "pages"
    with range_server(tmp_path / "archive", fault) as server:
        given = {"commoncrawl": server.url, "archive_index": tuple(index), "commoncrawl_rate": 1000.0, "source": ("commoncrawl",)}
        run(links, folder, engine, allow_addresses=("127.0.0.0/8",), **(given | settings))
    days = {page.url: page.distance_days for page in pages_of(folder)}
    assert all(str(AT + timedelta(days=days[page.url] or 0))[:10] in body_of(folder, page).decode() for page in pages_of(folder))
    return Counter([*(NEAR if day == 0 else FAR for day in days.values()), *drops_of(folder).values()]), server


def first(answers: int, status: int) -> Fault:
    """The first answers of all are a refusal."""
    return lambda request: (status, {}, b"slow down") if request.number < answers else None


@pytest.mark.parametrize("status", [403, 429, 500, 502, 503, 504])
def test_a_burst_of_refusals_loses_nothing(tmp_path: Path, engine: Engine, status: int) -> None:
    outcomes, server = fetch(tmp_path, engine, crawl(tmp_path / "archive"), first(3, status))
    assert outcomes == {NEAR: PAGES}
    assert len(server.requests) == 4


def test_neighbours_are_one_request_and_agents_are_honest(tmp_path: Path, engine: Engine) -> None:
    outcomes, server = fetch(tmp_path, engine, crawl(tmp_path / "archive"), None, contact="https://example.com/crawl")
    assert outcomes == {NEAR: PAGES}
    (request,) = server.requests
    assert request.agent.startswith("webtext/")
    assert request.agent.endswith("(https://example.com/crawl)")


def test_an_archive_that_refuses_for_good(tmp_path: Path, engine: Engine) -> None:
    outcomes, _ = fetch(tmp_path, engine, crawl(tmp_path / "archive"), lambda _: (503, {}, b"closed"))
    assert outcomes == {"archive_refused": PAGES}


def short_together(root: Path) -> Fault:
    """Half of what is asked for, where it is more than one record."""

    def answer(request: Request) -> tuple[int, dict[str, str], bytes] | None:
        status, headers, body = served_file(root, request)
        return (status, headers, body[: len(body) // 2]) if len(body) > 1000 else None

    return answer


def cut_once(root: Path) -> Fault:
    """The connection ends half-way, at first."""

    def answer(request: Request) -> tuple[int, dict[str, str], bytes] | None:
        status, headers, body = served_file(root, request)
        return (status, headers | {"Content-Length": str(len(body))}, body[:99]) if not request.of_path else None

    return answer


def whole_file(root: Path) -> Fault:
    """A server without ranges."""
    return lambda request: (200, {}, (root / request.path.lstrip("/")).read_bytes())


@pytest.mark.parametrize("fault", [short_together, cut_once, whole_file])
def test_other_lengths_than_asked_for(tmp_path: Path, engine: Engine, fault: object) -> None:
    made = crawl(tmp_path / "archive")
    outcomes, _ = fetch(tmp_path, engine, made, fault(tmp_path / "archive"))  # type: ignore[operator]
    assert outcomes == {NEAR: PAGES}


def near_file(made: MadeCrawl) -> str:
    return "/" + made.shots[0].warc


def test_a_file_that_is_gone_gives_way_to_the_next_capture(tmp_path: Path, engine: Engine) -> None:
    made = crawl(tmp_path / "archive")
    outcomes, _ = fetch(tmp_path, engine, made, lambda r: (404, {}, b"") if r.path == near_file(made) else None)
    assert outcomes == {FAR: PAGES}


def test_all_files_gone(tmp_path: Path, engine: Engine) -> None:
    outcomes, _ = fetch(tmp_path, engine, crawl(tmp_path / "archive"), lambda _: (404, {}, b""))
    assert outcomes == {"archive_gone": PAGES}


def test_a_file_that_vanishes_half_way(tmp_path: Path, engine: Engine) -> None:
    made = crawl(tmp_path / "archive")
    root = tmp_path / "archive"

    def vanish(request: Request) -> tuple[int, dict[str, str], bytes] | None:
        if request.path != near_file(made):
            return None
        status, headers, body = served_file(root, request)
        if request.of_path == 0:
            return status, headers, body[:1000]  # so that each record is asked for by itself
        return (status, headers, body) if request.of_path <= 5 else (410, {}, b"")

    outcomes, _ = fetch(tmp_path, engine, made, vanish)
    assert outcomes == {NEAR: 5, FAR: PAGES - 5}


@pytest.mark.parametrize("shift", [1, -1, 17, 331, 10_000_000])
def test_wrong_offsets(tmp_path: Path, engine: Engine, shift: int) -> None:
    made = crawl(tmp_path / "archive")
    for shot in made.shots[:3]:
        shot.offset += shift
    outcomes, _ = fetch(tmp_path, engine, made, None)
    assert outcomes == {NEAR: PAGES - 3, FAR: 3}


def test_an_offset_of_another_record(tmp_path: Path, engine: Engine) -> None:
    made = crawl(tmp_path / "archive")
    for shot, other in ((made.shots[0], made.shots[1]), (made.shots[PAGES], made.shots[PAGES + 1])):
        shot.offset, shot.length, shot.digest = other.offset, other.length, other.digest
    outcomes, _ = fetch(tmp_path, engine, made, None)
    assert outcomes == {NEAR: PAGES - 1, "bad_record": 1}


def test_digests_that_do_not_match(tmp_path: Path, engine: Engine) -> None:
    made = crawl(tmp_path / "archive")
    for shot in (*made.shots[:4], made.shots[PAGES]):
        shot.digest = "B2LTWWPUOYAH7UIPQ7ZUPQ4VMBSVC36A"
    outcomes, _ = fetch(tmp_path, engine, made, None)
    assert outcomes == {NEAR: PAGES - 4, FAR: 3, "digest_mismatch": 1}


@pytest.mark.parametrize("content_range", ["bytes 0-1/2", "bytes 5-", "", "bytes 99999-100000/100001"])
def test_another_range_than_asked_for(tmp_path: Path, engine: Engine, content_range: str) -> None:
    made = crawl(tmp_path / "archive")
    root = tmp_path / "archive"

    def other(request: Request) -> tuple[int, dict[str, str], bytes] | None:
        status, _, body = served_file(root, request)
        return (status, {"Content-Range": content_range}, body) if request.path == near_file(made) else None

    outcomes, _ = fetch(tmp_path, engine, made, other)
    assert outcomes == {FAR: PAGES}


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "http://b.example/x.warc.gz",
        "s3://other/x.warc.gz",
        "a//b",
        "..\\x",
        "x\x1b[0m",
        "x" * 300,
    ],
)
def test_names_that_lead_out_of_the_archive(tmp_path: Path, engine: Engine, name: str) -> None:
    made = crawl(tmp_path / "archive")
    for shot in made.shots:
        shot.warc = name
    outcomes, server = fetch(tmp_path, engine, made, None)
    assert outcomes == {"not_archived": PAGES}
    assert not server.requests
