"""Two torchrun agents, as on two machines: a stop on one stops both unfinished, none returns 0, and a restart finishes."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

Command = Callable[..., list[str]]

RANK = """
import json, os, signal, sys
from trainer import cli, loop
from trainer.checkpoint import metadata
hashed, inner, stop = [], metadata._sha256, {stop}
def count(path):
    hashed.append(path.name)
    return inner(path)
metadata._sha256 = count
step = loop.Trainer._step
def stopping(trainer, batches):
    if trainer.state.step == stop and trainer.world.first:
        os.kill(os.getppid(), signal.SIGTERM)  # the agent
    return step(trainer, batches)
loop.Trainer._step = stopping
code = cli.main(sys.argv[1:])
with open({out!r} + f"/{{stop}}-{{os.environ['RANK']}}.json", "w") as file:
    json.dump({{"code": code, "hashed": hashed}}, file)
sys.exit(code)
"""


def run_agents(tmp_path: Path, command: list[str], stop: int) -> tuple[list[int], list[str]]:
    """The exit codes of two agents of one rank each, and what they printed.

    At the step `stop`, the first rank's agent gets SIGTERM, as when its pod is evicted.
    """
    script = tmp_path / f"stop_{stop}.py"
    script.write_text(RANK.format(stop=stop, out=str(tmp_path)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ["--nnodes=2", "--nproc-per-node=1", "--max-restarts=0", "--local-addr=127.0.0.1", "--shutdown-timeout=120"]
    launch += ["--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}", f"--rdzv-id=agents-{stop}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "GLOO_SOCKET_IFNAME": "lo"}
    line = [sys.executable, "-m", "torch.distributed.run", *launch, str(script), *command]
    with ExitStack() as ended:
        agents = [subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        for agent in agents:
            ended.enter_context(agent)
            ended.callback(agent.kill)
        errors = [agent.communicate(timeout=280)[1] for agent in agents]
    return [agent.returncode for agent in agents], errors


@pytest.mark.slow
def test_an_evicted_agent_leaves_the_run_unfinished_for_both_and_a_restart_finishes_it(
    small_run: Command, tmp_path: Path
) -> None:
    command = small_run("run", "--steps=12", "--checkpoint-every=100", "--micro-batch=4")
    codes, errors = run_agents(tmp_path, command, 5)
    assert all(codes), errors
    ranks = [json.loads((tmp_path / f"5-{rank}.json").read_text()) for rank in range(2)]
    assert [rank["code"] for rank in ranks] == [75, 75], "a scheduler must not take the run for done"
    (saved,) = (tmp_path / "run" / "checkpoints").glob("step_*")
    assert 5 <= int(saved.name.removeprefix("step_")) < 12
    files = {name for rank in ranks for name in rank["hashed"]}
    for number, rank in enumerate(ranks, start=1):
        mine = [name for name in rank["hashed"] if name.endswith(".safetensors")]
        assert mine == [name for name in mine if name.startswith(f"shard-{number:05d}-")], "each rank hashes what it wrote"
        assert len(mine) == 2

    codes, errors = run_agents(tmp_path, command, -1)
    assert codes == [0, 0], errors
    first, second = (json.loads((tmp_path / f"-1-{rank}.json").read_text())["hashed"] for rank in range(2))
    listed = json.loads((saved / "checkpoint.json").read_text())["files"]
    assert sorted(first[: len(listed)]) == sorted(Path(name).name for name in listed), "the first rank checks each file once"
    assert len(second) == 2, "the second hashes only what it writes after the last step"
    assert files <= {Path(name).name for name in listed}
    if "WEBTEXT_FULL" not in os.environ:
        return
    codes, errors = run_agents(tmp_path, command, -2)
    assert codes == [0, 0], errors
    assert sum(error.count("up to date, all 12 steps are done") for error in errors) == 1
