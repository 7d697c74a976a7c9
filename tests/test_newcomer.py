"""README and tutorial, walked as a newcomer does: the checkout's files in an empty folder, a new environment, the commands as printed."""

import os
import shutil
import signal
import subprocess
import time
from itertools import takewhile
from pathlib import Path

import pytest
from doc_blocks import ROOT, blocks, commands_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("WEBTEXT_FULL" not in os.environ, reason="installs everything anew: minutes; WEBTEXT_FULL=1"),
]
SECONDS = 900
NEITHER = ("install", "test")
"""Commands of the README that this test does in another way, or that is running it."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that git holds or would hold, with nothing beside them."""
    folder = tmp_path_factory.mktemp("newcomer") / "webtext"
    git = shutil.which("git") or pytest.skip("no git")
    listed = subprocess.run(
        [git, "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(lambda name: (ROOT / name).is_file(), listed.stdout.splitlines()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


def environment(checkout: Path) -> dict[str, str]:
    """A shell after `source .venv/bin/activate`, without what tests and this Python set."""
    ours = ("PYTHON", "PYTEST", "VIRTUAL_ENV", "WEBTEXT", "OMP_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PATH": f"{checkout / '.venv' / 'bin'}:{os.environ['PATH']}"}


def call(checkout: Path, words: list[str], seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=checkout, env=environment(checkout), capture_output=True, text=True, check=False, timeout=seconds
    )


def printed_commands(page: str, program: str) -> list[list[str]]:
    """The commands of a page that a newcomer types, by their program."""
    found = [words for block in blocks(ROOT / page) for _, words in commands_of(block)]
    return [words for words in found if words[0] == program and words[1] not in NEITHER]


def test_the_first_hour(checkout: Path) -> None:
    (demo,) = printed_commands("README.md", "make")
    assert demo == ["make", "demo"]

    with subprocess.Popen(
        demo, cwd=checkout, env=environment(checkout), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as stopped:
        assert stopped.stderr is not None
        before = list(takewhile(lambda line: "links: kept" not in line, stopped.stderr))
        assert stopped.poll() is None, before[-20:]
        os.killpg(stopped.pid, signal.SIGINT)  # Ctrl-C
        after = stopped.stderr.read()
    assert "run make demo again to continue" in after
    assert "Traceback" not in after
    assert not (checkout / "demo" / "report").exists()

    done = call(checkout, demo)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "links: up to date" in done.stderr  # what was there when it was stopped
    report = Path(done.stdout.splitlines()[-1])
    assert report == checkout / "demo" / "report" / "report.html"
    assert b"bits per byte" in report.read_bytes()
    assert "Return the number of" in done.stdout

    begun = time.monotonic()
    again = call(checkout, demo)
    assert again.returncode == 0
    assert again.stderr.count("up to date") >= 6
    assert time.monotonic() - begun < 120  # seconds on a quiet machine


def test_the_commands_of_the_tutorial_run_as_printed(checkout: Path) -> None:
    if not (checkout / "demo" / "report").exists():
        pytest.skip("the demo did not run")
    commands = [words for program in ("webtext", "webtext-train") for words in printed_commands("docs/tutorial/demo.md", program)]
    assert {words[1] for words in commands} >= {"status", "inspect", "vary", "sample"}
    for words in commands:
        done = call(checkout, words)
        assert done.returncode == 0, (words, done.stderr[-3000:])
        assert done.stdout
    varied = call(checkout, ["webtext", "status", "--corpus", "variant"])
    assert varied.stdout.count("up to date") >= 6


@pytest.mark.parametrize(
    "words",
    [
        ["webtext", "run", "--no-such-flag"],
        ["webtext", "stauts"],
        ["webtext-train", "train", "tiny", "--data", "nowhere", "--out", "r"],
    ],
)
def test_a_mistake_is_answered_in_one_line(checkout: Path, words: list[str]) -> None:
    if not (checkout / ".venv" / "bin" / "webtext").exists():
        pytest.skip("the demo did not run")
    done = call(checkout, words)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
