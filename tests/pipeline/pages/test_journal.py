import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.pages.journal import Journal
from pipeline.pages.journal_heads import head_of
from tokenizer.errors import InputError

DROPPED = {"key": "k", "reason": "http_404", "detail": ""}
MOVED = {"key": "k", "target": "http://a.example/", "redirect_count": 1, "chain_records": 1, "chain_urls": ["http://b.example/"]}
FETCHED = {
    "key": "k", "records": 3, "redirected": [], "final_url": "http://a.example/", "fetched_at": "2026-01-31T12:00:00+00:00",
    "status": 200, "media_type": "text/html", "charset": None, "response_at": 0, "response_length": 4, "body_bytes": 2,
    "sha256": "0" * 64,
}  # fmt: skip


def fill(path: Path, entries: int) -> None:
    with Journal.at(str(path)) as journal:
        for number in range(entries):
            journal.append({"key": f"k{number}", "n": number}, b"x" * number)


def test_entries_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.journal"
    fill(path, 5)
    with Journal.at(str(path)) as journal:
        assert list(journal.entries) == ["k0", "k1", "k2", "k3", "k4"]
        assert journal.head("k3") == {"key": "k3", "n": 3}
        assert journal.blob("k3") == b"xxx"
        assert journal.blob("k0") == b""


def test_incomplete_last_entry_is_cut_at_every_length(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    fill(path, 4)
    whole = path.read_bytes()
    with Journal.at(str(path)) as journal:
        ends = [start + head + blob for start, head, blob in journal.entries.values()]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        with Journal.at(str(path)) as journal:
            kept = sum(end <= cut for end in ends)
            assert list(journal.entries) == [f"k{number}" for number in range(kept)]
            journal.append({"key": "new"}, b"blob")
        with Journal.at(str(path)) as journal:
            assert list(journal.entries)[-1] == "new"
            assert journal.blob("new") == b"blob"


def test_journal_ends_at_a_flipped_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    fill(path, 4)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with Journal.at(str(path)) as journal:
            assert len(journal.entries) < 4


def test_second_entry_for_a_key_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "a.journal", 2)
    with Journal.at(str(tmp_path / "a.journal")) as journal, pytest.raises(RuntimeError, match="k1: done twice"):
        journal.append({"key": "k1"})


def framed(head: bytes, blob: bytes = b"", sizes: tuple[int, int] | None = None) -> bytes:
    head_size, blob_size = sizes or (len(head), len(blob))
    return struct.pack("<III", head_size, blob_size, zlib.crc32(blob, zlib.crc32(head))) + head + blob


@pytest.mark.parametrize(
    "head", [b"[]", b"7", b"null", b"{}", b'{"key":7}', b'{"key":null}', b"not json", b'{"key":"\xff"}', b"[" * 9000, b""]
)
def test_whole_entry_of_another_content_is_refused_in_one_line(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "a.journal"
    path.write_bytes(framed(head))
    with pytest.raises(InputError, match=r"a\.journal: not a journal \(.*\); remove it") as refused:
        Journal.at(str(path))
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == framed(head)


MAKERS: dict[str, Callable[[Path], object]] = {
    "FIFO": os.mkfifo,
    "folder": Path.mkdir,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link out": lambda path: path.symlink_to("/etc/hostname"),
    "link to itself": lambda path: path.symlink_to(path.name),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_other_kind_of_file_is_refused_unopened(tmp_path: Path, kind: str) -> None:
    MAKERS[kind](tmp_path / "a.journal")
    with pytest.raises(InputError, match=r"a\.journal: not a journal"):
        Journal.at(str(tmp_path / "a.journal"))


@pytest.mark.parametrize("sizes", [(1 << 31, 0), (0, 1 << 31), (1 << 31, 1 << 31), (0xFFFFFFFF, 0xFFFFFFFF)])
def test_lengths_of_gigabytes_take_no_memory(tmp_path: Path, sizes: tuple[int, int]) -> None:
    path = tmp_path / "a.journal"
    path.write_bytes(framed(b"", b"", sizes))
    os.truncate(path, 3 << 30)  # sparse
    if sizes == (0, 1 << 31):
        os.truncate(path, 64 << 20)
    with Journal.at(str(path)) as journal:
        assert journal.entries == {}


def with_head(path: Path, head: dict[str, Any]) -> dict[str, Any]:
    path.write_bytes(framed(orjson.dumps(head), b"abcd"))
    with Journal.at(str(path)) as journal:
        return head_of(journal, "k")


@pytest.mark.parametrize("head", [DROPPED, MOVED, FETCHED, {"key": "k", "kept": True}])
def test_heads_of_every_outcome_are_read(tmp_path: Path, head: dict[str, Any]) -> None:
    assert with_head(tmp_path / "a.journal", head) == head


@pytest.mark.parametrize(
    "head",
    [
        {"key": "k"},
        {"key": "k", "kept": "yes"},
        {"key": "k", "kept": True, "surprise": 1},
        DROPPED | {"reason": "no_such_reason"},
        DROPPED | {"detail": 7},
        MOVED | {"redirect_count": -1},
        MOVED | {"chain_urls": "http://b.example/"},
        MOVED | {"chain_urls": [7]},
        MOVED | {"target": None},
        FETCHED | {"status": "200"},
        FETCHED | {"status": 10**18},
        FETCHED | {"response_at": -1},
        FETCHED | {"response_length": 5},
        FETCHED | {"response_at": 1 << 40},
        FETCHED | {"fetched_at": "yesterday"},
        FETCHED | {"fetched_at": "2026-01-31T12:00:00"},
        FETCHED | {"sha256": "0"},
        FETCHED | {"charset": []},
        {name: value for name, value in FETCHED.items() if name != "records"},
    ],
)
def test_head_that_no_outcome_has_is_refused_in_one_line(tmp_path: Path, head: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"a\.journal: the entry of 'k' is not one that this program writes") as refused:
        with_head(tmp_path / "a.journal", head)
    assert "\n" not in str(refused.value)
