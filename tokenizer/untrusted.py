"""Guards for folders that others may have made: names stay inside their folder, files are regular and of bounded size.

Every name that is read from a file passes `inner_name`, every file of a foreign folder `check_file` or `read_file`.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

MAX_JSON_BYTES = 24 << 20
"""Largest JSON file that is read, 24 MiB: a manifest of about 100,000 files. Decoding it takes less than 200 MB of memory."""
BYTES_PER_JSON_VALUE = 32
"""A file may hold one JSON value per so many bytes of its limit. Smaller values than ours take ten times their text in memory."""
LONGEST_NAME_BYTES = 1024

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def inner_name(name: str) -> str:
    """The name itself, if its file lies in the folder that names it.

    Raises ValueError for absolute names, addresses of other file systems, names with `..`, and names that a terminal cannot show.

    >>> inner_name("drops/drops-00000.parquet")
    'drops/drops-00000.parquet'
    """
    parts = name.split("/")
    if "" in parts or "." in parts or ".." in parts or "\\" in name:
        raise ValueError(f"the file name {name[:LONGEST_NAME_BYTES]!r} leads out of its folder")
    if not name.isprintable() or len(name.encode()) > LONGEST_NAME_BYTES:
        raise ValueError(f"the file name {name[:LONGEST_NAME_BYTES]!r} is not one that this program writes")
    return name


def plain_name(name: str) -> str:
    """The name itself, if its file lies right in the folder that names it, not below. Raises ValueError like `inner_name`."""
    if "/" in inner_name(name):
        raise ValueError(f"the file name {name!r} leads into another folder")
    return name


def check_file(folder: str | Path, name: str) -> os.stat_result | None:
    """Size and times of the file `name` of a local folder, None if it is missing. Reads nothing.

    Raises ValueError for what is not a regular file, such as a FIFO or a device, and for a link that leads out of the folder.
    """
    path = f"{folder}/{name}"  # a manifest names many files: a Path for each would take most of the time
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode) or _has_link(path, name):
            check_link(folder, path)
            found = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        with suppress(FileNotFoundError, NotADirectoryError):
            if _has_link(path, name):
                check_link(folder, path)  # a file missing in a folder elsewhere: whoever opens it there asks that place
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise ValueError("it is a link that leads to itself") from error
    _check_regular(found.st_mode)
    return found


def check_link(folder: str | Path, path: str | Path) -> None:
    """Raise ValueError if links on the way from a folder to a path below it lead elsewhere.

    Hugging Face's cache may keep the content: there, a file of `snapshots/REVISION` is a link into `blobs` beside `snapshots`.
    """
    root, target = Path(folder).resolve(), real_path(path)
    roots = [root, root.parents[1] / "blobs"] if root.parent.name == "snapshots" else [root]
    if not any(target.is_relative_to(each) for each in roots):
        raise ValueError(f"it is a link to {str(target)!r}, outside its folder; put the file itself there")


def real_path(path: str | Path) -> Path:
    """A path without links and `..`. Raises ValueError for links that lead to each other."""
    try:
        return Path(path).resolve()
    except (RuntimeError, OSError) as error:  # by Python's version
        raise ValueError("it is a link that leads to itself") from error


def read_file(path: str | Path, most_bytes: int = MAX_JSON_BYTES) -> bytes:
    """The bytes of a local regular file.

    Raises ValueError for any other kind of file, for one of more than `most_bytes`, and for one with more JSON values than fit.
    """
    try:
        _check_regular(Path(path).stat().st_mode)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise ValueError("it is a link that leads to itself") from error
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO put there meanwhile must not block
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        _check_regular(found.st_mode)
        check_size(found.st_size, most_bytes)
        data = file.read(most_bytes)
    check_values(data, most_bytes)
    return data


def check_size(size: int, most_bytes: int = MAX_JSON_BYTES) -> None:
    """Raise ValueError for a file of more than `most_bytes`."""
    if size > most_bytes:
        raise ValueError(f"it has {size:,} bytes; at most {most_bytes:,} are read")


def check_values(data: bytes, most_bytes: int = MAX_JSON_BYTES) -> None:
    """Raise ValueError for a JSON text with more values than a file of `most_bytes` may hold: it would swell in memory.

    >>> check_values(b"[" + b"1," * 100 + b"1]", most_bytes=1024)
    Traceback (most recent call last):
    ValueError: it holds about 101 JSON values; at most 32 are read
    """
    values, most = sum(map(data.count, (b",", b"[", b"{"))), most_bytes // BYTES_PER_JSON_VALUE
    if values > most:
        raise ValueError(f"it holds about {values:,} JSON values; at most {most:,} are read")


def _has_link(path: str, name: str) -> bool:
    """Whether a folder on the way to a file is a link; the last part of `path` is `name`, and only its folders are looked at."""
    return any(stat.S_ISLNK(os.lstat(path[: -len(name) + at]).st_mode) for at, letter in enumerate(name) if letter == "/")


def _check_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise ValueError(f"it is {next((name for is_kind, name in _KINDS if is_kind(mode)), 'something else')}, not a file")
