"""`python -m tokenizer`: train, evaluate, decode, convert, verify. Exits with 2 and a line on what the user must mend; 130 interrupted."""

import sys
from collections.abc import Sequence

from tokenizer.interruption import ends_on_interrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 2 bad usage or input, 130 interrupted."""
    with ends_on_interrupt("interrupted: run the same command again"):
        from tokenizer.cli import run  # libraries that take a moment

        return run(argv)


if __name__ == "__main__":
    sys.exit(main())
