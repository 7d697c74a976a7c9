"""Errors that commands report in one line, and the exit codes of a failing disk or network: all three packages share them."""

import errno

DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""The disk is full or fails. The user's input is not at fault, and the same command goes on once the disk has room or works again."""
DISK_FAILED = 74
"""Exit code of a command whose disk is full or fails: sysexits.h's EX_IOERR."""
UNFINISHED = 75
"""Exit code of a command that a signal stopped before its end and that the same command continues: sysexits.h's EX_TEMPFAIL."""


NETWORK_FAILED = 75
"""Exit code of a command that finds the network down: sysexits.h's EX_TEMPFAIL. The same command goes on once it is up again."""


LONGEST_LINE = 1500
"""Characters of an error's line. A file of others can hold a value of megabytes where a word should stand."""


def shortened(line: str) -> str:
    """A line of at most LONGEST_LINE characters: the middle of a longer one, which quotes some long value, is left out.

    >>> len(shortened("corpus: " + "a" * 5000 + "; give another corpus"))
    1500
    """
    if len(line) <= LONGEST_LINE:
        return line
    kept = (LONGEST_LINE - 3) // 2
    return f"{line[: LONGEST_LINE - 3 - kept]} … {line[-kept:]}"


class InputError(Exception):
    """What the user gave cannot be used; the message is one line that names it and says what to do next. Commands exit with 2."""

    def __init__(self, line: object = "") -> None:
        super().__init__(shortened(str(line)))


class OutageError(Exception):
    """The network is down; the message is one line that says what was seen and how to go on. Commands exit with 75."""


class FormatError(ValueError):
    """A tokenizer, shard or manifest is missing, damaged or of another format; the message names the file and what to do next."""

    def __init__(self, line: object = "") -> None:
        super().__init__(shortened(str(line)))


def path_fault(error: OSError) -> str:
    """What is wrong with a path that could not be opened or written, and the way out, for a line that begins with the path."""
    return _PATH_FAULTS.get(error.errno or 0, f"{error.strerror or error}; give another path")


_PATH_FAULTS = {
    errno.ENOENT: "no such file or folder; check the path",
    errno.EISDIR: "a folder; give a file",
    errno.ENOTDIR: "lies below a file, or is one; give a folder",
    errno.EEXIST: "exists and is no folder; give another path",
    errno.EACCES: "no permission; change its permissions, or give another path",
    errno.EPERM: "no permission; change its permissions, or give another path",
    errno.EROFS: "on a read-only file system; give another path",
    errno.ENAMETOOLONG: "the path is too long; give a shorter one",
    errno.ELOOP: "a symbolic link that leads back to itself; give another path",
}
