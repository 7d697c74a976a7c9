"""What a production installation installs is pinned by version and hash, in step with constraints.txt; advisories are asked for."""

import json
import random
import re
import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def advisories(vulnerable: str) -> Iterator[str]:
    """An advisory database on loopback that knows of one vulnerable package, by OSV's protocol."""

    class Handler(BaseHTTPRequestHandler):
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

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        finally:
            server.shutdown()
            thread.join()


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
