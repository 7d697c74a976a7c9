"""Strangers beside a run: a port scanner that speaks to whatever listens, and a worker that nobody has asked for."""

import os
import pickle
import pwd
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from listeners import listeners_of, processes, sockets

GREETINGS = (
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(160)),
    b"\xff" * 4096,
    bytes(64),
    pickle.dumps({"worker": "worker_1"}),
    b"",
)
"""A browser, a gRPC client, a TLS client, noise, zeros, a pickle, a connection without a word."""
SERVICES = {
    "Control": "BeamFnControl/Control", "Data": "BeamFnData/Data", "State": "BeamFnState/State",
    "Logging": "BeamFnLogging/Logging", "Provision": "ProvisionService/GetProvisionInfo",
    "Artifact": "ArtifactRetrievalService/GetArtifact",
}  # fmt: skip
"""The methods of Beam's servers for workers."""
STRANGE_LINE = "A stranger was here."


S = TypeVar("S", bound="Scanner")


class Scanner:
    """Connects once with each greeting to every port that a process and its descendants listen on; keeps the connections open."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._open: list[socket.socket] = []

    def visit(self, process: int) -> None:
        """Visit the ports that are new."""
        for address in listeners_of(process) - self.seen:
            self.seen.add(address)
            port = int(address.rpartition(":")[2], 16)
            for greeting in GREETINGS:
                with suppress(OSError):
                    self._speak(port, greeting)

    def _speak(self, port: int, greeting: bytes) -> None:
        stranger = socket.create_connection(("127.0.0.1", port), timeout=0.2)
        stranger.settimeout(0.05)
        self._open.append(stranger)
        stranger.sendall(greeting)
        with suppress(TimeoutError):
            stranger.recv(1)

    def close(self) -> None:
        """Hang up."""
        for stranger in self._open:
            stranger.close()


class Intruder(Scanner):
    """A scanner that speaks to Unix sockets too, as the same user, and there plays worker_1: it asks for work, and sends a log line.

    `answers` are the status codes of its calls, by method; `received` is what the servers sent it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.doors: set[Path] = set()
        self.answers: dict[str, set[str]] = {name: set() for name in SERVICES}
        self.received: list[bytes] = []

    def visit(self, process: int) -> None:
        """Visit the ports and the sockets that are new."""
        super().visit(process)
        for path in set(doors(process)) - self.doors:
            self.doors.add(path)
            self._play_worker(path)
            for greeting in GREETINGS:
                with suppress(OSError):
                    self._knock(path, greeting)

    def _knock(self, path: Path, greeting: bytes) -> None:
        stranger = socket.socket(socket.AF_UNIX)
        stranger.settimeout(0.05)
        self._open.append(stranger)
        stranger.connect(str(path))
        stranger.sendall(greeting)
        with suppress(TimeoutError):
            stranger.recv(1)

    def _play_worker(self, path: Path) -> None:
        import grpc
        from apache_beam.portability.api import beam_fn_api_pb2 as api

        entry = api.LogEntry(message=STRANGE_LINE, severity=api.LogEntry.Severity.CRITICAL)
        message = api.LogEntry.List(log_entries=[entry]).SerializeToString()
        with grpc.insecure_channel(f"unix:{path}") as channel:
            for name, method in SERVICES.items():
                call = channel.stream_stream(f"/org.apache.beam.model.{_package(name)}.v1.{method}")
                said = [message] if name == "Logging" else [b""]
                try:
                    self.received += call(iter(said), timeout=5, metadata=[("worker_id", "worker_1")])
                    self.answers[name].add("OK")
                except grpc.RpcError as error:
                    self.answers[name].add(error.code().name)


def _package(service: str) -> str:
    return "job_management" if service == "Artifact" else "fn_execution"


@contextmanager
def scanner(kind: type[S] = Scanner) -> Iterator[S]:  # type: ignore[assignment]
    """A scanner, which hangs up at the end."""
    scanning = kind()
    try:
        yield scanning
    finally:
        scanning.close()


def beside(command: list[str], environment: Mapping[str, str], stranger: Scanner) -> subprocess.CompletedProcess[str]:
    """Run a program to its end while the stranger visits it over and over."""
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        while True:
            stranger.visit(run.pid)
            try:
                output = run.communicate(timeout=0.02)[0]
            except subprocess.TimeoutExpired:
                continue
            return subprocess.CompletedProcess(command, run.returncode, output, "")


def knock(path: Path, user: str) -> int:
    """Answer to a process of another user that connects to a Unix socket: the error's number, 0 where it is let in.

    A fork, since that user may not be allowed to start this Python.
    """
    number = pwd.getpwnam(user).pw_uid
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(number)
            os.setuid(number)
            with socket.socket(socket.AF_UNIX) as door:
                os._exit(door.connect_ex(str(path)))
        finally:
            os._exit(255)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def doors(process: int) -> list[Path]:
    """The Unix sockets on which a process and its descendants accept connections, in folders of ours."""
    inodes = set().union(*(sockets(each) for each in processes(process)))
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    paths = [row[7] for row in rows if row[3] == "00010000" and row[6] in inodes and len(row) > 7]
    return [Path(path) for path in paths if "/webtext-" in path]


def pause(number: int, folder: str) -> int:
    """Called in a worker: say through a FIFO that the run is under way, and wait for a word through another."""
    with Path(folder, "here").open("w") as here:
        here.write(f"{number}\n")
    Path(folder, f"go-{number}").read_text()
    return number


def run_with_two_workers(folder: str) -> None:
    """A run whose two bundles pause."""
    import apache_beam as beam

    from pipeline.engine.runner import Engine

    numbers = beam.Create(range(2)) | beam.Reshuffle()
    Engine(workers=2).run(lambda pipeline: pipeline | numbers | beam.Map(pause, folder), 2)


def run_stages(web: str, corpus: str) -> None:
    """A month's stages on two worker processes, in several parts each."""
    from small_web import every_stage, write_month

    import pipeline.documents.page_ranges as page_ranges
    import pipeline.pages.stage as pages
    from pipeline.engine.runner import Engine

    pages.LINKS_PER_PART, page_ranges.MIN_PAGES_PER_RANGE = 10, 4
    every_stage(corpus, write_month(Path(web), 20), Engine(workers=2))
