"""A limit on the rate of requests that all threads and processes of a machine share, through files with locks.

The limit holds at the server: of any requests, the one after N others is sent a window after the first of those was answered, so
no window of that length sees more than N requests, however late a request arrives. N requests a window make the rate; a rate of one
or less is one request at a time.
"""

import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_SECONDS = 0.01
MAX_PAUSE_SECONDS = 3_600.0
_SLOT = struct.Struct("<d?")
"""When the slot is free (seconds of the monotonic clock), and whether a request is under way."""


class RateLimit:
    """At most `per_second` requests in a second, over all that use the same local folder. Raises ValueError for 0 or less."""

    def __init__(self, folder: str, per_second: float) -> None:
        if per_second <= 0:
            raise ValueError(f"{per_second:g} requests per second: must be more than 0")
        self.slots = max(1, int(per_second))
        self.window_seconds = self.slots / per_second
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._pause = self._folder / "pause"

    @contextmanager
    def request(self) -> Iterator[None]:
        """Wait for a turn; make the request, to its complete response, inside the block."""
        slot = self._take()
        try:
            yield
        finally:
            os.pwrite(slot, _SLOT.pack(time.monotonic() + self.window_seconds, False), 0)
            os.close(slot)

    def pause(self, seconds: float) -> None:
        """Let nobody begin a request for some seconds: the server asked for it."""
        until = time.monotonic() + min(seconds, MAX_PAUSE_SECONDS)
        if until > self._paused_until():
            aside = self._folder / f"pause.{os.getpid()}"
            aside.write_bytes(struct.pack("<d", until))
            aside.replace(self._pause)

    def _take(self) -> int:
        """A locked slot whose time has come: its descriptor."""
        while True:
            for path in sorted((self._folder / f"slot-{i}" for i in range(self.slots)), key=_free_at):
                slot = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
                try:
                    fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(slot)
                    continue
                self._wait(slot)
                return slot
            time.sleep(POLL_SECONDS)

    def _wait(self, slot: int) -> None:
        now = time.monotonic()
        data = os.pread(slot, _SLOT.size, 0)
        free_at, under_way = _SLOT.unpack(data) if len(data) == _SLOT.size else (now, False)
        if under_way or free_at > now + self.window_seconds:  # its process was killed, or the machine has restarted
            free_at = now + self.window_seconds
        while (wait := max(free_at, self._paused_until()) - time.monotonic()) > 0:
            time.sleep(wait)
        os.pwrite(slot, _SLOT.pack(time.monotonic() + self.window_seconds, True), 0)

    def _paused_until(self) -> float:
        try:
            (until,) = struct.unpack("<d", self._pause.read_bytes())
        except (FileNotFoundError, struct.error):
            return 0.0
        return float(until) if until <= time.monotonic() + MAX_PAUSE_SECONDS else 0.0


def _free_at(path: Path) -> float:
    try:
        return float(_SLOT.unpack(path.read_bytes())[0])
    except (FileNotFoundError, struct.error):
        return 0.0
