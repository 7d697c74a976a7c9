"""Entry point of `webtext tokenizer`: train, evaluate, decode, export, import, verify."""

import sys
from collections.abc import Sequence

from tokenizer.interruption import ends_on_interrupt
from tokenizer.terminal import guarded_streams


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 2 bad usage or input (with one line on stderr), 130 interrupted."""
    with ends_on_interrupt("interrupted: run the same command again"):
        from tokenizer.cli import run  # late: its libraries take a moment to import, and Ctrl-C must work meanwhile

        with guarded_streams():
            return run(argv)


if __name__ == "__main__":
    sys.exit(main())
