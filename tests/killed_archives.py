"""Run `pages` over a chain of archives, killed at another moment each time: `killed_archives.py FOLDER KILLS`.

A server process plays both archives. Each run is a fork of this process, which has started no thread; the fork kills itself at its
n-th write, rename, journal entry or answer of an archive. The next run goes on where it stopped; the last one's files are compared
with those of a run that nobody disturbed.
"""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from servers.archives_of_two import serve_two
from servers.crawl_archive import MadeCrawl, Shot, write_cdxj
from servers.stage_runs import contents, link, links_folder, run

from pipeline.archives.service import ArchiveService
from pipeline.engine.runner import Engine
from pipeline.pages.journal import Journal
from pipeline.storage import files

AT = datetime(2015, 9, 1, tzinfo=UTC)
LINKS = 14


def killing(function: Callable[..., Any], calls: list[int], last: int) -> Callable[..., Any]:
    """The function, which kills this process at call number `last`: before its work where `last` is odd, after it where it is even."""

    def call(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == last and last % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **options)
        if calls[0] == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return call


def run_fork(folder: Path, last: int, given: dict[str, Any], links: str) -> tuple[int, int]:
    """Run the stage in a fork that is killed at call number `last` (0: never): its status, and the number of calls it made."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        calls = [0]
        files.HashingWriter.write = killing(files.HashingWriter.write, calls, last)  # type: ignore[method-assign]
        files._rename = killing(files._rename, calls, last)
        Journal.append = killing(Journal.append, calls, last)  # type: ignore[method-assign]
        ArchiveService.get = killing(ArchiveService.get, calls, last)  # type: ignore[method-assign]
        run(links, folder, Engine(), **given)
        os.write(write, str(calls[0]).encode())
        os._exit(0)
    os.close(write)
    status = os.waitpid(child, 0)[1]
    counted = os.read(read, 100)
    os.close(read)
    return status, int(counted or 0)


def main() -> None:
    """Print the number of runs that were killed, all of which ended in the undisturbed run's bytes."""
    parent, kills = Path(sys.argv[1]), int(sys.argv[2])
    shots = [Shot(f"http://a.example/{n}", AT + timedelta(days=n)) for n in range(LINKS // 2)]
    shots += [Shot("http://a.example/7", AT, status=302, location="/0")]
    made = MadeCrawl("CC-MAIN-2015-35", shots, per_file=3).write(parent / "archive")
    index = write_cdxj(parent / "index", [made])
    links = links_folder(parent / "links", [link(f"http://a.example/{n}", at=AT) for n in range(LINKS)])
    with serve_two(parent / "archive", AT) as (crawl, wayback, cdx):
        given = {"source": ("commoncrawl", "wayback"), "archive_index": tuple(index), "commoncrawl": crawl, "wayback": wayback}
        given |= {"wayback_cdx": cdx, "allow_addresses": ("127.0.0.0/8",), "commoncrawl_rate": 500.0, "wayback_rate": 500.0}
        status, calls = run_fork(parent / "undisturbed", 0, given, links)
        if status or not calls:
            sys.exit(f"the undisturbed run ended with {status}")
        undisturbed = contents(parent / "undisturbed")
        undisturbed.pop(".lock", None)
        killed = 0
        for number in itertools.count():
            folder = parent / f"killed-{number}"
            for moment in (1 + (7 * killed + 3 * number) % calls, 1 + (5 * killed + number) % (calls // 2)):
                status, _ = run_fork(folder, moment, given, links)
                killed += status == signal.SIGKILL
                if status not in (0, signal.SIGKILL):
                    sys.exit(f"{folder}: killed at {moment}, ended with {status}")
            status, _ = run_fork(folder, 0, given, links)
            finals = contents(folder)
            finals.pop(".lock", None)  # a killed run leaves it behind
            if status or finals != undisturbed:
                other = sorted(name for name in finals.keys() | undisturbed if finals.get(name) != undisturbed.get(name))
                sys.exit(f"{folder}: ended with {status}, other bytes than undisturbed in {other}")
            if killed >= kills:
                break
    print(killed)


if __name__ == "__main__":
    main()
