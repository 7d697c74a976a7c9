"""A crawl of one part, for a child process that a test may kill. It is a module because child processes import it by name."""

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.engine.execute import run_part
from pipeline.engine.parts import Part, PhaseFolder
from pipeline.pages import journal
from pipeline.pages.fetch import FetchPart
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share

KEY = "00000-of-00001"


def phase_in(folder: str) -> PhaseFolder:
    return PhaseFolder.first("pages", folder, {}, {})


def crawl_part(folder: str, links: str, settings: PagesSettings, piece_seconds: float = journal.PIECE_SECONDS) -> None:
    FileSystems.set_options(PipelineOptions([]))  # as an engine does in its workers
    journal.PIECE_SECONDS = piece_seconds
    run_part(phase_in(folder), FetchPart(settings), Part(KEY, Share((links,))))
