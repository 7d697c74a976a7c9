"""WARC files of the stage replayed by pywb, which is not a dependency.

It is taken from the PATH; with WEBTEXT_FULL=1 it is installed into its own environment, as the benchmarks' peers are.
"""

import gzip
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import requests
from servers.replay import ReplayServer, Reply
from servers.stage_runs import link, links_folder, run

from benchmarks import peers
from pipeline.engine.runner import Engine

PAGE = b"<!doctype html><title>Replayed</title><p>Words of a page, with \xc3\xa9."
WEB: dict[str, bytes | Reply | None] = {
    "https://one.example/a?b=c": PAGE,
    "http://two.example/old": Reply(status=301, headers=(("Location", "https://two.example/new"),)),
    "https://two.example/new": Reply(gzip.compress(PAGE + b" New."), headers=(("Content-Encoding", "gzip"),)),
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def pywb() -> Path:
    """The folder with pywb's programs."""
    if os.environ.get("WEBTEXT_FULL"):
        return peers.python("pywb", "pywb").parent
    if program := shutil.which("wayback"):
        return Path(program).parent
    pytest.skip("pywb is not on the PATH: WEBTEXT_FULL=1 installs it")


@pytest.mark.slow
def test_pywb_replays_stored_pages(tmp_path: Path, engine: Engine, pywb: Path) -> None:
    links = links_folder(tmp_path / "links", [link("https://one.example/a?b=c"), link("http://two.example/old")])
    with ReplayServer(WEB) as web:
        run(links, tmp_path / "pages", engine, proxy=web.proxy_url, ca_bundle=web.ca_bundle)
    archive = tmp_path / "pages" / "pages-00000-of-00001.warc.gz"
    for command in (["init", "c"], ["add", "c", str(archive)]):
        subprocess.run([pywb / "wb-manager", *command], cwd=tmp_path, check=True, capture_output=True)
    port = free_port()
    command = [pywb / "wayback", "-b", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as wayback:
        try:
            base = f"http://127.0.0.1:{port}/c/20260131120000id_"
            first = replayed(f"{base}/https://one.example/a?b=c")
            assert (first.status_code, first.content) == (200, PAGE)
            moved = requests.get(f"{base}/http://two.example/old", allow_redirects=False, timeout=30)
            assert moved.status_code == 301
            assert moved.headers["Location"].endswith("https://two.example/new")
            assert replayed(f"{base}/https://two.example/new").content == PAGE + b" New."
            assert replayed(f"{base}/https://never.example/").status_code == 404
        finally:
            wayback.terminate()


def replayed(url: str) -> requests.Response:
    """The response, once pywb has started."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return requests.get(url, timeout=30)
        except requests.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
