"""A crawl of one part, for a process of its own that a test may kill. It stands here since child processes import it by name."""

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.engine.execute import run_part
from pipeline.engine.parts import Part, PhaseFolder
from pipeline.pages import journal
from pipeline.pages.fetch import FetchPart
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share

KEY = "00000-of-00001"


def place_in(folder: str) -> PhaseFolder:
    return PhaseFolder.first("pages", folder, {}, {})


def crawl_part(folder: str, links: str, settings: PagesSettings, piece_seconds: float = journal.PIECE_SECONDS) -> None:
    FileSystems.set_options(PipelineOptions([]))  # an engine does so in its workers
    journal.PIECE_SECONDS = piece_seconds
    run_part(place_in(folder), FetchPart(settings), Part(KEY, Share((links,))))
