"""The process beside a pipeline worker that forks extraction workers: `python -m pipeline.documents.forkserver FD`.

It imports the extractors once, so that a fresh worker costs a fork and no start. It is single-threaded and imports no Beam, which makes
forking safe. Over the socket FD it obeys one-byte orders: FORK comes with a socket for the new worker and is answered by its process id;
WAIT is answered by the exit status. When the other end is gone, so are the worker and this process.
"""

import ctypes
import gc
import logging
import os
import pickle
import resource
import signal
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from pipeline.documents.extract import extract
from pipeline.documents.language import identify
from pipeline.documents.rules import Rules, Trail
from pipeline.records import Document, Drop, RawPage

FORK: Final = b"f"
WAIT: Final = b"w"
NUMBER: Final = struct.Struct("<q")
LENGTH: Final = struct.Struct("<I")
PR_SET_PDEATHSIG: Final = 1
FIRST_TO_KILL: Final = "1000"


@dataclass(frozen=True)
class Limits:
    """What one page may take. CPU time decides, since it is nearly the same on a busy machine; of 809 real pages the slowest took 1.0 s."""

    cpu_seconds: float = 2.0
    wall_seconds: float = 5.0
    memory_bytes: int = 1 << 30
    pages: int = 2_000
    """After which the worker is replaced: what a C library leaks does not add up."""


DEFAULT_LIMITS: Final = Limits()


def send_message(peer: socket.socket, payload: bytes) -> None:
    """One framed message."""
    peer.sendall(LENGTH.pack(len(payload)))
    peer.sendall(payload)


def receive_message(peer: socket.socket) -> bytes | None:
    """The next framed message; None at the end of the stream, even in the middle of a message."""
    head = receive_exactly(peer, LENGTH.size)
    return None if head is None else receive_exactly(peer, LENGTH.unpack(head)[0])


def receive_exactly(peer: socket.socket, size: int) -> bytes | None:
    """`size` bytes, or None where the stream ends before."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        received = peer.recv_into(view)
        if not received:
            return None
        view = view[received:]
    return bytes(data)


def serve(control: socket.socket) -> None:
    """Obey orders until the other end is gone."""
    worker = 0
    while True:
        order, handles, _, _ = socket.recv_fds(control, 1, 1)
        if order == FORK:
            worker = _fork(control, handles[0])
            control.sendall(NUMBER.pack(worker))
        elif order == WAIT:
            control.sendall(NUMBER.pack(os.waitpid(worker, 0)[1]))
            worker = 0
        else:
            break
    if worker:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)


def _fork(control: socket.socket, handle: int) -> int:
    worker = os.fork()
    if worker:
        os.close(handle)
        return worker
    control.close()
    _die_with_parent()
    with socket.socket(fileno=handle) as peer:
        _work(peer)
    os._exit(0)


def _work(peer: socket.socket) -> None:
    """Answer pages until the other end closes."""
    rules, limits = pickle.loads(receive_message(peer) or b"")  # noqa: S301 (from the parent, never from a page)
    _limit(limits)
    while (request := receive_message(peer)) is not None:
        page: RawPage = pickle.loads(request)  # noqa: S301
        signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)
        try:
            answer = _answer(page, rules)
        except MemoryError:
            answer = b'{"memory":true}'
        signal.setitimer(signal.ITIMER_PROF, 0)
        send_message(peer, answer)


def _answer(page: RawPage, rules: Rules) -> bytes:
    """As JSON: what a page made of a hijacked worker must not be unpickled."""
    trail = Trail()
    result = extract(page, rules, trail)
    told = {"counts": trail.counts, "steps": trail.steps}
    if isinstance(result, Drop):
        return orjson.dumps({"reason": result.reason, "detail": result.detail, **told})
    return orjson.dumps({"document": _columns(result), **told})


def _columns(document: Document) -> dict[str, object]:
    return {
        "title": document.title,
        "domain": document.domain,
        "language": document.language,
        "language_confidence": document.language_confidence,
        "published": document.published,
        "text": document.text,
    }


def _limit(limits: Limits) -> None:
    """Memory by address space, CPU by the default action of SIGPROF, which also ends code that never returns to Python."""
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_KILL)


def main() -> None:
    """Warm up, then serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)
    identify("The model is loaded before the first fork.")
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        serve(control)


if __name__ == "__main__":
    main()
