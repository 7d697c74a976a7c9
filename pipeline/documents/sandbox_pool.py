"""The sandboxes of this process: parts share them, and pages go through several of them at once."""

import atexit
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Final, TypeVar

from pipeline.documents.limits import SandboxLimits
from pipeline.documents.rules import ExtractionRules
from pipeline.documents.sandbox import Sandbox
from pipeline.documents.sandbox_protocol import Extraction
from pipeline.records import Drop, RawPage

PAGES_AHEAD: Final = 32
"""Pages per sandbox that are extracted while an earlier page takes long; their extractions wait in memory."""

T = TypeVar("T")

_idle: dict[tuple[ExtractionRules, SandboxLimits], list[Sandbox]] = {}
_idle_lock = threading.Lock()


def extract_in_order(
    sandboxes: Sequence[Sandbox], pages: Iterable[T], read: Callable[[T], RawPage | Drop]
) -> Iterator[Extraction]:
    """The extraction of each page, in the pages' order; a free sandbox takes the next page. Threads call `read`.

    A page that `read` drops needs no sandbox.
    """
    free: SimpleQueue[Sandbox] = SimpleQueue()
    for sandbox in sandboxes:
        free.put(sandbox)

    def extract(page: T) -> Extraction:
        sandbox = free.get()
        try:
            raw_page = read(page)
            return Extraction(raw_page) if isinstance(raw_page, Drop) else sandbox.extract(raw_page)
        finally:
            free.put(sandbox)

    waiting: deque[Future[Extraction]] = deque()
    threads = ThreadPoolExecutor(len(sandboxes), thread_name_prefix="sandbox")
    try:
        for page in pages:
            waiting.append(threads.submit(extract, page))
            if len(waiting) == PAGES_AHEAD * len(sandboxes):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)


@contextmanager
def borrow(rules: ExtractionRules, limits: SandboxLimits, number: int = 1) -> Iterator[list[Sandbox]]:
    """Sandboxes of this process's pool, started once for all parts. They go back to it at the end; after an error they are closed."""
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
    """Close the pool's sandboxes."""
    with _idle_lock:
        for idle in _idle.values():
            while idle:
                idle.pop().close()
