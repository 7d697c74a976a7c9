"""Extraction in a worker process that may die: bounded in CPU time, wall time and memory, replaced when it is killed or old.

A page that exceeds its bounds becomes a drop with its reason; it is not tried again, so on an idle machine none takes longer than the wall
deadline. The one exception is what the page has not caused (the deadline found the worker waiting for a CPU, a kill from outside): that
page is tried once more in a fresh worker, with more patience, so that what is dropped does not depend on what else the machine does.
"""

import os
import pickle
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final, Self

import orjson

from pipeline.documents.extract import document_id
from pipeline.documents.forkserver import (
    DEFAULT_LIMITS,
    FORK,
    NUMBER,
    WAIT,
    Limits,
    receive_exactly,
    receive_message,
    send_message,
)
from pipeline.documents.rules import DEFAULT_RULES, STAGE_NAME, Reason, Rules
from pipeline.records import Document, Drop, RawPage

START_SECONDS: Final = 120.0
PATIENCE: Final = 4
"""How many times the wall deadline the second attempt has."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a page, its part of the counters, and what each step did to it."""

    result: Document | Drop
    counts: dict[str, int] = field(default_factory=dict)
    steps: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Death:
    """How a worker ended. `outside` where the page may not be to blame."""

    reason: Reason
    detail: str
    outside: bool


class Sandbox:
    """One worker and the nursery that forks it. Not for use by two threads at once."""

    def __init__(self, rules: Rules = DEFAULT_RULES, limits: Limits = DEFAULT_LIMITS) -> None:
        self.rules = rules
        self.limits = limits
        self._nursery: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._peer: socket.socket | None = None
        self.worker = 0
        self._pages = 0

    def extract(self, page: RawPage) -> Answer:
        """The page's document or drop, within the limits."""
        answer = self._attempt(page, self.limits.wall_seconds)
        if isinstance(answer, _Death) and answer.outside:
            answer = self._attempt(page, PATIENCE * self.limits.wall_seconds)
        if isinstance(answer, _Death):
            return Answer(Drop(STAGE_NAME, page.url, answer.reason, answer.detail))
        return answer

    def close(self) -> None:
        """End worker and nursery."""
        if self._peer is not None:
            self._peer.close()
        if self._control is not None:
            self._control.close()
        if self._nursery is not None:
            self._nursery.wait()
        self._peer = self._control = self._nursery = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _attempt(self, page: RawPage, wall_seconds: float) -> Answer | _Death:
        peer = self._ready()
        try:
            peer.settimeout(wall_seconds)
            send_message(peer, pickle.dumps(page, protocol=5))
            payload = receive_message(peer)
        except TimeoutError:
            busy = _is_runnable(self.worker)
            self._end(signal.SIGKILL)
            return _Death(Reason.WALL_TIME, f"more than {wall_seconds:g} s", outside=busy)
        except (BrokenPipeError, ConnectionResetError):
            payload = None
        if payload is None:
            return self._post_mortem(self._end())
        answer = orjson.loads(payload)
        if "memory" in answer:
            self._end(signal.SIGKILL)
            return _Death(Reason.MEMORY, f"more than {self.limits.memory_bytes} bytes", outside=False)
        self._pages += 1
        return _answer_of(page, answer)

    def _ready(self) -> socket.socket:
        """The socket of a worker that has pages left."""
        if self._peer is not None and self._pages >= self.limits.pages:
            self._end(signal.SIGKILL)
        if self._peer is None:
            if self._nursery is None or self._nursery.poll() is not None:
                self.close()
                self._start()
            self._fork()
        assert self._peer is not None
        return self._peer

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "pipeline.documents.forkserver", str(theirs.fileno())]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OPENBLAS_NUM_THREADS": "1"}
        with theirs:
            self._nursery = subprocess.Popen(  # noqa: S603 (our own module by our own interpreter)
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=environment
            )
        ours.settimeout(START_SECONDS)
        self._control = ours

    def _fork(self) -> None:
        assert self._control is not None
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [FORK], [theirs.fileno()])
            self.worker = self._number()
        self._peer = ours
        self._pages = 0
        send_message(ours, pickle.dumps((self.rules, self.limits)))

    def _end(self, by: signal.Signals | None = None) -> int:
        """End the worker, by a signal or as it is dead already; its wait status."""
        assert self._control is not None
        assert self._peer is not None
        if by is not None:
            os.kill(self.worker, by)
        self._peer.close()
        self._peer = None
        self._control.sendall(WAIT)
        return self._number()

    def _number(self) -> int:
        assert self._control is not None
        data = receive_exactly(self._control, NUMBER.size)
        if data is None:
            raise RuntimeError("the process that forks extraction workers ended; its own error stands above")
        return int(NUMBER.unpack(data)[0])

    def _post_mortem(self, status: int) -> _Death:
        if not os.WIFSIGNALED(status):
            return _Death(Reason.CRASHED, f"exit code {os.waitstatus_to_exitcode(status)}", outside=False)
        by = signal.Signals(os.WTERMSIG(status))
        if by == signal.SIGPROF:
            return _Death(Reason.CPU_TIME, f"more than {self.limits.cpu_seconds:g} s", outside=False)
        return _Death(Reason.CRASHED, by.name, outside=by in (signal.SIGKILL, signal.SIGTERM))


def _is_runnable(worker: int) -> bool:
    """Whether a worker at its deadline would go on: it has CPU time left, or that limit had ended it, so others had its CPU."""
    try:
        stat = Path(f"/proc/{worker}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "R"


def _answer_of(page: RawPage, answer: dict[str, Any]) -> Answer:
    return Answer(_result_of(page, answer), answer["counts"], tuple((step, did) for step, did in answer["steps"]))


def _result_of(page: RawPage, answer: dict[str, Any]) -> Document | Drop:
    if "reason" in answer:
        return Drop(STAGE_NAME, page.url, Reason(answer["reason"]), answer["detail"])
    found = answer["document"]
    published = found.pop("published")
    return Document(
        document_id=document_id(found["text"]),
        url=page.url,
        dedup_key=page.dedup_key,
        karma=page.karma,
        submitted_at=page.submitted_at,
        published=date.fromisoformat(published) if published else None,
        **found,
    )
