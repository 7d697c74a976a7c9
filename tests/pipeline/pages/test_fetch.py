import io
import multiprocessing
import random
import signal
import time
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
from servers.crawler import crawl_part, phase_in
from servers.objects import ACCESS, object_store
from servers.witness import WitnessServer
from warcio.archiveiterator import ArchiveIterator

from pipeline.engine.parts import Receipt
from pipeline.pages.settings import PagesSettings
from pipeline.records import Link
from pipeline.storage import files
from pipeline.urls import dedup_key

URLS = 2000
KILLS = 30


def settings(server: WitnessServer) -> PagesSettings:
    """Settings with the witness as proxy: every .test host is reached through it."""
    return PagesSettings(
        host_delay=0.0,
        threads=16,
        retries=0,
        fetched_at="2026-01-31T12:00:00Z",
        proxy=f"http://127.0.0.1:{server.port}",
    )


def links_in(folder: Path, urls: list[str]) -> str:
    path = str(folder / "links.parquet")
    files.publish_table(path, Link.table(Link(url, dedup_key(url), "a.test", 3, None, ()) for url in urls))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and ".work" not in p.parts}


@pytest.mark.slow
def test_thirty_kills_lose_nothing_and_repeat_only_open_requests(tmp_path: Path) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["pipeline.pages.stage", "apache_beam.io.filesystems"])
    chance = random.Random(7)
    with WitnessServer(service_seconds=0.02) as server:
        urls = [f"http://h{number % 40}.test/{'gone/' if number % 10 == 0 else ''}{number}" for number in range(URLS)]
        arguments: tuple[Any, ...] = (str(tmp_path / "killed"), links_in(tmp_path, urls), settings(server))
        kills = 0
        while True:
            before = len(server.requests)
            child = processes.Process(target=crawl_part, args=arguments)
            child.start()
            if kills < KILLS:
                enough = before + 40 + chance.randrange(24)  # the robots.txt of 40 hosts, and some pages
                while len(server.requests) < enough and child.is_alive():
                    time.sleep(chance.random() * 0.01)
                child.kill()
            child.join()
            if child.exitcode == 0:
                break
            assert child.exitcode == -signal.SIGKILL
            kills += 1
        assert kills == KILLS
        receipt = Receipt.load(phase_in(str(tmp_path / "killed")), "00000-of-00001")
        fetched = {f"http://{page}": times for page, times in server.hits().items() if not page.endswith("robots.txt")}
        crawl_part(str(tmp_path / "whole"), arguments[1], arguments[2])
    assert set(fetched) == set(urls)
    assert sum(fetched.values()) <= URLS + KILLS * settings(server).threads
    assert (receipt.books.items_in, receipt.books.items_out) == (URLS, URLS * 9 // 10)
    assert receipt.books.dropped == {"http_404": URLS // 10}
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def of_any_attempt(stored: dict[str, bytes]) -> dict[str, Any]:
    """The pages and the stored answers, without the names that a later attempt gives its files; the archive's first record holds one."""
    (table,) = (pq.read_table(io.BytesIO(data)) for name, data in stored.items() if name.endswith(".parquet"))
    (archive,) = (data for name, data in stored.items() if name.endswith(".warc.gz"))
    assert len(stored) == 2
    records = ArchiveIterator(io.BytesIO(archive))
    answers = [(record.rec_headers.get_header("WARC-Target-URI"), record.content_stream().read()) for record in records]
    return {"answers": answers[1:], "pages": table.drop_columns(["warc_file", "warc_offset", "warc_length"]).to_pylist()}


@pytest.mark.slow
def test_killed_crawl_into_an_object_store_continues_on_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = [f"http://h{number % 10}.test/{number}" for number in range(240)]
    monkeypatch.chdir(tmp_path)
    with WitnessServer(service_seconds=0.02) as server, object_store("corpora") as address:
        for name, value in {**ACCESS, "AWS_ENDPOINT_URL": address}.items():
            monkeypatch.setenv(name, value)
        store = boto3.client("s3")

        def stored() -> list[str]:
            return [item["Key"] for item in store.list_objects_v2(Bucket="corpora").get("Contents", ())]

        arguments: tuple[Any, ...] = ("s3://corpora/pages", links_in(tmp_path, urls), settings(server))
        child = multiprocessing.get_context("spawn").Process(target=crawl_part, args=(*arguments, 0.0))
        child.start()
        while len(server.requests) < 60:
            assert child.is_alive()
            time.sleep(0.01)
        server.service_seconds = 5.0  # so that the crawl does not end before its second piece is stored
        while not any(name.endswith(".00001.piece") for name in stored()):
            assert child.is_alive()
            time.sleep(0.05)
        child.kill()
        child.join()
        server.service_seconds = 0.0
        crawl_part(*arguments)
        again = sum(times - 1 for page, times in server.hits().items() if not page.endswith("robots.txt"))
        assert len(server.hits()) == len(urls) + 10
        assert again < 30  # open requests, and those answered since that piece was made
        pages = {Path(n).name: store.get_object(Bucket="corpora", Key=n)["Body"].read() for n in stored() if ".work" not in n}
        crawl_part(str(tmp_path / "whole"), *arguments[1:])
    assert of_any_attempt(pages) == of_any_attempt(contents(tmp_path / "whole"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["links.parquet", "whole"]
