"""Crawls for a child process that a test may kill. It is a module because child processes import it by name."""

from dataclasses import replace

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.engine.execute import run_part
from pipeline.engine.parts import Part, PhaseFolder
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.pages import journal
from pipeline.pages.fetch import FetchPart
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share
from pipeline.pages.stage import STAGE

KEY = "00000-of-00001"


def phase_in(folder: str) -> PhaseFolder:
    return PhaseFolder.first("pages", folder, {}, {})


def crawl_part(folder: str, links: str, settings: PagesSettings, piece_seconds: float = journal.PIECE_SECONDS) -> None:
    FileSystems.set_options(PipelineOptions([]))  # as an engine does in its workers
    journal.PIECE_SECONDS = piece_seconds
    run_part(phase_in(folder), FetchPart(settings), Part(KEY, Share((links,))))


def retry_failed(links: str, folder: str, settings: PagesSettings) -> None:
    """Ask the links of a finished folder again whose failure may pass."""
    STAGE.run(Call({"links": links}, folder, replace(settings, retry_failed=True), Engine(workers=1)))
