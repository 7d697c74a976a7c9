"""A fork that is watched: what it opens, whom it asks, how much memory it takes, and whether it ends."""

import ctypes
import os
import resource
import select
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizer.errors import FormatError, InputError

IN_OPEN, IN_NONBLOCK = 0x20, 0o4000
MOST_SECONDS = 20
"""Of processor time, so that a busy machine decides nothing."""
MOST_WAITING_SECONDS = 600
"""A call that waits for ever ends after these."""
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind", "urllib.Request")
_PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")


@dataclass(frozen=True)
class Ending:
    """How a watched call ended: `said` is the line of its InputError, None if it gave a result. `faults` are what it must not do."""

    said: str | None
    faults: tuple[str, ...]
    megabytes: float


class Watch:
    """Watches forks of this process. They may open files below `allowed`; nobody may open what lies in `outside`."""

    def __init__(self, allowed: list[Path], outside: Path) -> None:
        self._allowed = tuple(os.path.realpath(path) for path in allowed)
        self._seen: list[str] | None = None
        sys.addaudithook(self._hear)
        self._c = ctypes.CDLL(None, use_errno=True)
        self._inotify = self._c.inotify_init1(IN_NONBLOCK)
        for path in (outside, *outside.rglob("*")):
            assert self._c.inotify_add_watch(self._inotify, os.fsencode(path), IN_OPEN) >= 0

    def run(self, call: Callable[[], Any], within: Path) -> Ending:
        """Call it in a fork. A refusal must be one line that names a path below `within`."""
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            self._in_fork(call, within, writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            told = pipe.read().decode("utf-8", "replace")
        status = os.waitpid(child, 0)[1]
        said, _, rest = told.partition("\0")
        megabytes, _, faults = rest.partition("\0")
        found = [fault for fault in faults.split("\0") if fault]
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            hung = {"SIGALRM": f"hung for {MOST_WAITING_SECONDS} s", "SIGXCPU": f"took {MOST_SECONDS} s of processor time"}
            found.append(hung.get(name, f"ended by {name}"))
        elif os.WEXITSTATUS(status):
            found.append(f"exit code {os.WEXITSTATUS(status)}")
        if self._opened():
            found.append("opened a file outside (inotify)")
        return Ending(
            said.removeprefix("refused: ") if said.startswith("refused: ") else None, tuple(found), float(megabytes or 0)
        )

    def _in_fork(self, call: Callable[[], Any], within: Path, writing: int) -> None:
        signal.alarm(MOST_WAITING_SECONDS)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS + 5))
        before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        faults: list[str] = []
        said = "used"
        self._seen = []
        try:
            call()
        except (InputError, FormatError) as error:
            said = f"refused: {error}"
            if "\n" in str(error) or len(str(error)) > 2000 or str(within) not in str(error):
                faults.append(f"not one line that names the file: {str(error)[:300]!r}")
        except BaseException:  # noqa: BLE001 (a fork must not return)
            faults.append(traceback.format_exc()[-1500:])
        faults += self._seen
        self._seen = None
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / 1e6
        os.write(writing, "\0".join([said[:3000], str(grown), *faults]).encode("utf-8", "replace")[:60_000])
        os._exit(0)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._seen is None:
            return
        if event in _NETWORK or event in _PROCESSES:
            self._seen.append(f"{event} {arguments!r:.200}")
        elif event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            self._check(os.fsdecode(arguments[0]))

    def _check(self, path: str) -> None:
        watching, self._seen = self._seen, None  # looking up a path may open files itself
        real = os.path.realpath(path)
        if watching is not None and not real.startswith(self._allowed):
            watching.append(f"opened {path!r:.200}, which is {real!r:.200}")
        self._seen = watching

    def _opened(self) -> bool:
        ready = select.select([self._inotify], [], [], 0)[0]
        return bool(ready and os.read(self._inotify, 1 << 16))
