"""A lock for an output folder: two runs that write into one folder would destroy each other's files.

The operating system holds the lock (`flock`), so it ends with its process however that ends, and NFS passes it on to the server.
The lock's file names the holder for the message. A file that a killed process left behind locks nothing.
"""

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tokenizer.errors import InputError

LOCK = ".lock"
MAX_BYTES = 1_000
UNSUPPORTED = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF})
"""Errors of file systems without locks. EBADF: NFS locks no file that is open for reading alone."""


@contextmanager
def folder_lock(folder: str | Path) -> Iterator[None]:
    """Hold the lock of a local folder, which is made if need be. Raises InputError, which names the holder, if it is taken.

    A folder that cannot be written gets no lock: the first file written there reports why. Folders that were made for a block
    that raises and writes nothing are removed again.
    """
    path = Path(folder, LOCK)
    made = [parent for parent in path.parents if not parent.exists()]
    descriptor = _lock(path)
    try:
        yield
    except BaseException:
        if made:
            with suppress(OSError):  # something was written there
                path.unlink(missing_ok=True)
                for parent in made:
                    parent.rmdir()
        raise
    finally:
        if descriptor is not None:
            path.unlink(missing_ok=True)  # before the lock ends: afterwards the file may be another run's
            os.close(descriptor)


def _lock(path: Path) -> int | None:
    while True:
        descriptor = _open(path)
        if descriptor is None:
            return None
        try:
            if not _take(descriptor, path):
                os.close(descriptor)
                continue
            _write_holder(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def _open(path: Path) -> int | None:
    """Descriptor of the lock's file, or None where none can be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):  # a link, a folder, a socket
            raise InputError(f"{path}: is no file, so it cannot lock the folder; remove it") from error
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)  # another user's lock
    except OSError:
        return None


def _take(descriptor: int, path: Path) -> bool:
    """Lock the file; False if the run before has removed it meanwhile. Raises InputError if another process holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise InputError(f"{path.parent}: {_describe(descriptor)} works in this folder; wait for its end") from error
        if error.errno not in UNSUPPORTED:
            raise
        _check_holder(descriptor, path)
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _check_holder(descriptor: int, path: Path) -> None:
    """Where the file system has no locks: raise InputError unless the holder that the file names has ended on this host."""
    holder = _holder(descriptor)
    if holder is None:
        return
    host, process = holder
    if host == socket.gethostname() and not _runs(process):
        return
    raise InputError(f"{path.parent}: {_describe(descriptor)} works in this folder; if it has ended, remove {path}")


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def _holder(descriptor: int) -> tuple[str, int] | None:
    """Host and process id in a lock's file; None for an empty file or another content."""
    try:
        body = json.loads(os.pread(descriptor, MAX_BYTES, 0))
        host, process = body["host"], body["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    valid = isinstance(host, str) and host.isprintable() and type(process) is int and process > 0
    return (host, process) if valid else None


def _describe(descriptor: int) -> str:
    holder = _holder(descriptor)
    return f"process {holder[1]} on host {holder[0]}" if holder else "another process"


def _write_holder(descriptor: int) -> None:
    """Name this process in the file. A file that cannot be written, such as another user's, names an earlier one."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode(), 0)


def lock_holder(folder: str | Path) -> str | None:
    """Who holds the lock of a folder, in words; None if nobody does. Takes no lock beyond the call."""
    try:
        descriptor = os.open(Path(folder, LOCK), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return _describe(descriptor) if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    finally:
        os.close(descriptor)
    return None
