"""A small month of Reddit and its pages, as a dump and a WARC file. The texts are topics of Python's language reference."""

import gzip
import html
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pipeline.dedup import stage as dedup
from pipeline.documents import stage as documents
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call, Stage
from pipeline.links import stage as links
from pipeline.overlap import stage as overlap
from pipeline.pages import stage as pages
from pipeline.tokens import stage as tokens
from pipeline.vocabulary import stage as vocabulary

HOSTS = 7
SUBMITTED = 1_512_100_000
QUOTED_WORDS = 40


@dataclass(frozen=True)
class Month:
    """A dump, a WARC file with its pages, and an evaluation set that quotes one page."""

    dump: str
    warc: str
    evaluation_set: str
    submissions: int


def write_month(folder: Path, pages: int = 40, name: str = "2017-12") -> Month:
    """Write a month of `pages` topics, each linked once or twice. Every tenth page repeats the one before it, plus a line."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = _texts(pages)
    dump, warc, quotes = folder / f"RS_{name}.jsonl", folder / "pages.warc.gz", folder / "quotes.txt"
    submissions = list(_submissions(pages))
    dump.write_text("".join(json.dumps(line) + "\n" for line in submissions))
    with warc.open("wb") as file:
        for i, text in enumerate(texts):
            file.write(gzip.compress(_response(_address(i), _page(f"Page {i}", text)), mtime=0))
    quotes.write_text(" ".join(texts[1].split()[:QUOTED_WORDS]) + "\n")
    return Month(str(dump), str(warc), str(quotes), len(submissions))


def every_stage(corpus: str, month: Month, engine: Engine) -> None:
    """Run the stages on Beam, from the dump to the token shards and the overlap with the evaluation set."""
    for stage, call in stage_calls(corpus, month, engine):
        stage.run(call)


def stage_calls(corpus: str, month: Month, engine: Engine) -> Iterator[tuple[Stage[Any], Call[Any]]]:
    """The stages and their calls, in the order in which they run."""
    stages: list[tuple[Stage[Any], tuple[str, ...], dict[str, Any]]] = [
        (links.STAGE, (), {"submissions": (month.dump,)}),
        (pages.STAGE, ("links",), {"fetch_from": (month.warc,)}),
        (documents.STAGE, ("pages",), {}),
        (dedup.STAGE, ("documents",), {}),
        (vocabulary.STAGE, ("dedup",), {"vocab_size": 300}),
        (tokens.STAGE, ("dedup", "vocabulary"), {"validation_share": 0.1}),
        (overlap.STAGE, ("dedup",), {"evaluation_sets": (f"quotes={month.evaluation_set}",), "remove_overlapping": True}),
    ]
    for stage, read, settings in stages:
        inputs = {name: f"{corpus}/{name}" for name in read}
        yield stage, Call(inputs, f"{corpus}/{stage.name}", stage.settings(**settings), engine)


def passages(pages: int = 40) -> list[bytes]:
    """A few words from the middle of each page's text."""
    return [" ".join(text.split()[60:66]).encode() for text in _texts(pages)]


def _texts(pages: int) -> list[str]:
    long = [text for _, text in sorted(topics.items()) if len(text) > 2000]
    chosen = [long[i % len(long)] for i in range(pages)]
    return [f"{chosen[i - 1]}\n\nCopied." if i % 10 == 9 else text for i, text in enumerate(chosen)]


def _address(i: int) -> str:
    return f"http://site{i % HOSTS}.example/{i}"


def _submissions(pages: int) -> Iterator[dict[str, Any]]:
    for i in range(pages + pages // 4):
        shared = {"subreddit": "science", "created_utc": SUBMITTED + i, "is_self": False}
        yield {"id": f"a{i}", "url": _address(i % pages), "score": 5 + i if i % 8 else 1, **shared}


def _page(title: str, text: str) -> str:
    paragraphs = "".join(f"<p>{html.escape(' '.join(part.split()))}</p>" for part in text.split("\n\n"))
    return f"<html lang=en><head><title>{title}</title></head><body><article><h1>{title}</h1>{paragraphs}</article></body></html>"


def _response(url: str, page: str) -> bytes:
    body = page.encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    named = f"WARC-Record-ID: <urn:uuid:{uuid5(NAMESPACE_URL, url)}>\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2018-01-01T00:00:00Z"
    kind = f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(answer)}"
    return f"WARC/1.1\r\nWARC-Type: response\r\n{named}\r\n{kind}\r\n\r\n".encode() + answer + b"\r\n\r\n"
