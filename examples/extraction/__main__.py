"""Write docs/before-after.md: `python -m examples.extraction`."""

from pathlib import Path

from examples.extraction.pairs import write

write(Path("docs/before-after.md"))
