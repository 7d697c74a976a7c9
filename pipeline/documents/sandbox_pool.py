"""The sandboxes of this process: kept from part to part, and pages through several of them at once."""

import atexit
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Final, TypeVar

from pipeline.documents.forkserver import Limits
from pipeline.documents.rules import Rules
from pipeline.documents.sandbox import Answer, Sandbox
from pipeline.records import RawPage

PAGES_AHEAD: Final = 32
"""Pages a sandbox may be ahead of one that takes long; their answers wait in memory."""

T = TypeVar("T")

_idle: dict[tuple[Rules, Limits], list[Sandbox]] = {}
_idle_lock = threading.Lock()


def answers(sandboxes: Sequence[Sandbox], pages: Iterable[T], read: Callable[[T], RawPage]) -> Iterator[Answer]:
    """What came of each page, in the pages' order; whichever sandbox is free takes the next page. `read` is called in threads."""
    free: SimpleQueue[Sandbox] = SimpleQueue()
    for sandbox in sandboxes:
        free.put(sandbox)

    def answer(page: T) -> Answer:
        sandbox = free.get()
        try:
            return sandbox.extract(read(page))
        finally:
            free.put(sandbox)

    waiting: deque[Future[Answer]] = deque()
    threads = ThreadPoolExecutor(len(sandboxes), thread_name_prefix="sandbox")
    try:
        for page in pages:
            waiting.append(threads.submit(answer, page))
            if len(waiting) == PAGES_AHEAD * len(sandboxes):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)


@contextmanager
def borrowed(rules: Rules, limits: Limits, number: int = 1) -> Iterator[list[Sandbox]]:
    """Sandboxes of this process's own store, so that it starts them once for all its parts."""
    with _idle_lock:
        idle = _idle.setdefault((rules, limits), [])
        sandboxes = [idle.pop() if idle else Sandbox(rules, limits) for _ in range(number)]
    try:
        yield sandboxes
    except BaseException:
        for sandbox in sandboxes:
            sandbox.close()
        raise
    with _idle_lock:
        idle += sandboxes


@atexit.register
def close_idle() -> None:
    """End the store's processes."""
    with _idle_lock:
        for idle in _idle.values():
            while idle:
                idle.pop().close()
