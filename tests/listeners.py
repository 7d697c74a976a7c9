"""What a process and all its descendants listen on, from Linux's /proc."""

from collections.abc import Iterator
from pathlib import Path

LISTEN = "0A"
LOOPBACK = ("0100007F:", "00000000000000000000000001000000:", "0000000000000000FFFF00000100007F:")
"""127.0.0.1, ::1 and 127.0.0.1 within IPv6, as /proc spells them."""


def processes(process: int) -> Iterator[int]:
    """A process and all its descendants."""
    yield process
    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
        children = [child for thread in threads for child in (thread / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return
    for child in children:
        yield from processes(int(child))


def sockets(process: int) -> set[str]:
    """Inodes of the sockets that a process has open."""
    found = set()
    try:
        for descriptor in Path(f"/proc/{process}/fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except (FileNotFoundError, ProcessLookupError):  # the file is closed, or the process has ended
        pass
    return found


def listeners(inodes: set[str]) -> list[str]:
    """Local addresses, in hexadecimal, of the TCP sockets among `inodes` that listen."""
    rows = [line.split() for kind in ("tcp", "tcp6") for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[3] == LISTEN and row[9] in inodes]


def listeners_of(process: int) -> set[str]:
    """Addresses on which a process and its descendants listen."""
    return set(listeners(set().union(*(sockets(each) for each in processes(process)))))


def beyond_loopback(addresses: set[str]) -> set[str]:
    """Those of the addresses that another machine can reach."""
    return {address for address in addresses if not address.startswith(LOOPBACK)}
