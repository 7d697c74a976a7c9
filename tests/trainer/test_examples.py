"""The cluster examples take what the DAG appends, use existing flags and presets, and give training the time to save."""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from torch.distributed.run import get_args_parser

from trainer.cli import _parser

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
GIVEN = [
    ["gpt2-medium", "--data", "/corpus/tokens/2017-12", "--out", "/corpus/runs/2017-12"],
    ["gpt2-xl", "--data", "/a folder/tokens", "--out", "/runs/{{ 1 }}", "--learning-rate=1e-4", "--steps", "2"],
    ["tiny", "--data", 'a"quote', "--out", "$(JOB_COMPLETION_INDEX) $HOME `id` \\", "--seed", "7"],
]
SBATCH = """#!/bin/bash
# waits for the script, as sbatch --wait does; its flags end with the script's name
set -e
while [[ $1 == -* ]]; do
    echo "sbatch $1" >> "$SEEN"
    case $1 in --wait) shift ;; --gpus-per-node) export SLURM_GPUS_ON_NODE=$2; shift 2 ;; *) exit 64 ;; esac
done
exec bash "$@"
"""
KUBECTL = """#!/usr/bin/env python3
# a cluster of one job: each answer of `get job` takes the next state of $STATES
import json, os, pathlib, sys
words, folder = sys.argv[1:], pathlib.Path(os.environ["CLUSTER"])
with (folder / "seen").open("a") as seen:
    seen.write(json.dumps(words) + "\\n")
states = folder / "states"
if words[:2] == ["get", "job"]:
    now, *later = states.read_text().split()
    states.write_text(" ".join(later or [now]))
    if now == "gone":
        sys.exit("the server is not there")
    ended = [{"type": now, "status": "True"}] if now in ("Complete", "Failed") else [{"type": "Suspended", "status": "False"}]
    print("" if now == "absent" else json.dumps({"status": {} if now == "new" else {"conditions": ended}}))
elif words[0] == "apply":
    (folder / "applied.yaml").write_text(sys.stdin.read())
"""
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


def dag_line(launcher: str, script: Path, arguments: list[str]) -> str:
    """The shell line by which the DAG starts the training."""
    tree = ast.parse((ROOT / "dags" / "webtext.py").read_text(encoding="utf-8"))
    (launchers,) = (
        eval(compile(ast.Expression(node.value), "webtext.py", "eval"), {"__builtins__": {}})
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "LAUNCHERS"
    )
    launch = [word.format(python="python", gpus=4, launch_script=script) for word in launchers[launcher]]
    return shlex.join([*launch, *arguments])


@pytest.mark.parametrize("given", GIVEN, ids=lambda given: given[0])
def test_slurm_gets_what_the_dag_appends(slurm: dict[str, str], tmp_path: Path, given: list[str]) -> None:
    (tmp_path / "sbatch").write_text(SBATCH)
    (tmp_path / "sbatch").chmod(0o755)
    line = dag_line("slurm", EXAMPLES / "slurm" / "train.sbatch", given)
    done = subprocess.run(["bash", "-c", line], env={**slurm, "SEEN": str(tmp_path / "seen")}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert (tmp_path / "seen").read_text().splitlines() == ["sbatch --wait", "sbatch --gpus-per-node"]
    arguments, words = torchrun_arguments(printed[printed.index("torchrun") + 1 : -1])
    assert words == ["train", *given]
    assert arguments.nproc_per_node == "4"  # type: ignore[attr-defined]


@pytest.mark.parametrize("code", [1, 75, 143])
def test_slurm_script_fails_with_its_ranks(slurm: dict[str, str], tmp_path: Path, code: int) -> None:
    (tmp_path / "srun").write_text(f"#!/bin/sh\nexit {code}\n")
    assert sbatch(slurm, *GIVEN[0]).returncode == code


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """An environment with a stand-in for kubectl."""
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    return {**os.environ, "CLUSTER": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}


def launch(cluster: dict[str, str], states: str, given: list[str]) -> tuple[subprocess.CompletedProcess[str], list[Any]]:
    """Run the DAG's line for Kubernetes; returns how it ended, and the calls of kubectl."""
    Path(cluster["CLUSTER"], "states").write_text(states)
    Path(cluster["CLUSTER"], "seen").write_text("")
    line = dag_line("kubernetes", EXAMPLES / "kubernetes" / "launch.py", given)
    done = subprocess.run(["bash", "-c", line], env=cluster, capture_output=True, text=True)
    return done, [json.loads(seen) for seen in Path(cluster["CLUSTER"], "seen").read_text().splitlines()]


def words_of(manifest: str) -> list[str]:
    """The container's arguments in a manifest, as Kubernetes reads them."""
    block = manifest[manifest.index("args:") : manifest.index("env:")]
    lines = [line.strip().removeprefix("- ") for line in block.splitlines()[1:] if line.strip()]
    words = [json.loads(line) if line.startswith('"') else line.split(" #")[0].strip() for line in lines]
    return [re.sub(r"(?<!\$)\$\(JOB_COMPLETION_INDEX\)", "1", word).replace("$$(", "$(") for word in words]


@pytest.mark.parametrize("given", GIVEN, ids=lambda given: given[0])
def test_kubernetes_gets_what_the_dag_appends(cluster: dict[str, str], tmp_path: Path, given: list[str]) -> None:
    done, calls = launch(cluster, "absent Complete", given)
    assert done.returncode == 0, done.stderr
    assert [call[0] for call in calls] == ["get", "apply", "get"]
    manifest = (tmp_path / "applied.yaml").read_text()
    _, words = torchrun_arguments(words_of(manifest))
    assert words == ["train", *given]
    (name,) = {call[2] for call in calls if call[0] == "get"}
    assert re.fullmatch(r"webtext-train-[0-9a-f]{10}", name)
    assert set(re.findall(r"^ *(?:name|subdomain|job-name): (webtext\S*)$", manifest, re.MULTILINE)) == {name}
    assert f"--rdzv-endpoint={name}-0.{name}:29500" in manifest


@pytest.mark.parametrize(
    ("states", "code", "verbs"),
    [
        ("absent new Complete", 0, ["get", "apply", "get", "get"]),
        ("absent Failed", 1, ["get", "apply", "get"]),
        ("Failed Complete", 0, ["get", "delete", "apply", "get"]),
        ("Complete Complete", 0, ["get", "delete", "apply", "get"]),
        ("new Complete", 0, ["get", "get"]),  # a retry of the DAG's task finds the job at work
        ("absent absent", 1, ["get", "apply", "get"]),  # somebody deleted it
        ("absent gone", 1, ["get", "apply", "get"]),
    ],
)
def test_kubernetes_launcher_waits_for_the_end(
    cluster: dict[str, str], tmp_path: Path, states: str, code: int, verbs: list[str]
) -> None:
    quick = tmp_path / "kubernetes"
    shutil.copytree(EXAMPLES / "kubernetes", quick)
    script = quick / "launch.py"
    script.write_text(script.read_text().replace("POLL_SECONDS = 10.0", "POLL_SECONDS = 0.01"))
    Path(cluster["CLUSTER"], "states").write_text(states)
    done = subprocess.run([str(script), *GIVEN[0]], env=cluster, capture_output=True, text=True)
    calls = [json.loads(seen)[0] for seen in Path(cluster["CLUSTER"], "seen").read_text().splitlines()]
    assert (done.returncode, calls) == (code, verbs), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("given", [[], ["--data", "/corpus"]])
def test_kubernetes_launcher_without_a_preset_says_how_to_use_it(cluster: dict[str, str], given: list[str]) -> None:
    done, calls = launch(cluster, "absent", given)
    assert (done.returncode, done.stdout, calls) == (2, "", [])
    assert done.stderr.startswith("usage: ")


def test_kubernetes_reads_the_manifest(cluster: dict[str, str], tmp_path: Path) -> None:
    program = next((path for folder in os.environ["PATH"].split(":") if (path := Path(folder, "kubectl")).is_file()), None)
    if program is None:
        pytest.skip("no kubectl here: the manifest is not read by it")
    launch(cluster, "absent Complete", GIVEN[2])
    patch = ["patch", "--local", "--type=merge", "--patch={}", "--output=json", f"--filename={tmp_path / 'applied.yaml'}"]
    done = subprocess.run([str(program), *patch], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    read, _, _ = done.stdout.rpartition("}")
    assert json.dumps(GIVEN[2][4].replace("$(", "$$("))[1:-1] in read
