"""One run per folder: the second is refused in one line that names the first; a killed run's lock holds nobody up."""

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tokenizer.errors import InputError
from tokenizer.folder_lock import LOCK, folder_lock

ROOT = Path(__file__).parents[2]
HOLD = (
    "import sys; from tokenizer.folder_lock import folder_lock\nwith folder_lock(sys.argv[1]): print('held', flush=True); input()"
)


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder's lock until its input ends."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as raised, folder_lock(folder):
        pass
    return str(raised.value)


def test_a_second_process_is_refused_by_name(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        message = refusal(tmp_path)
    assert message == f"{tmp_path}: process {process.pid} on host {socket.gethostname()} works in this folder; wait for its end"


def test_a_killed_process_holds_nobody_up(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.kill()
        process.wait()
        assert (tmp_path / LOCK).exists()
        with folder_lock(tmp_path):
            assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_the_lock_ends_with_the_block_and_leaves_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with folder_lock(folder):
        assert (folder / LOCK).exists()
    assert not list(folder.iterdir())
    with pytest.raises(ValueError, match="fails"), folder_lock(folder):
        raise ValueError("fails")
    assert not list(folder.iterdir())


def test_a_second_lock_of_one_process_is_refused(tmp_path: Path) -> None:
    with folder_lock(tmp_path):
        assert f"process {os.getpid()} on host" in refusal(tmp_path)
    with folder_lock(tmp_path):
        pass


def test_of_many_at_once_one_holds_the_lock(tmp_path: Path) -> None:
    inside: list[int] = []

    def attempt(number: int) -> bool:
        try:
            with folder_lock(tmp_path):
                inside.append(number)
                assert len(inside) == 1
                inside.remove(number)
        except InputError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert any(pool.map(attempt, range(400)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", "null", "7", '{"host": "a"}', '{"host": "a\\u001b", "pid": 1}', '{"host": 1, "pid": "x"}', "\0" * 5000],
)
def test_a_stale_file_of_any_content_is_taken_over(tmp_path: Path, content: str) -> None:
    (tmp_path / LOCK).write_text(content)
    with folder_lock(tmp_path), (tmp_path / LOCK).open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not (tmp_path / LOCK).exists()


@pytest.mark.parametrize("content", ["", '{"host": "a\\u001b[2J", "pid": 1}', '{"host": "a", "pid": -1}'])
def test_a_holder_without_a_valid_name_is_another_process(tmp_path: Path, content: str) -> None:
    (tmp_path / LOCK).write_text(content)
    with (tmp_path / LOCK).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert refusal(tmp_path) == f"{tmp_path}: another process works in this folder; wait for its end"


def test_a_lock_that_is_a_link_is_refused_and_its_target_untouched(tmp_path: Path) -> None:
    target = tmp_path / "other"
    target.write_text("kept")
    (tmp_path / LOCK).symlink_to(target)
    assert "remove it" in refusal(tmp_path)
    assert target.read_text() == "kept"


def test_a_lock_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    assert "remove it" in refusal(tmp_path)


def test_a_lock_that_is_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket has at most 107 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(LOCK)
        assert "remove it" in refusal(tmp_path)
    assert (tmp_path / LOCK).exists()


SPELLINGS = (
    "{folder}", "{folder}/", "{folder}/.", "{folder}//", "{folder}/../{name}", "{folder}/sub/..", "../{name}", "{name}", "./{name}",
    "link", "link/", "link/../{name}", "way/{name}", "loop/{name}/.",
)  # fmt: skip
"""Spellings of one folder, seen from the folder that holds it."""


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_held_folder_is_refused_in_every_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str) -> None:
    parent = tmp_path / "parent"
    folder = parent / "held here"
    (folder / "sub").mkdir(parents=True)
    (parent / "link").symlink_to(folder.name)
    (parent / "way").symlink_to(".")
    (parent / "loop").symlink_to(parent)
    monkeypatch.chdir(folder if spelling.startswith("../") else parent)
    with folder_lock(folder):
        assert "works in this folder" in refusal(Path(spelling.format(folder=folder, name=folder.name)))
    assert [path.name for path in folder.iterdir()] == ["sub"]


def test_folders_made_for_a_block_that_raises_are_removed_but_not_those_with_files(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c"
    with pytest.raises(ValueError, match="refused"), folder_lock(deep):
        raise ValueError("refused")
    assert not list(tmp_path.iterdir())

    def write_and_fail() -> None:
        with folder_lock(deep):
            (tmp_path / "a" / "file").write_text("kept")
            raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        write_and_fail()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]


def test_a_lock_that_is_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / LOCK)
    with folder_lock(tmp_path):
        assert "works in this folder" in refusal(tmp_path)


def test_a_folder_that_cannot_be_made_is_left_to_the_first_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with folder_lock(tmp_path / "file"), folder_lock(tmp_path / "file"):
        assert (tmp_path / "file").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("host", "process", "free"),
    [(socket.gethostname(), 2**22 + 1, True), (socket.gethostname(), os.getpid(), False), ("another", 2**22 + 1, False)],
    ids=["ended", "running", "on another host"],
)
def test_without_locks_of_the_file_system_the_name_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, process: int, *, free: bool
) -> None:
    def unsupported(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    (tmp_path / LOCK).write_text(json.dumps({"host": host, "pid": process}))
    if free:
        with folder_lock(tmp_path):
            assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    else:
        assert refusal(tmp_path) == (
            f"{tmp_path}: process {process} on host {host} works in this folder; if it has ended, remove {tmp_path / LOCK}"
        )
        assert (tmp_path / LOCK).exists()
