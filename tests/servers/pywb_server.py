"""pywb on the loopback, as the archive whose CDX server, replay and TimeGate are asked."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from archive_tools import archive_tools


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def pywb_server(folder: Path, warcs: list[Path]) -> Iterator[str]:
    """The address of a server with one collection, `c`, of these WARC files."""
    tools = archive_tools()
    folder.mkdir(parents=True, exist_ok=True)
    for command in (["init", "c"], ["add", "c", *map(str, warcs)]):
        subprocess.run([tools / "wb-manager", *command], cwd=folder, check=True, capture_output=True)
    port = free_port()
    command = [tools / "wayback", "-b", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/", server)
            yield f"http://127.0.0.1:{port}/c/"
        finally:
            server.terminate()


def wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        try:
            requests.get(url, timeout=10)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{url}: pywb did not start")
