"""The cluster examples use existing flags and presets, and give training the time to save."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

from trainer.cli import _parser

EXAMPLES = Path(__file__).parents[2] / "examples"
STAND_IN = '#!/bin/sh\nprintf \'%s\\n\' {name} "$@" "CPUS=$SRUN_CPUS_PER_TASK"\n'
SLURM = {
    "SLURM_JOB_NODELIST": "node[1-4]",
    "SLURM_NNODES": "4",
    "SLURM_GPUS_ON_NODE": "8",
    "SLURM_JOB_ID": "17",
    "SLURM_CPUS_PER_TASK": "64",
}


def torchrun_arguments(words: list[str]) -> tuple[object, list[str]]:
    """The flags of torchrun, and the words after `-m trainer`."""
    arguments = get_args_parser().parse_args(words)
    assert arguments.training_script == "trainer"
    return arguments, arguments.training_script_args


def kubernetes_words() -> list[str]:
    text = (EXAMPLES / "kubernetes/train.yaml").read_text(encoding="utf-8")
    block = text[text.index("args:") : text.index("env:")]
    words = [line.split("#")[0].strip().removeprefix("- ") for line in block.splitlines()[1:] if line.strip()]
    return [word.replace("$(JOB_COMPLETION_INDEX)", "1") for word in words]


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """An environment in which srun and scontrol print what they were given."""
    for name, text in (("srun", STAND_IN.format(name="srun")), ("scontrol", "#!/bin/sh\nprintf 'node1\\nnode2\\n'\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return {**os.environ, **SLURM, "PATH": f"{tmp_path}:{os.environ['PATH']}"}


def sbatch(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(EXAMPLES / "slurm/train.sbatch"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_kubernetes_command_parses_and_has_time_to_save() -> None:
    arguments, words = torchrun_arguments(kubernetes_words())
    assert _parser().parse_args(words).preset == "gpt2-medium"
    grace = int(re.findall(r"terminationGracePeriodSeconds: (\d+)", (EXAMPLES / "kubernetes/train.yaml").read_text())[0])
    assert 300 < arguments.shutdown_timeout < grace  # type: ignore[attr-defined]


def test_slurm_script_passes_its_arguments_to_the_trainer(slurm: dict[str, str]) -> None:
    given = ["gpt2-xl", "--data", "/a folder/tokens", "--out", "/runs/1", "--learning-rate=1e-4"]
    done = sbatch(slurm, *given)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert printed[0] == "srun"
    assert printed[-1] == "CPUS=64"
    assert "--kill-on-bad-exit=1" in printed
    arguments, words = torchrun_arguments(printed[printed.index("torchrun") + 1 : -1])
    assert words == ["train", *given]
    assert _parser().parse_args(words).data == "/a folder/tokens"
    assert arguments.rdzv_endpoint == "node1:29500"  # type: ignore[attr-defined]
    limit = int(re.findall(r"--signal=TERM@(\d+)", (EXAMPLES / "slurm/train.sbatch").read_text())[0])
    assert 300 < arguments.shutdown_timeout < limit  # type: ignore[attr-defined]


def test_slurm_script_without_arguments_says_how_to_use_it(slurm: dict[str, str]) -> None:
    done = sbatch(slurm)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: sbatch ")
