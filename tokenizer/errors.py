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


class InputError(Exception):
    """What the user gave cannot be used; the message is one line that names it and says what to do next. Commands exit with 2."""


class OutageError(Exception):
    """The network is down; the message is one line that says what was seen and how to go on. Commands exit with 75."""


class FormatError(ValueError):
    """A tokenizer, shard or manifest is missing, damaged or of another format; the message names the file and what to do next."""
