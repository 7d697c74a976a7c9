"""The stages on Prism, Beam's runner in Go: the local engine's bytes, also where a server is killed and the command repeated.

`make engines` installs Prism. Prism listens on all interfaces, so it gets a network namespace with the loopback interface alone.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_web import Month, every_stage, write_month

from pipeline.engine.runner import Engine

ROOT = Path(__file__).parents[3]
PRISM = ROOT / ".engines" / "bin" / "prism"
PROGRAM = ROOT / "tests" / "servers" / "prism_run.py"
NAMESPACE = ["unshare", "--net"]
PAGES = 20


@pytest.fixture(scope="module", autouse=True)
def needs_prism() -> None:
    if not PRISM.exists():
        pytest.skip(f"{PRISM} is not here: make engines installs it, where Go is installed")
    if not shutil.which("ip") or not shutil.which("unshare") or subprocess.run([*NAMESPACE, "true"], check=False).returncode:
        pytest.skip("no network namespaces here: Prism would listen on all interfaces")


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    return write_month(tmp_path_factory.mktemp("month"), PAGES)


def published(corpus: Path) -> dict[str, bytes]:
    """The bytes of every file but run.json, which holds times."""
    paths = [path for path in sorted(corpus.rglob("*")) if path.is_file() and path.name != "run.json"]
    return {str(path.relative_to(corpus)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def local(month: Month, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    corpus = tmp_path_factory.mktemp("local") / "corpus"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.documents.page_ranges.MIN_PAGES_PER_RANGE", 4)
        every_stage(str(corpus), month, Engine())
    return published(corpus)


def on_prism(month: Month, corpus: Path, *flags: str, expected: int = 0) -> str:
    """Run the stages on Prism to an exit code; what the program printed."""
    command = [*NAMESPACE, sys.executable, str(PROGRAM), str(PRISM), str(Path(month.dump).parent), str(corpus), *flags]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    logs = "".join((corpus.parent / name).read_text()[-3000:] for name in ("prism.log", "pool.log"))
    assert ended.returncode == expected, ended.stderr[-3000:] + logs
    return ended.stdout


@pytest.mark.slow
def test_prism_writes_the_same_bytes(month: Month, local: dict[str, bytes], tmp_path: Path) -> None:
    on_prism(month, tmp_path / "corpus")
    found = published(tmp_path / "corpus")
    assert len(found) > 20
    assert found == local


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("WEBTEXT_FULL"), reason="part of make test-all: minutes")
@pytest.mark.parametrize(
    ("server", "stage"), [("pool", "documents"), ("prism", "documents"), ("pool", "dedup"), ("prism", "dedup")]
)
def test_the_same_command_ends_with_the_same_bytes_after_a_kill(
    month: Month, local: dict[str, bytes], tmp_path: Path, server: str, stage: str
) -> None:
    assert on_prism(month, tmp_path / "corpus", "--kill", server, "--stage", stage) == "killed\n"
    assert published(tmp_path / "corpus") == local


@pytest.mark.slow
def test_a_pool_on_another_disk_is_told_before_the_first_part(month: Month, tmp_path: Path) -> None:
    line = on_prism(month, tmp_path / "corpus", "--hide", expected=2)
    assert re.fullmatch(
        rf"the worker on \S+ does not see {tmp_path}/corpus/links \(No such file or directory\); use a folder .*\n", line
    )
    assert not list((tmp_path / "corpus").rglob("*.parquet"))
