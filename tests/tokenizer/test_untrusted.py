"""Names and files of foreign folders: what leads out, is no file, or is too large is refused before anything is read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tokenizer.untrusted import check_file, check_link, inner_name, plain_name, read_file

GOOD = ["a", "a.parquet", "drops/a.parquet", ".work/ab/main/a.npy", "c[1]", "c*", "é.txt", "a..b", "...", "s3:"]
BAD = [
    "", "/", "/etc/passwd", "..", "../a", "a/../b", "a/..", ".", "./a", "a/./b", "a//b", "a/", "s3://bucket/a", "gs://b/a",
    "http://host/a", "file:///etc/passwd", "a\\b", "..\\a", "a\0b", "a\nb", "a\x1b[2J", "\u202ea", "\ud800", "\x85", "a" * 2000,
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_name_inside_the_folder_is_taken(name: str) -> None:
    assert inner_name(name) == name


@pytest.mark.parametrize("name", BAD, ids=range(len(BAD)))
def test_a_name_that_leads_out_or_cannot_be_shown_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ValueError, match="file name") as refusal:
        inner_name(name)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).isprintable()


def test_a_plain_name_has_no_folder() -> None:
    assert plain_name("a.arrow") == "a.arrow"
    with pytest.raises(ValueError, match="another folder"):
        plain_name("drops/a.arrow")


def socket_at(path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "fifo": (os.mkfifo, "a FIFO"),
    "zero": (lambda path: path.symlink_to("/dev/zero"), "link to '/dev/zero'"),
    "outside": (lambda path: path.symlink_to("../outside.txt"), "outside its folder"),
    "far": (lambda path: path.symlink_to("/etc/hostname"), "outside its folder"),
    "loop": (lambda path: path.symlink_to(path.name), "link"),
    "folder": (lambda path: path.mkdir(), "a folder"),
    "socket": (socket_at, "a socket"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_of_the_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    (tmp_path / "outside.txt").write_text("secret")
    (tmp_path / "corpus").mkdir()
    monkeypatch.chdir(tmp_path)
    make, why = KINDS[kind]
    make(Path("corpus/a"))
    with pytest.raises(ValueError, match=why):
        check_file("corpus", "a")


def test_links_inside_the_folder_and_missing_files_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_bytes(b"123")
    (tmp_path / "b").symlink_to("real/a")
    (tmp_path / "linked").symlink_to("real")
    for name in ("real/a", "b", "linked/a"):
        found = check_file(tmp_path, name)
        assert found is not None
        assert found.st_size == 3
    assert check_file(tmp_path, "nosuch") is None
    assert check_file(tmp_path, "b/c") is None


def test_a_folder_below_that_is_a_link_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a").write_bytes(b"")
    (tmp_path / "corpus" / "drops").symlink_to(tmp_path / "outside")
    for name in ("drops/a", "drops/missing", "drops/b/missing"):
        with pytest.raises(ValueError, match="outside its folder"):
            check_file(tmp_path / "corpus", name)


@pytest.mark.parametrize("text", ["[" + "1," * 900_000 + "1]", "[" * 450_000 + "1" + "{}," * 450_000, "{" + '"a":1,' * 900_000])
def test_a_json_file_of_too_many_values_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match="JSON values; at most 786,432 are read"):
        read_file(tmp_path / "a.json")


def test_a_folder_that_is_a_link_itself_is_read(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a").write_bytes(b"1")
    (tmp_path / "tokens").symlink_to(tmp_path / "disk")
    assert check_file(tmp_path / "tokens", "a") is not None


def test_hugging_faces_cache_may_link_to_its_blobs_alone(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--gpt2" / "snapshots" / "607a30d"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--gpt2" / "blobs").mkdir()
    (tmp_path / "models--gpt2" / "blobs" / "abc").write_bytes(b"1")
    (tmp_path / "models--gpt2" / "secret").write_bytes(b"1")
    (snapshot / "config.json").symlink_to("../../blobs/abc")
    (snapshot / "other.json").symlink_to("../../secret")
    check_link(snapshot, snapshot / "config.json")
    with pytest.raises(ValueError, match="outside its folder"):
        check_link(snapshot, snapshot / "other.json")


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    with path.open("wb") as file:
        file.truncate(2 << 30)
    with pytest.raises(ValueError, match=r"2,147,483,648 bytes; at most"):
        read_file(path)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ValueError, match="a FIFO"):
        read_file(tmp_path / "fifo")
    path.write_bytes(b"{}")
    assert read_file(path) == b"{}"
