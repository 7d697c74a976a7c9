"""Coverage-guided fuzzing of every parser of foreign bytes (atheris): `fuzz.py TARGET SECONDS [FOLDER]`. Inputs that break one
are kept.

A target allows only the errors that its parser documents; any other ends the fuzzing. `found/` holds every input ever found, as
`TARGET-…`, and `test_fuzz.py` gives them to their targets again. atheris needs its own Python environment: benchmarks/peers.py
makes it.
"""

import http.client
import io
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

SEEDS: dict[str, list[bytes]] = {
    "dump_line": [b'{"id":"a1","url":"http://a.example/","score":5,"created_utc":1500000000,"is_self":false,"subreddit":"x"}'],
    "url": [b"https://me:pw@EXAMPLE.com:443/a/../b?c=d#e", b"http://[::1]/", "http://bücher.example/é".encode()],
    "http_response": [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/html; charset=x\r\n\r\nhi",
        b"HTTP/1.1 302 No\r\nLocation: //[::1]:80/\xc3\xa9?\r\nRetry-After: Sat, 31 Jan 2026 12:00:30 +0100\r\nContent-Length: 0\r\n\r\n",
    ],
    "http_record": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n2\r\nhi\r\n0\r\n\r\n"],
    "robots": [b"User-agent: *\nDisallow: /*.gif$\nCrawl-delay: 7\nSitemap: x\n"],
    "warc": [b"WARC/1.1\r\nWARC-Type: response\r\nWARC-Date: 2018-01-01T00:00:00Z\r\nContent-Length: 2\r\n\r\nhi\r\n\r\n"],
    "manifest": [
        b'{"stage":"x","settings":{},"inputs":{},"files":[],"books":{},"counters":{},"dataset":null,"format_version":1}'
    ],
    "shards_manifest": [b'{"dataset":{"format":"webtext-tokens","version":1,"sha256":"x","splits":{"train":{}}}}'],
    "tokenizer": [
        b'{"model":{"type":"BPE","vocab":{},"merges":[["a","b"]]},"pre_tokenizer":{"type":"ByteLevel"}}',
        b"#version: 0.2\na b\n",
    ],
    "checkpoint": [b'{"format":"webtext-checkpoint","version":1,"files":{},"step":1,"config":{"preset":"tiny"}}'],
}


def dump_line(data: bytes) -> None:
    """A line of a dump is a post or is rejected; a post is dropped by name or becomes a row of the spill."""
    post = reddit.parse_line(data, 1)
    if isinstance(post, reddit.Post):
        row = intake.accept(post, ANY)
        if isinstance(row, tuple):
            intake.batch_of([row])


def url(data: bytes) -> None:
    """A URL has both of its forms or none, and each form is normalized already."""
    text = data.decode("utf-8", "replace")
    with refused(ValueError):
        fetched, key = urls.keys(text)
        if urls.fetch_url(fetched) != fetched or not key:
            raise AssertionError((text, fetched, key))


NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Wire:
    """A socket for http.client."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self.data)


def http_response(data: bytes) -> None:
    """A server's answer, from its first byte, and what is made of it."""
    response = live_response.LiveResponse(Wire(data))  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, ValueError, OSError):
        return
    whole = HttpResponse("http://a.example/b", response.status, response.reason, response.head.fields, body, ())
    retry.requested_wait_seconds(whole.headers, NOW)
    outcomes.page_or_drop(whole.url, whole, NOW)
    with refused(ValueError):
        outcomes.redirect_target(whole)


def http_record(data: bytes) -> None:
    """The block of a response record."""
    with refused(warc_record.WarcError, decoding.DecodingError, decoding.UnknownCodingError, decoding.TooLargeError):
        stored_response.http_response(warc_record.WarcRecord(0, len(data), {}, data))


def robots(data: bytes) -> None:
    """Any bytes are read as robots rules."""
    rules = robots_module.Robots.parse(data, "webtext")
    rules.allows("https://a.example/x?y=%20é")
    rules.delay_seconds(1.0)


def warc_file(data: bytes) -> None:
    """A WARC file is read to its end or refused; where damage is skipped, for its kind or its dictionary alone."""
    with refused(warc_record.WarcError):
        for record in warc_reader.read_records(written("x.warc", data)):
            assert record.kind is not None
            assert record.date
    try:
        for record in warc_reader.read_records(written("x.warc", data), lambda _: None):
            assert record.length <= len(data)
    except warc_record.WarcError as error:
        if not isinstance(error, warc_record.NotAnArchiveError) and "dictionary" not in str(error):
            raise


def manifest(data: bytes) -> None:
    """A stage's manifest."""
    path = written("manifest.json", data)
    with refused(InputError):
        StageManifest.load(str(Path(path).parent))


def shards_manifest(data: bytes) -> None:
    """A manifest of token shards."""
    path = written("manifest.json", data)
    with refused(FormatError):
        Dataset.load(Path(path).parent).verify()


def tokenizer(data: bytes) -> None:
    """A tokenizer in each of its formats."""
    for name in ("tokenizer.json", "merges.txt", "ranks.tiktoken"):
        with refused(FormatError):
            formats.parse_pairs(name, data)


def checkpoint(data: bytes) -> None:
    """The metadata of a checkpoint."""
    path = written("checkpoint.json", data)
    with refused(InputError):
        read_metadata(Path(path).parent)


@contextmanager
def refused(*errors: type[Exception]):  # type: ignore[no-untyped-def]
    """Allow the errors that a parser documents."""
    try:
        yield
    except errors:
        return


MEMORY = Path("/dev/shm")
FOLDER = Path(MEMORY if MEMORY.is_dir() else tempfile.gettempdir(), f"fuzz-{os.getpid()}")


def written(name: str, data: bytes) -> str:
    """Write the bytes to a file; returns its path. The file is reused."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / name
    path.write_bytes(data)
    return str(path)


def load() -> None:
    """Import the parsers, instrumented where atheris runs. Of the trainer only the JSON reader is imported."""
    global ANY, Dataset, FormatError, HttpResponse, InputError, StageManifest, decoding, formats, live_response
    global intake, outcomes, read_metadata, reddit, retry, robots_module, stored_response, urls, warc_reader, warc_record
    from pipeline import reddit, urls
    from pipeline.links import intake
    from pipeline.links.rules import LinkRules
    from pipeline.links.settings import LinksSettings, SourceKind
    from pipeline.pages import decoding, live_response, outcomes, retry, stored_response, warc_reader, warc_record
    from pipeline.pages import robots as robots_module
    from pipeline.pages.http_response import HttpResponse
    from pipeline.storage.manifest import StageManifest
    from tokenizer import formats
    from tokenizer.errors import FormatError, InputError
    from tokenizer.shards import Manifest as Dataset
    from trainer.checkpoint.metadata import read_metadata

    ANY = LinkRules.of(LinksSettings(min_karma=-(1 << 62), created_before="none"), SourceKind.DUMP)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "dump_line": dump_line, "url": url, "http_response": http_response, "http_record": http_record, "robots": robots,
    "warc": warc_file, "manifest": manifest, "shards_manifest": shards_manifest, "tokenizer": tokenizer, "checkpoint": checkpoint,
}  # fmt: skip


def main() -> None:
    """Fuzz one target."""
    import atheris  # type: ignore[import-not-found]

    name, seconds = sys.argv[1], sys.argv[2]
    found = Path(sys.argv[3] if len(sys.argv) > 3 else Path(__file__).parent / "found")
    with atheris.instrument_imports(include=["pipeline", "tokenizer", "trainer", "protego", "http"]):
        load()
    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for number, seed in enumerate(SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    flags = [
        f"-max_total_time={seconds}",
        "-max_len=4096",
        "-timeout=10",
        "-rss_limit_mb=3000",
        f"-artifact_prefix={found}/{name}-",
    ]
    found.mkdir(exist_ok=True)
    atheris.Setup([sys.argv[0], *flags, "-print_final_stats=1", str(corpus)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
