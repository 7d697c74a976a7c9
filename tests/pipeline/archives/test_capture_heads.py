"""Journals of archive records, read back: whole entries that this program would not have written are refused in one line."""

import struct
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from servers.crawl_archive import MadeCrawl, Shot, range_server, write_cdxj
from servers.stage_runs import contents, link, links_folder, run

from pipeline.archives import service
from pipeline.archives.capture_heads import append_result, check_results, result_of
from pipeline.archives.cdxj import digest_bytes
from pipeline.archives.choose import CAPTURE, CaptureRows, microseconds
from pipeline.archives.matching import page_hash
from pipeline.archives.records import FAILURE, PAGE, REDIRECT, digest_text, result
from pipeline.engine.runner import Engine
from pipeline.pages.archive_index import hash64
from pipeline.pages.journal import Journal
from pipeline.pages.outcomes import PageDrop
from tokenizer.errors import InputError, OutageError

AT = datetime(2015, 9, 1, tzinfo=UTC)
Head = dict[str, Any]


def shots(tmp_path: Path) -> list[Shot]:
    made = [
        Shot("http://a.example/0", AT),
        Shot("http://a.example/1", AT, status=301, location="/2"),
        Shot("http://a.example/2", AT),
    ]
    return MadeCrawl("CC-MAIN-2015-35", made).write(tmp_path / "archive").shots


def captures_of(made: list[Shot]) -> tuple[CaptureRows, dict[int, str]]:
    rows = np.zeros(len(made), CAPTURE)
    for i, shot in enumerate(made):
        at, warc = microseconds(shot.at), hash64(shot.warc)
        rows[i] = (i, at, 0, page_hash(shot.url), warc, shot.offset, shot.length, digest_bytes(shot.digest), shot.status, 0)
    return rows, {hash64(shot.warc): shot.warc for shot in made}


def fill(journal: Journal, made: list[Shot]) -> list[Head]:
    """A page, a redirect and a failure, as the stage writes them."""
    kinds = [(PAGE, None, ""), (REDIRECT, None, "http://a.example/2"), (FAILURE, PageDrop.TRUNCATED, "")]
    rows = []
    for i, (shot, (kind, reason, target)) in enumerate(zip(made, kinds, strict=True)):
        rows.append(
            result(i, 1, 2, kind, reason)
            | {"target": target, "warc": shot.warc, "offset": shot.offset, "length": shot.length}
            | {"digest": digest_text(digest_bytes(shot.digest)), "captured_at": shot.at, "fetched_at": AT}
            | {"member": shot.member() if kind != FAILURE else None}
        )
        append_result(journal, rows[-1])
    return rows


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    made = shots(tmp_path)
    captures, names = captures_of(made)
    with Journal.at(str(tmp_path / "a.journal")) as journal:
        written = fill(journal, made)
        check_results(journal, captures, names, 1, 2)
        assert [result_of(journal, key) for key in journal.entries] == written


def framed(head: Head, blob: bytes) -> bytes:
    data = orjson.dumps(head)
    return struct.pack("<III", len(data), len(blob), zlib.crc32(blob, zlib.crc32(data))) + data + blob


def altered(path: Path, alter: Callable[[list[tuple[Head, bytes]]], None]) -> None:
    """The journal with other entries, in whole frames: no checksum tells."""
    with Journal.at(str(path)) as journal:
        entries = [(journal.head(key), journal.blob(key)) for key in journal.entries]
    alter(entries)
    path.write_bytes(b"".join(framed(*entry) for entry in entries))


def with_fields(number: int, **fields: object) -> Callable[[list[tuple[Head, bytes]]], None]:
    def alter(entries: list[tuple[Head, bytes]]) -> None:
        head, blob = entries[number]
        entries[number] = head | fields, blob

    return alter


def without(name: str) -> Callable[[list[tuple[Head, bytes]]], None]:
    return lambda entries: entries[0][0].pop(name)


def with_blob(number: int, blob: bytes) -> Callable[[list[tuple[Head, bytes]]], None]:
    def alter(entries: list[tuple[Head, bytes]]) -> None:
        entries[number] = entries[number][0], blob

    return alter


def swapped(entries: list[tuple[Head, bytes]]) -> None:
    """Another capture's record, whole and well-formed."""
    entries[0] = entries[0][0], entries[1][1]


ALTERED = {
    "another kind": with_fields(0, kind="surprise"),
    "no kind": without("kind"),
    "a field more": with_fields(0, surprise=1),
    "a link as text": with_fields(0, link="0"),
    "another link": with_fields(0, link=7, key="7"),
    "a key that is no number": with_fields(0, key="http://a.example/"),
    "a key of another link": with_fields(0, key="5"),
    "another hop": with_fields(1, hop=0),
    "another attempt": with_fields(1, attempt=0),
    "another file": with_fields(2, warc="../../etc/passwd"),
    "another offset": with_fields(0, offset=0),
    "a negative offset": with_fields(0, offset=-1),
    "another length": with_fields(0, length=1),
    "another digest": with_fields(0, digest=None),
    "another time": with_fields(0, captured_at="2016-01-01T00:00:00+00:00"),
    "a time without a zone": with_fields(0, fetched_at="2016-01-01T00:00:00"),
    "no time": with_fields(2, fetched_at=None),
    "a reason that is none": with_fields(2, reason="because"),
    "a page with a reason": with_fields(0, reason="truncated"),
    "a failure without one": with_fields(2, reason=None),
    "a redirect to nowhere": with_fields(1, target=""),
    "a page without its record": with_blob(0, b""),
    "a record that is none": with_blob(0, b"\x1f\x8b" + bytes(4000)),
    "another record": swapped,
    "a failure with a record": with_blob(2, b"x"),
}


@pytest.mark.parametrize("kind", ALTERED)
def test_entries_that_we_would_not_write_are_refused(tmp_path: Path, kind: str) -> None:
    made = shots(tmp_path)
    captures, names = captures_of(made)
    path = tmp_path / "a.journal"
    with Journal.at(str(path)) as journal:
        fill(journal, made)
    altered(path, ALTERED[kind])
    with (
        Journal.at(str(path)) as journal,
        pytest.raises(InputError, match=r"a\.journal: the entry of link .* remove the folder's \.work") as refused,
    ):
        check_results(journal, captures, names, 1, 2)
    assert "\n" not in str(refused.value)


@pytest.fixture
def interrupted(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Callable[[Path], None], Path]]:
    """A run that an archive shut out after three records: the same call for any folder, and the folder that is left."""
    pages, folder = 6, tmp_path / "pages"
    made = MadeCrawl("CC-MAIN-2015-35", [Shot(f"http://a.example/{n}", AT) for n in range(pages)], per_file=1)
    index = write_cdxj(tmp_path / "index", [made.write(tmp_path / "archive")])
    links = links_folder(tmp_path / "links", [link(f"http://a.example/{n}", at=AT) for n in range(pages)])
    monkeypatch.setattr(service, "REFUSED_IN_A_ROW", 1)
    monkeypatch.setattr(service, "ATTEMPTS", 1)
    with range_server(tmp_path / "archive", lambda request: (403, {}, b"no") if request.number >= 3 else None) as server:
        settings = {"archive_index": tuple(index), "commoncrawl_rate": 1000.0, "source": ("commoncrawl",)}
        settings |= {"commoncrawl": server.url, "allow_addresses": ("127.0.0.0/8",)}

        def call(output: Path) -> None:
            run(links, output, engine, **settings)

        with pytest.raises(OutageError):
            call(folder)
        server.fault = None
        yield call, folder


def left_journal(folder: Path) -> Path:
    """The journal of the records that were read."""
    (path,) = folder.rglob("*fetch*/*.journal")
    return path


def test_an_interrupted_run_goes_on_from_its_own_journal(
    interrupted: tuple[Callable[[Path], None], Path], tmp_path: Path
) -> None:
    call, folder = interrupted
    with Journal.at(str(left_journal(folder))) as journal:
        assert len(journal.entries) == 3
    call(folder)
    call(tmp_path / "undisturbed")
    assert contents(folder) == contents(tmp_path / "undisturbed")


def test_an_interrupted_run_refuses_the_journal_of_another(interrupted: tuple[Callable[[Path], None], Path]) -> None:
    call, folder = interrupted
    altered(left_journal(folder), swapped)
    with pytest.raises(InputError, match=r"the entry of link '\d' is not one that this program writes here"):
        call(folder)
    assert not (folder / "manifest.json").exists()
