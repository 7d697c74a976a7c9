"""Strangers beside a run: a port scanner and an uninvited worker change nothing, and find nothing that is not for them."""

import errno
import os
import select
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gauntlet.strangers import STRANGE_LINE, Intruder, beside, doors, knock, scanner
from gauntlet.whole import TRAIN
from listeners import beyond_loopback, listeners_of

from tokenizer.codec import Tokenizer
from tokenizer.convert import write_folder

pytestmark = pytest.mark.slow
HERE = Path(__file__).parents[2]
RUN = "import sys; from gauntlet import strangers; strangers.run_with_two_workers(sys.argv[1])"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_a_worker_of_another_user_cannot_reach_a_run(tmp_path: Path) -> None:
    for name in ("here", "go-0", "go-1"):
        os.mkfifo(tmp_path / name)
    environment = {**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE / 'tests'}"}
    here = os.open(tmp_path / "here", os.O_RDWR)
    with subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)], env=environment, stderr=subprocess.DEVNULL) as run:
        if not select.select([here], [], [], 600)[0]:
            run.kill()  # it would wait for a word
            pytest.fail("no worker began")
        found = doors(run.pid)
        answers = {knock(path, "nobody") for path in found}
        ports = listeners_of(run.pid)
        for number in range(2):
            (tmp_path / f"go-{number}").write_text("go")
    assert run.returncode == 0
    assert len(found) >= 4
    assert answers == {errno.EACCES}
    assert not ports


STAGES = "import sys; from gauntlet import strangers; strangers.run_stages(*sys.argv[1:])"


def published(corpus: Path) -> dict[str, bytes]:
    """The bytes of every file but run.json, which holds times."""
    paths = [path for path in sorted(corpus.rglob("*")) if path.is_file() and path.name != "run.json"]
    return {str(path.relative_to(corpus)): path.read_bytes() for path in paths}


def test_strangers_change_no_byte_of_a_run_and_get_nothing(tmp_path: Path) -> None:
    """As the same user, who can reach the sockets: all calls lack the run's token."""
    environment = {**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE / 'tests'}"}
    command = [sys.executable, "-c", STAGES, str(tmp_path / "web")]
    subprocess.run([*command, str(tmp_path / "alone")], env=environment, check=True, capture_output=True)
    with scanner(Intruder) as stranger:
        done = beside([*command, str(tmp_path / "beside")], environment, stranger)
    assert done.returncode == 0, done.stdout
    assert published(tmp_path / "beside") == published(tmp_path / "alone")
    assert not stranger.seen  # no port
    assert len(stranger.doors) >= 10
    assert not stranger.received
    for method, answers in stranger.answers.items():
        assert "UNAUTHENTICATED" in answers, method
        assert answers <= {"UNAUTHENTICATED", "UNAVAILABLE"}, method  # a server may end meanwhile
    assert STRANGE_LINE not in done.stdout


def test_a_port_scanner_does_not_disturb_training(tmp_path: Path) -> None:
    tokenizer = Tokenizer([(0, byte) for byte in range(43)])  # 300 entries
    tokens = np.array(
        [*b"A stranger knocks at every door, and says nothing that makes sense. " * 400, tokenizer.eot_id], np.uint16
    )
    write_folder(tmp_path / "tokens", {"train": tokens, "validation": tokens}, tokenizer)
    train = ["train", "tiny", "--data", str(tmp_path / "tokens"), "--out", str(tmp_path / "run"), *TRAIN]
    with scanner() as stranger:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = beside([sys.executable, "-m", "trainer", "launch", "--ranks", "2", *train], environment, stranger)
    assert done.returncode == 0, done.stdout
    assert len(stranger.seen) >= 3
    assert not beyond_loopback(stranger.seen)
    assert (tmp_path / "run" / "checkpoints" / "step_00000012").is_dir()
