"""Extraction in a worker process that may die: CPU time, wall time and memory are limited; a worker that dies or is old is replaced.

A page that exceeds a limit becomes a drop with the limit as its reason. It is tried once, so on an idle machine no page takes longer than
the wall deadline. The exception is a failure that the page may not have caused: the deadline passed while the worker waited for a CPU, or
something outside killed the worker. Such a page is tried once more in a fresh worker with a longer deadline, so that drops do not depend
on the machine's other work.
"""

import os
import pickle
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pipeline.documents.drops import STAGE_NAME, ExtractDrop
from pipeline.documents.limits import DEFAULT_LIMITS, SandboxLimits
from pipeline.documents.rules import DEFAULT_RULES, ExtractionRules
from pipeline.documents.sandbox_protocol import (
    FORK,
    NUMBER,
    OUT_OF_MEMORY,
    WAIT,
    Extraction,
    decode,
    receive_exactly,
    receive_message,
    send_message,
)
from pipeline.records import Drop, RawPage

START_SECONDS: Final = 300.0
RETRY_PATIENCE: Final = 4
"""The second attempt's wall deadline, as a multiple of the first's."""


@dataclass(frozen=True, slots=True)
class _Death:
    """How a worker ended. `retry` where the page may not be the cause."""

    reason: ExtractDrop
    detail: str
    retry: bool


class Sandbox:
    """One worker and the forkserver that forks it; both start with the first page. For one thread at a time.

    With `accounts`, each extraction has the page's account.

    >>> with Sandbox() as sandbox:
    ...     sandbox.extract(RawPage("http://example.org/", b"<p>Short.")).result.reason
    <ExtractDrop.TOO_SHORT: 'too_short'>
    """

    def __init__(
        self, rules: ExtractionRules = DEFAULT_RULES, limits: SandboxLimits = DEFAULT_LIMITS, *, accounts: bool = False
    ) -> None:
        self.rules = rules
        self.limits = limits
        self.accounts = accounts
        self._forkserver: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._peer: socket.socket | None = None
        self.worker = 0
        self._pages = 0

    def extract(self, page: RawPage) -> Extraction:
        """The page's document or drop, within the limits."""
        extraction = self._attempt(page, self.limits.wall_seconds)
        if isinstance(extraction, _Death) and extraction.retry:
            extraction = self._attempt(page, RETRY_PATIENCE * self.limits.wall_seconds)
        if isinstance(extraction, _Death):
            return Extraction(Drop(STAGE_NAME, page.url, extraction.reason, extraction.detail))
        return extraction

    def close(self) -> None:
        """End the worker and the forkserver."""
        if self._peer is not None:
            self._peer.close()
        if self._control is not None:
            self._control.close()
        if self._forkserver is not None:
            self._forkserver.wait()
        self._peer = self._control = self._forkserver = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _attempt(self, page: RawPage, wall_seconds: float) -> Extraction | _Death:
        peer = self._ready_peer()
        try:
            peer.settimeout(wall_seconds)
            send_message(peer, pickle.dumps(page, protocol=5))
            payload = receive_message(peer)
        except TimeoutError:
            runnable = _is_runnable(self.worker)
            self._end_worker(signal.SIGKILL)
            return _Death(ExtractDrop.WALL_TIME, f"more than {wall_seconds:g} s", retry=runnable)
        except (BrokenPipeError, ConnectionResetError):
            payload = None
        if payload is None:
            return self._cause_of_death(self._end_worker())
        if payload == OUT_OF_MEMORY:
            self._end_worker(signal.SIGKILL)
            return _Death(ExtractDrop.MEMORY, f"more than {self.limits.memory_bytes} bytes", retry=False)
        self._pages += 1
        return decode(payload, page)

    def _ready_peer(self) -> socket.socket:
        """The socket of a worker that has pages left; starts what is missing."""
        if self._peer is not None and self._pages >= self.limits.pages:
            self._end_worker(signal.SIGKILL)
        if self._peer is None:
            if self._forkserver is None or self._forkserver.poll() is not None:
                self.close()
                self._start_forkserver()
            self._fork_worker()
        assert self._peer is not None
        return self._peer

    def _start_forkserver(self) -> None:
        ours, theirs = _blocking_pair()
        command = [sys.executable, "-m", "pipeline.documents.forkserver", str(theirs.fileno())]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OPENBLAS_NUM_THREADS": "1"}
        with theirs:
            self._forkserver = subprocess.Popen(  # noqa: S603 (our own module by our own interpreter)
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=environment
            )
        ours.settimeout(START_SECONDS)
        self._control = ours

    def _fork_worker(self) -> None:
        assert self._control is not None
        ours, theirs = _blocking_pair()
        with theirs:
            socket.send_fds(self._control, [FORK], [theirs.fileno()])
            self.worker = self._receive_number()
        self._peer = ours
        self._pages = 0
        send_message(ours, pickle.dumps((self.rules, self.limits, self.accounts)))

    def _end_worker(self, by: signal.Signals | None = None) -> int:
        """Send the worker a signal, unless it is dead already, and give its wait status."""
        assert self._control is not None
        assert self._peer is not None
        if by is not None:
            os.kill(self.worker, by)
        self._peer.close()
        self._peer = None
        self._control.sendall(WAIT)
        return self._receive_number()

    def _receive_number(self) -> int:
        assert self._control is not None
        data = receive_exactly(self._control, NUMBER.size)
        if data is None:
            raise RuntimeError("the process that forks extraction workers ended; its own error message is printed above")
        return int(NUMBER.unpack(data)[0])

    def _cause_of_death(self, status: int) -> _Death:
        if not os.WIFSIGNALED(status):
            return _Death(ExtractDrop.CRASHED, f"exit code {os.waitstatus_to_exitcode(status)}", retry=False)
        by = signal.Signals(os.WTERMSIG(status))
        if by == signal.SIGPROF:
            return _Death(ExtractDrop.CPU_TIME, f"more than {self.limits.cpu_seconds:g} s", retry=False)
        return _Death(ExtractDrop.CRASHED, by.name, retry=by in (signal.SIGKILL, signal.SIGTERM))


def _blocking_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets that block, also where a default time-out is set: Beam sets one when it asks for Google's credentials.

    A socket with a time-out is handed on as one that does not block.
    """
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(True)
    return pair


def _is_runnable(worker: int) -> bool:
    """Whether a worker at its deadline wants a CPU. It has CPU time left, or that limit had ended it, so other processes had its CPU."""
    try:
        stat = Path(f"/proc/{worker}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "R"
