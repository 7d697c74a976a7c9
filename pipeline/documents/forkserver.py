"""The process beside a pipeline worker that forks extraction workers: `python -m pipeline.documents.forkserver FD`.

It imports the extractors once, so that a fresh worker costs a fork and no start. It has one thread and imports no Beam, which makes forking
safe. It takes the orders of `sandbox_protocol` over the socket FD. When the other end closes, the worker and this process end.
"""

import ctypes
import gc
import logging
import os
import pickle
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Final

from pipeline.documents.account import PageAccount
from pipeline.documents.blocks.compilation import warm_up
from pipeline.documents.extract import extract
from pipeline.documents.language import identify
from pipeline.documents.limits import SandboxLimits
from pipeline.documents.rules import ExtractionRules
from pipeline.documents.sandbox_protocol import FORK, NUMBER, OUT_OF_MEMORY, WAIT, encode, receive_message, send_message
from pipeline.documents.trail import Trail
from pipeline.records import RawPage

PR_SET_PDEATHSIG: Final = 1
FIRST_TO_KILL: Final = "1000"
"""The highest oom_score_adj: where the machine runs out of memory, the kernel ends a worker before anything else."""


def serve(control: socket.socket) -> None:
    """Obey orders until the other end closes."""
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
    """Extract pages until the other end closes."""
    rules, limits, accounts = pickle.loads(receive_message(peer) or b"")  # noqa: S301 (from the parent, never from a page)
    _limit(limits)
    while (request := receive_message(peer)) is not None:
        page: RawPage = pickle.loads(request)  # noqa: S301
        signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)
        try:
            answer = _extract(page, rules, PageAccount() if accounts else None)
        except MemoryError:
            answer = OUT_OF_MEMORY
        signal.setitimer(signal.ITIMER_PROF, 0)
        send_message(peer, answer)


def _extract(page: RawPage, rules: ExtractionRules, account: PageAccount | None) -> bytes:
    trail = Trail(account=account)
    result = extract(page, rules, trail)
    return encode(result, trail)


def _limit(limits: SandboxLimits) -> None:
    """Limit memory by address space, and CPU time by SIGPROF's default action, which also ends code that never returns to Python."""
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_KILL)


def main() -> None:
    """Load the language model and the compiled code, then serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)
    identify("The model is loaded before the first fork.")
    warm_up()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        serve(control)


if __name__ == "__main__":
    main()
