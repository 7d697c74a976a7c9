"""A crawl of one part, for a process of its own that a test may kill. It stands here since child processes import it by name."""

from pathlib import Path

from pipeline.fetch import FetchPart, PagesSettings, Share
from pipeline.parts import Part, Place, run_part

KEY = "00000-of-00001"


def place_in(folder: Path) -> Place:
    return Place.of("pages", str(folder), {}, {})


def crawl_part(folder: str, links: str, settings: PagesSettings) -> None:
    run_part(place_in(Path(folder)), FetchPart(settings), Part(KEY, Share((links,))))
