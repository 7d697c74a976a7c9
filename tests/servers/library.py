"""A small web that every Python carries: the language reference's topics as pages, with mirrors, copies, dead and forbidden links."""

import json
import pydoc_data.topics
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from servers.replay import Reply

CREATED = 1_500_000_000


def page(title: str, text: str) -> bytes:
    """An article with a navigation bar, as sites have them."""
    paragraphs = "".join(f"<p>{escape(part)}</p>" for part in text.split("\n\n") if part.strip())
    return (
        f'<!DOCTYPE html><html lang="en"><head><title>{escape(title)}</title></head><body>'
        f'<nav><a href="/">home</a> <a href="/about">about</a></nav><article><h1>{escape(title)}</h1>{paragraphs}</article>'
        "<footer>All rights reserved</footer></body></html>"
    ).encode()


def pages(topics: int) -> dict[str, bytes | Reply | None]:
    """URL to answer: each topic, a copy of every fifth, a shortened mirror of every third; one redirect, one picture, one lost host."""
    found: dict[str, bytes | Reply | None] = {}
    for i, (name, text) in enumerate(sorted(pydoc_data.topics.topics.items())[:topics]):
        site = f"https://site{i % 7}.example"
        found[f"{site}/{name}"] = page(name, text)
        if i % 5 == 0:
            found[f"http://copy.example/{name}"] = page(name, text)
        if i % 3 == 0:
            words = text.split(" ")
            found[f"https://mirror{i % 2}.example/{name}.html"] = page(name, " ".join(words[: max(60, len(words) * 19 // 20)]))
    found["https://site0.example/old"] = Reply(
        b"", status=301, headers=(("Location", "https://site0.example/" + sorted(pydoc_data.topics.topics)[0]),)
    )
    found["https://site1.example/data"] = Reply(b"\x00\x01" * 50, "application/octet-stream")
    found["https://lost.example/"] = None
    return found


def submissions(urls: list[str]) -> Iterator[dict[str, Any]]:
    """Reddit's lines about the URLs, and about what the rules turn away."""
    for i, url in enumerate(urls):
        line = {
            "id": f"s{i:04d}",
            "url": url,
            "score": 3 + i % 40,
            "is_self": False,
            "subreddit": "python",
            "created_utc": CREATED + 60 * i,
        }
        yield line
        if i % 4 == 0:
            yield line | {"id": f"t{i:04d}", "url": f"{url}?utm_source=reddit", "created_utc": str(CREATED + 60 * i + 30)}
        if i % 6 == 0:
            yield line | {"id": f"u{i:04d}", "score": 1}
        if i % 9 == 0:
            yield line | {"id": f"v{i:04d}", "is_self": True, "url": f"https://www.reddit.com/r/python/comments/v{i:04d}/"}
    yield {
        "id": "gone",
        "url": "https://site2.example/gone",
        "score": 9,
        "is_self": False,
        "subreddit": "python",
        "created_utc": CREATED,
    }
    yield {"id": "wiki", "url": "https://en.wikipedia.org/wiki/Python", "score": 99, "is_self": False, "created_utc": CREATED}


def write_dump(path: Path, web: dict[str, bytes | Reply | None]) -> None:
    """The submissions as a dump of JSON lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in submissions(list(web))))
