from pathlib import Path

import pytest

from pipeline.pages.journal import Journal


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
