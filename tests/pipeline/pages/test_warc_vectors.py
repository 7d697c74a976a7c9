"""The sample archives of warcio, iipc and jwarc, in a folder beside the project: ours and peers give the same bodies.

FastWARC reads no ARC; those files are compared with warcio's reading.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator as FastArchiveIterator
from fastwarc.warc import WarcRecordType
from warcio.archiveiterator import ArchiveIterator
from warcio.recordloader import ArchiveLoadFailed

from pipeline.pages.stored_response import http_response
from pipeline.pages.warc_reader import read_records
from pipeline.pages.warc_record import WarcError

Bodies = dict[str, list[bytes]]
"""The bodies of an archive's responses and resources, by their URL."""

SEVERAL_IN_ONE = "several records in one gzip member: an index cannot point at them"
DELIBERATE = {
    "warcio_bad.arc": "ARC without its file header, whose records hold no response",
    "warcio_example-bad-non-chunked.warc.gz": SEVERAL_IN_ONE,
    "warcio_example-bad.warc.gz.bad": SEVERAL_IN_ONE,
    "warcio_example-space-in-url.arc": "the file ends inside its last record",
    "warcio_example-wrong-chunks.warc.gz": "the record ends before its Content-Length does",
    "warcio_example-trunc.warc": "the response is two bytes shorter than its Content-Length: a drop, not a shorter page",
    "wac_link-extraction-test.warc": "edited bodies under their old Content-Length: those that are shorter are drops, not shorter pages",
    "wac_IAH-20080430204825-00000-blackbook-truncated.arc": "warcio refuses the whole file, whose last record is cut",
}
"""Files that ours and the peer read in different ways, and why ours does."""


def ours(path: Path) -> Bodies:
    bodies: Bodies = {}
    for record in read_records(str(path)):
        if record.kind in ("response", "resource") and not record.url.startswith("dns:"):
            bodies.setdefault(record.url, []).append(http_response(record).body)
    return bodies


def peers(path: Path) -> Bodies:
    bodies: Bodies = {}
    for url, body in _warcio(path) if ".arc" in path.name else _fastwarc(path):
        bodies.setdefault(url.strip("<>"), []).append(body)
    return bodies


def _fastwarc(path: Path) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as file:
        for record in FastArchiveIterator(file, auto_decode="all"):
            if record.record_type in (WarcRecordType.response, WarcRecordType.resource):
                yield record.headers["WARC-Target-URI"], record.reader.read()


def _warcio(path: Path) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as file:
        for record in ArchiveIterator(file, arc2warc=True):
            if record.rec_type in ("response", "resource"):
                yield record.rec_headers.get_header("WARC-Target-URI"), record.content_stream().read()


def test_sample_archives_give_the_bodies_that_peers_read(shared_data: Path) -> None:
    folder = shared_data / "standards" / "warc"
    if not folder.is_dir():
        pytest.skip(f"{folder}: the sample archives are not there")
    paths = [folder / name for name, _, _ in json.loads((folder / "files.json").read_text())["vectors"]]
    differing = [path.name for path in paths if path.is_file() and not _agree(path)]
    assert sorted(differing) == sorted(name for name in DELIBERATE if (folder / name).is_file())


def _agree(path: Path) -> bool:
    try:
        return ours(path) == peers(path)
    except (WarcError, ArchiveLoadFailed):
        return False
