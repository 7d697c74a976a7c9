"""The worker image of the examples: its file is checked everywhere, and built where there is a builder with base images."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "examples" / "image" / "Dockerfile"
BUILDERS = ("docker", "podman", "buildah")
TAG = "webtext-test:0.1.0"


def instructions(text: str) -> list[tuple[str, str]]:
    """Word and arguments of each instruction, without comments, with continued lines joined."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")).replace("\\\n", " ")
    return [
        (word.upper(), " ".join(rest.split()))
        for line in lines.splitlines()
        if line.strip()
        for word, _, rest in [line.partition(" ")]
    ]


def of(word: str) -> list[str]:
    return [rest for name, rest in instructions(DOCKERFILE.read_text()) if name == word]


def test_beam_is_the_one_that_is_pinned() -> None:
    (pin,) = re.findall(r"^apache-beam==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert f"BEAM={pin}" in of("ARG")
    assert of("FROM") == ["apache/beam_python${PYTHON}_sdk:${BEAM}"]


def test_the_image_does_not_run_as_root_and_installs_by_hashes() -> None:
    assert [rest for name, rest in instructions(DOCKERFILE.read_text()) if name in ("USER", "ENTRYPOINT")] == [
        "1000",
        '["/opt/apache/beam/boot"]',
    ]
    installs = [rest for rest in of("RUN") if "pip install" in rest]
    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert "--no-deps" in installs[1]
    assert any(re.search(r"apt-get install .*\bgcc\b", rest) for rest in of("RUN"))


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {source for rest in of("COPY") for source in rest.split()[:-1] if not source.startswith("--")}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    packages = {path.parent.name for path in ROOT.glob("*/py.typed")}
    assert packages <= copied


@pytest.mark.parametrize("readme", sorted((ROOT / "examples").glob("*/README.md")), ids=lambda path: path.parent.name)
def test_no_example_has_an_image_of_its_own(readme: Path) -> None:
    assert not re.search(r"^\s*FROM ", readme.read_text(), re.MULTILINE)


def test_kubernetes_names_the_image() -> None:
    (image,) = re.findall(r"image: (\S+)", (ROOT / "examples" / "kubernetes" / "train.yaml").read_text())
    assert f"--tag {image} " in f"{DOCKERFILE.read_text()} ".replace("\n", " ")


def test_hadolint_has_nothing_to_say() -> None:
    program = shutil.which("hadolint")
    if program is None:
        pytest.skip("no hadolint here: the Dockerfile is not linted")
    done = subprocess.run([program, "--format", "json", str(DOCKERFILE)], capture_output=True, text=True)
    assert json.loads(done.stdout or "[]") == []


@pytest.mark.slow
def test_the_image_builds_and_runs() -> None:
    builder = next((name for name in BUILDERS if shutil.which(name) and engine(name)), None)
    if builder is None:
        pytest.skip("no engine of docker, podman or buildah here: the worker image is not built")
    base = "apache/beam_python3.11_sdk:2.77.0"
    if subprocess.run([builder, "pull", base], capture_output=True).returncode:
        pytest.skip(f"{builder} cannot pull {base}: the worker image is not built")
    build = [builder, "build", "--file", str(DOCKERFILE), "--tag", TAG, str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    if builder == "buildah":
        return
    run = [builder, "run", "--rm", "--entrypoint", "webtext-train", TAG, "--help"]
    assert "usage: webtext-train" in subprocess.run(run, capture_output=True, text=True, check=True).stdout
    user = subprocess.run([builder, "run", "--rm", "--entrypoint", "id", TAG, "-u"], capture_output=True, text=True, check=True)
    assert user.stdout.strip() == "1000"


def engine(name: str) -> bool:
    """Whether a builder has what it builds with; docker's client alone has not."""
    return subprocess.run([name, "info"], capture_output=True, timeout=60).returncode == 0
