"""`webtext COMMAND …`: set up logging and signals, then run the command."""

import logging
import sys
from collections.abc import Sequence

from pipeline.engine.allocator import choose_allocators
from pipeline.engine.interruption import stop_on_signals
from tokenizer.terminal import guarded_streams, log_lines

NOISY = ("apache_beam", "root", "urllib3", "trafilatura", "py3langid", "matplotlib", "prawcore")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 2 bad usage or input, 74 disk full or failing, 1 failed, 130 interrupted."""
    with guarded_streams():
        return _run(sys.argv[1:] if argv is None else argv)


def _run(argv: Sequence[str]) -> int:
    log_lines(logging.ERROR, dated=not sys.stderr.isatty())
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("pipeline").setLevel(logging.INFO)
    stop_on_signals("Run the same command to go on.")
    choose_allocators()
    from pipeline.cli.main import run  # late: importing Beam logs warnings and starts threads

    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
