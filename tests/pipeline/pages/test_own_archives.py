"""A folder of our own pages, given as an archive, gives the same pages again: bodies, heads and outcomes, whatever servers sent."""

import os
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from foreign_pages import failure, page, redirect, sent
from foreign_writers import live
from servers.replay import ReplayServer, Reply
from servers.stage_runs import drops_of, link, links_folder, pages_of, run

from pipeline.engine.runner import Engine
from pipeline.pages.stored_response import http_response
from pipeline.pages.warc_reader import read_record

KEPT = ("url", "dedup_key", "final_url", "fetched_at", "status", "media_type", "charset", "body_bytes", "sha256", "karma")
SECRETS = (
    "",
    "?page=2",
    "?token=hush",
    "?a=1&api_key=x&b=2",
    "?sid=1",
    "?sid=2",
    "?session=&q=%C3%A9",
    "?SIG=9;key=8",
    "?password=a+b",
    "?x=1#key=2",
)
SEEDS = range(6) if os.environ.get("WEBTEXT_FULL") else range(1)


@dataclass(frozen=True)
class Raw(Reply):
    """A reply given byte for byte."""

    data: bytes = b""

    def to_bytes(self) -> bytes:
        return self.data


def web(chance: random.Random, count: int) -> dict[str, bytes | Reply | None]:
    """Answers of any kind to URLs of any kind, some of them redirects over several hosts."""
    answers: dict[str, bytes | Reply | None] = {}
    targets: list[str] = []
    for number in range(count):
        host = chance.choice(("http://a.example", "https://b.example.org", "http://www.b.example.org", "https://c.example:8443"))
        url = f"{host}/{chance.choice(('p', 'x/y.z', '%C3%A9', '~a'))}{number}{chance.choice(SECRETS)}"
        kind = chance.random()
        answer = page(chance) if kind < 0.7 or not targets else failure(chance)
        if kind > 0.8 and targets:
            answer = redirect(chance, chance.choice(targets))
        further = (("Refresh", f"9; url={url}"), ("X-Name", "caf\xe9 \x85"), ("X-Crawl-Content-Length", "9"))
        fields = (*answer.fields, *chance.sample(further, chance.randrange(3)))
        answers[url] = Raw(data=live(sent(chance, replace(answer, fields=fields), framings=("length", "chunks"))))
        targets.append(url)
    return answers


def rows(folder: Path) -> list[tuple[Any, ...]]:
    """What is kept of each page, with the head and the body of its record."""
    found = []
    for row in pages_of(folder):
        record = read_record(str(folder / row.warc_file), row.warc_offset, row.warc_length)
        response = http_response(record)
        found.append((*(getattr(row, name) for name in KEPT), record.url, record.block, response.body))
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_own_pages_as_archive_give_the_same_pages_again(tmp_path: Path, engine: Engine, seed: int) -> None:
    answers = web(random.Random(f"own {seed}"), 160)
    links = links_folder(tmp_path / "links", [link(url) for url in sorted(answers)])
    with ReplayServer(dict(answers)) as server:
        run(links, tmp_path / "live", engine, proxy=server.proxy_url, ca_bundle=server.ca_bundle)
    given = rows(tmp_path / "live")
    assert len(given) > 100
    for name, archive in (("again", "live"), ("thrice", "again")):
        run(links, tmp_path / name, engine, fetch_from=(str(tmp_path / archive),))
        assert rows(tmp_path / name) == given
        assert set(drops_of(tmp_path / name).values()) <= {"not_archived"}
        assert drops_of(tmp_path / name).keys() == drops_of(tmp_path / "live").keys()
