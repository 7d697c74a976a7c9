"""The sdist builds the wheel, and the wheel runs outside the checkout with everything that it reads at run time."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from setuptools import build_meta as b; print(getattr(b, sys.argv[1])(sys.argv[2]))"
READ_AT_RUN_TIME = (
    *(
        "pipeline/cli/flags.json",
        "pipeline/cli/recipes/webtext.toml",
        "pipeline/cli/recipes/fineweb.toml",
        "pipeline/report/page.css",
    ),
    *("pipeline/documents/explain.css", "pipeline/documents/blocks/weights.npz", "trainer/compare/page.css"),
    *("trainer/explain/page.html", "pipeline/py.typed", "tokenizer/py.typed", "trainer/py.typed"),
)
EXTRACT = """
from pipeline.extract import extract
page = "<html><title>Rain</title><body><article><h1>Rain</h1>" + "<p>It rained all day in the old town by the river.</p>" * 9
print(extract(page, url="https://docs.example/rain").title)
"""


def call(folder: Path, *words: str, packages: Path | None = None) -> str:
    """What a command prints, in a folder outside the checkout. Warnings are errors nowhere here: setuptools' own are not ours."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    if packages is not None:
        environment["PYTHONPATH"] = str(packages)
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist of the files that git holds or would hold."""
    copy, output = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("sdist")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("no checkout of git")
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    call(copy, sys.executable, "-c", BUILD, "build_sdist", str(output))
    return next(output.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that the sdist gives."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    call(source, sys.executable, "-c", BUILD, "build_wheel", str(folder))
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_sdist_and_wheel_hold_what_is_read_at_run_time(sdist: Path, wheel: Path) -> None:
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    with ZipFile(wheel) as zipped:
        installed = set(zipped.namelist())
    assert {*READ_AT_RUN_TIME, "LICENSE", "README.md", "pyproject.toml"} - packed == set()
    assert set(READ_AT_RUN_TIME) - installed == set()
    assert any(name.endswith("licenses/LICENSE") for name in installed)
    assert {name.split("/")[0] for name in installed if ".dist-info" not in name} == {"pipeline", "tokenizer", "trainer"}


@pytest.mark.slow
def test_the_wheel_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    packages, empty = tmp_path / "packages", tmp_path / "empty"
    empty.mkdir()
    install = (sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps", "--no-index")
    call(empty, *install, "--target", str(packages), str(wheel))
    webtext, train = (str(packages / "bin" / name) for name in ("webtext", "webtext-train"))
    assert call(empty, sys.executable, webtext, "--version", packages=packages).startswith("webtext 0.")
    assert call(empty, sys.executable, train, "--version", packages=packages).startswith("webtext-train 0.")
    listed = call(empty, sys.executable, webtext, "recipe", "list", packages=packages)
    assert [line.split()[0] for line in listed.splitlines()] == [
        "c4",
        "fineweb",
        "gopher",
        "openwebtext",
        "openwebtext2",
        "webtext",
    ]
    assert "--min-karma" in call(empty, sys.executable, webtext, "links", "--help", packages=packages)
    assert call(empty, sys.executable, "-c", EXTRACT, packages=packages) == "Rain\n"
    where = call(
        empty, sys.executable, "-c", "import pipeline, trainer; print(pipeline.__file__, trainer.__file__)", packages=packages
    )
    assert all(path.startswith(str(packages)) for path in where.split())
    assert list(empty.iterdir()) == []
