"""What a production installation installs is pinned by version and hash, in step with constraints.txt; advisories are asked for."""

import json
import os
import random
import re
import runpy
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = runpy.run_path(str(ROOT / "supply_chain" / "lock.py"))
AUDIT = runpy.run_path(str(ROOT / "supply_chain" / "audit.py"))
PIPELINE, TRAIN = LOCK["PIPELINE"], LOCK["TRAIN"]
ACCELERATOR = re.compile("nvidia-.*|cuda-.*|triton|torch")
"""Packages of one build of torch: constraints.txt holds for all builds."""


def pins_of(name: str) -> dict[str, str]:
    text = "".join(line for line in (ROOT / name).read_text().splitlines(keepends=True) if not line.startswith(("#", "-r ")))
    return dict(pin.split("==") for pin in LOCK["blocks"](text))


def constraints() -> dict[str, str]:
    pairs = (line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    return {canonicalize_name(name): version for name, version in pairs}


def needed(extras: tuple[str, ...]) -> set[str]:
    """The project's dependencies with these extras, and theirs, as the installed packages name them for this platform."""
    found: set[str] = set()
    waiting = [("webtext", extra) for extra in ("", *extras)]
    done = set()
    while waiting:
        package, extra = waiting.pop()
        if (package, extra) in done:
            continue
        done.add((package, extra))
        try:
            declared = requires(package) or []
        except PackageNotFoundError:  # a build of torch without the accelerator's libraries
            assert ACCELERATOR.fullmatch(package), package
            continue
        for one in map(Requirement, declared):
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                name = canonicalize_name(one.name)
                found.add(name)
                waiting += [(name, wanted) for wanted in ("", *one.extras)]
    return found


@pytest.mark.parametrize("name", [PIPELINE, TRAIN])
def test_every_pin_is_that_of_constraints(name: str) -> None:
    known = constraints()
    for package, version in pins_of(name).items():
        if package in known or not (name == TRAIN and ACCELERATOR.fullmatch(package)):
            assert known.get(package) == version, f"{package}: run `make lock`"


def test_every_package_that_production_needs_is_pinned() -> None:
    pipeline, train = pins_of(PIPELINE), pins_of(TRAIN)
    assert needed(LOCK["EXTRAS"][PIPELINE]) - set(pipeline) == set(), "run `make lock`"
    assert needed(LOCK["EXTRAS"][TRAIN]) - set(pipeline) - set(train) == set(), "run `make lock`"
    assert not set(pipeline) & set(train)
    assert "torch" in train
    assert "pytest" not in pipeline


@pytest.mark.parametrize("name", [PIPELINE, TRAIN])
def test_the_files_are_as_the_program_writes_them_and_name_no_host(name: str) -> None:
    written = (ROOT / name).read_text()
    start = f"-r {PIPELINE}\n" if name == TRAIN else ""
    body = "".join(line for line in written.splitlines(keepends=True) if not line.startswith(("#", "-r ")))
    found = LOCK["blocks"](body)
    assert LOCK["text"](name, found, start) == written
    assert all(block.count("--hash=sha256:") for block in found.values())
    assert "://" not in written


def test_any_order_of_an_answer_gives_the_same_file() -> None:
    shuffled = random.Random(1)
    pins = [f"a{n}==1.{n} ; python_version < '3.{n}'" for n in range(20)]
    hashes = {pin: [f"    --hash=sha256:{shuffled.randrange(16**64):064x}" for _ in range(3)] for pin in pins}
    texts = set()
    for _ in range(5):
        shuffled.shuffle(pins)
        for pin in pins:
            shuffled.shuffle(hashes[pin])
        answer = "".join(" \\\n".join([pin, *hashes[pin]]) + "\n" for pin in pins)
        texts.add(LOCK["text"](PIPELINE, LOCK["blocks"](answer)))
    assert len(texts) == 1


@pytest.mark.parametrize(
    "line", ["a==1\n", "a>=1 \\\n    --hash=sha256:" + "0" * 64, "a @ file:///a", "a==1 \\\n    --hash=md5:0\n"]
)
def test_a_package_without_version_or_hash_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match="not pins with hashes"):
        LOCK["blocks"](line)


VERSIONS = {"alpha": ("1.0", "2.0"), "beta": ("1.0",)}
"""Packages of a small index. The project needs both."""
PROJECT = """\
[project]
name = "small"
version = "1"
requires-python = ">=3.11"
dependencies = ["alpha"]
[project.optional-dependencies]
pdf = ["beta"]
aws = []
train = []
"""


class QuietHandler(BaseHTTPRequestHandler):
    """Logs no requests."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server on the loopback, while the block runs."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def package_index(status: int = 200) -> Iterator[str]:
    """A package index on loopback that answers every request with this status. It has wheels' metadata alone (PEP 658)."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/").rpartition("/")[2]
            links = [
                f'<a href="/{name}-{version}-py3-none-any.whl#sha256={sha256(f"{name} {version}".encode()).hexdigest()}"'
                f' data-core-metadata="true">{name}-{version}-py3-none-any.whl</a>'
                for version in VERSIONS.get(name, ())
            ]
            metadata = "Metadata-Version: 2.1\nName: {}\nVersion: {}\n".format(*name.split("-")[:2]) if "-" in name else ""
            body = ("".join(links) or metadata).encode()
            self.send_response(status if body else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with served(Handler) as address:
        yield f"{address}/simple"


def lock(project: Path, index: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a project of its own, with this index alone."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    variables |= {"UV_DEFAULT_INDEX": index, "UV_CACHE_DIR": str(project / "cache"), "UV_NO_CONFIG": "1", "UV_HTTP_RETRIES": "0"}
    command = [sys.executable, str(project / "supply_chain" / "lock.py"), *words]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project whose hashes were written."""
    (tmp_path / "supply_chain").mkdir()
    shutil.copy(ROOT / "supply_chain" / "lock.py", tmp_path / "supply_chain")
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "constraints.txt").write_text("alpha==1.0\nbeta==1.0\n")
    (tmp_path / PIPELINE).write_text("")
    (tmp_path / TRAIN).write_text("")
    with package_index() as index:
        done = lock(tmp_path, index)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return tmp_path


def check_hashes(project: Path, status: int = 200) -> tuple[int, str]:
    """Exit code and line of the comparison; the files stay as they are, nothing else is printed."""
    before = {name: (project / name).read_bytes() for name in (PIPELINE, TRAIN) if (project / name).exists()}
    with package_index(status) as index:
        done = lock(project, index, "--check")
    assert {name: (project / name).read_bytes() for name in (PIPELINE, TRAIN) if (project / name).exists()} == before
    (line,) = done.stdout.splitlines()
    assert done.stderr == ""
    return done.returncode, line


def without(pin: str, text: str) -> str:
    """A requirements file without one package."""
    return re.sub(rf"{pin}==\S+( \\\n    --hash=\S+)+\n", "", text)


def test_hashes_that_the_index_has_pass(project: Path) -> None:
    assert check_hashes(project) == (0, "hashes: the package index has all 2 pinned files of 2 packages")


@pytest.mark.parametrize(
    ("file", "change", "line"),
    [
        (PIPELINE, lambda text: without("beta", text), "lack beta==1.0, which production needs; run `make lock`"),
        (PIPELINE, lambda text: without("alpha", without("beta", text)), "lack alpha==1.0 and 1 more, which production needs"),
        (PIPELINE, lambda text: "", "lack alpha==1.0 and 1 more, which production needs"),
        (PIPELINE, lambda text: text.replace("alpha==1.0", "alpha==2.0"), "lack alpha==1.0, which production needs"),
        (
            PIPELINE,
            lambda text: text + f"gamma==1.0 \\\n    --hash=sha256:{'1' * 64}\n",
            "gamma==1.0: the package index has no file",
        ),
        (
            PIPELINE,
            lambda text: re.sub("sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", text, count=1),
            "no file with 1 of its hashes",
        ),
        (PIPELINE, lambda text: text + "gamma\n", "nothing was compared: not pins with hashes: 'gamma'"),
        (PIPELINE, None, "nothing was compared: "),
        (
            "constraints.txt",
            lambda text: text.replace("beta==1.0", "beta==3.0"),
            "nothing was compared: error: No solution found",
        ),
        ("pyproject.toml", lambda text: text.replace('"alpha"', '"delta"'), "nothing was compared: error: No solution found"),
    ],
)
def test_a_missing_pin_or_another_hash_fails_in_one_line(
    project: Path, file: str, change: Callable[[str], str] | None, line: str
) -> None:
    path = project / file
    if change is None:
        path.unlink()
    else:
        path.write_text(change(path.read_text()))
    code, said = check_hashes(project)
    assert code == 1
    assert line in said


def test_files_without_a_pin_fail(project: Path) -> None:
    """Also where the project needs nothing: no comparison is not a success."""
    for name in (PIPELINE, TRAIN):
        (project / name).write_text("")
    (project / "pyproject.toml").write_text(PROJECT.replace('"alpha"', "").replace('"beta"', ""))
    assert check_hashes(project) == (
        1,
        f"hashes: {PIPELINE} and {TRAIN} hold no pins, so nothing was compared; run `make lock`",
    )


def test_an_index_that_cannot_be_reached_is_said_and_fails_nothing(project: Path) -> None:
    said = (0, "hashes: the package index cannot be reached, so the pinned hashes were not compared with it")
    assert check_hashes(project, 503) == said
    done = lock(project, "http://127.0.0.1:9/simple", "--check")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (*said, "")


@contextmanager
def advisories(vulnerable: str) -> Iterator[str]:
    """An advisory database on loopback that knows of one vulnerable package, by OSV's protocol."""

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
            package = {"ecosystem": "PyPI", "name": asked}
            ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999.0"}]}]
            affected = [{"package": package, "ranges": ranges, "versions": [constraints()[canonicalize_name(asked)]]}]
            known = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "summary": "bad", "affected": affected}
            body = json.dumps({"vulns": [known]} if canonicalize_name(asked) == vulnerable else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with served(Handler) as address:
        yield f"{address}/v1/query"


def audit(url: str, cache: Path) -> subprocess.CompletedProcess[str]:
    flags = ["--vulnerability-service", "osv", "--osv-url", url, "--cache-dir", str(cache)]
    return subprocess.run([sys.executable, str(ROOT / "supply_chain" / "audit.py"), *flags], capture_output=True, text=True)


def test_a_known_vulnerability_fails_with_its_fix(tmp_path: Path) -> None:
    with advisories("numpy") as url:
        done = audit(url, tmp_path)
    assert done.returncode == 1
    assert f"advisories: numpy {constraints()['numpy']}: PYSEC-2026-1, fixed in 999.0" in done.stdout
    assert "make lock" in done.stdout


def test_no_known_vulnerability_passes(tmp_path: Path) -> None:
    with advisories("no-such-package") as url:
        done = audit(url, tmp_path)
    assert (done.returncode, done.stdout) == (0, f"advisories: none is known of {len(constraints())} packages\n")


def test_a_database_that_cannot_be_reached_is_said_and_fails_nothing(tmp_path: Path) -> None:
    done = audit("http://127.0.0.1:9/v1/query", tmp_path)
    assert (done.returncode, done.stdout) == (0, "advisories: the database cannot be reached, so nothing was checked\n")


def test_reports_are_read() -> None:
    bad = {"name": "a", "version": "1", "vulns": [{"id": "X", "aliases": ["CVE-1"], "fix_versions": []}]}
    skipped: dict[str, Any] = {"name": "b", "skip_reason": "not found"}
    good = {"name": "c", "version": "1", "vulns": []}
    assert AUDIT["verdict"]({"dependencies": [bad, skipped, good]})[1] == 1
    assert AUDIT["verdict"]({"dependencies": [skipped, good]}) == (["none is known of 1 packages; 1 are not in the database"], 0)
    for nothing in (None, {"dependencies": []}, {"dependencies": [skipped]}):
        assert AUDIT["verdict"](nothing) == (["the database cannot be reached, so nothing was checked"], 0)
