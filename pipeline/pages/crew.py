"""The threads of a crawl: one that waits for a host that stalls is stood in for by another thread."""

import threading
import time
from collections.abc import Callable

STALL_SECONDS = 1.0
"""A turn that takes longer stalls."""

MIN_STALLED = 32


class Crew:
    """Runs `work` in threads until it returns in all of them. `work` makes each of its turns inside `with crew:`, and returns
    where `retire` says so.

    A thread whose turn stalls does not count as one of the `threads`: at most twice as many, or MIN_STALLED, may stall at once.
    Turns take no lock: locks that all threads take for each page cost as much as the rest of a page's bookkeeping.
    """

    def __init__(self, work: Callable[[], None], threads: int) -> None:
        self._work = work
        self._threads = threads
        self._most_stalled = max(MIN_STALLED, 2 * threads)
        self._changed = threading.Condition()
        self._turns: dict[int, float] = {}
        self._stalled: set[int] = set()
        self._retired: set[int] = set()
        self._alive = 0
        self._started = 0

    def run(self) -> None:
        """Start the threads, watch their turns, and return when all have ended."""
        with self._changed:
            for _ in range(self._threads):
                self._start()
            while self._alive:
                self._changed.wait(STALL_SECONDS / 4)
                self._stand_in()

    def __enter__(self) -> None:
        """Begin a turn of the calling thread."""
        self._turns[threading.get_ident()] = time.monotonic()

    def __exit__(self, *_: object) -> None:
        """End the turn."""
        thread = threading.get_ident()
        del self._turns[thread]
        if self._stalled:
            with self._changed:
                self._stalled.discard(thread)

    def retire(self) -> bool:
        """Whether the calling thread, between two turns, has to end, since another one stands in for it."""
        if self._is_small_enough():
            return False
        with self._changed:
            if self._is_small_enough():
                return False
            self._alive -= 1
            self._retired.add(threading.get_ident())
            return True

    def _is_small_enough(self) -> bool:
        return self._alive - len(self._stalled) <= self._threads

    def _start(self) -> None:
        self._alive += 1
        self._started += 1
        threading.Thread(target=self._live, name=f"fetch-{self._started}", daemon=True).start()

    def _live(self) -> None:
        try:
            self._work()
        finally:
            with self._changed:
                self._stalled.discard(threading.get_ident())
                if threading.get_ident() in self._retired:
                    self._retired.remove(threading.get_ident())
                else:
                    self._alive -= 1
                self._changed.notify()

    def _stand_in(self) -> None:
        """Start a thread for each turn that has begun to stall."""
        now = time.monotonic()
        for thread, began in list(self._turns.items()):
            if now - began < STALL_SECONDS or len(self._stalled) >= self._most_stalled:
                return  # turns are in the order of their beginnings
            if thread not in self._stalled:
                self._stalled.add(thread)
                self._start()
