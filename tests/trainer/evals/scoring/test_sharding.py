"""Examples shared among ranks: results come in order, and a fault on one rank is a fault on all."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from trainer.evals.scoring.sharding import ExampleSharding

ROOT = Path(__file__).parents[4]
RANK = """
import sys
import torch.distributed as dist
from trainer.evals.scoring.sharding import ExampleSharding, RankError
rank, store, failing = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
sharding = ExampleSharding.current()
def work():
    for item in sharding.shard(range(5)):
        if item == failing:
            raise ZeroDivisionError("division by zero")
        yield item * item
try:
    print(sharding.gather(work))
except (ZeroDivisionError, RankError) as error:
    print(type(error).__name__, error)
print(sharding.gather(lambda: sharding.shard("abc")))
dist.destroy_process_group()
"""


def test_without_ranks_work_is_done_here_and_faults_are_raised() -> None:
    sharding = ExampleSharding()
    assert sharding.gather(lambda: sharding.shard([1, 2, 3])) == [1, 2, 3]
    with pytest.raises(ZeroDivisionError):
        sharding.gather(lambda: [1 // 0])


@pytest.mark.parametrize(
    ("failing", "answers"),
    [
        (9, ["[0, 1, 4, 9, 16]", "[0, 1, 4, 9, 16]"]),
        (3, ["RankError rank 1: ZeroDivisionError: division by zero", "ZeroDivisionError division by zero"]),
    ],
)
def test_a_fault_on_one_rank_is_raised_on_all_and_they_stay_in_step(tmp_path: Path, failing: int, answers: list[str]) -> None:
    commands = [[sys.executable, "-W", "ignore", "-c", RANK, str(rank), str(tmp_path / "store"), str(failing)] for rank in (0, 1)]
    with ExitStack() as ended:
        processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for command in commands]
        for process in processes:
            ended.enter_context(process)
            ended.callback(process.kill)
        printed = [process.communicate(timeout=120)[0].splitlines() for process in processes]
    assert printed == [[answer, "['a', 'b', 'c']"] for answer in answers]
