"""`python -m pipeline STAGE …`: logging, then dispatch."""

import logging
import sys
from collections.abc import Sequence

from pipeline.engine.allocator import choose_allocators
from pipeline.engine.interruption import stop_on_signals

NOISY = ("apache_beam", "root", "urllib3", "trafilatura", "py3langid", "matplotlib", "prawcore")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 2 bad usage or input, 74 disk full or failing (one line says what), 1 failed."""
    logging.basicConfig(format="%(message)s", level=logging.ERROR, stream=sys.stderr)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("pipeline").setLevel(logging.INFO)
    stop_on_signals("Run the same command to go on.")
    choose_allocators()
    from pipeline.cli.main import run  # Beam warns of what it lacks and makes threads while it is imported

    return run(sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
