"""`python -m pipeline STAGE …`: logging, then dispatch."""

import logging
import sys
from collections.abc import Sequence

NOISY = ("apache_beam", "root", "urllib3", "trafilatura", "py3langid", "matplotlib", "prawcore")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 2 bad usage or input (one line says what), 1 failed."""
    logging.basicConfig(format="%(message)s", level=logging.ERROR, stream=sys.stderr)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("pipeline").setLevel(logging.INFO)
    from pipeline.commands import run  # Beam warns of what it lacks while it is imported: logging comes first

    return run(sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
