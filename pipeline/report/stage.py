"""The stage `report`: the corpus, its training runs and their evaluations as one page, one JSON and a figure of the loss."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from pipeline.corpus.folder import DATA_STAGES, CorpusFolder
from pipeline.engine.parts import Part, PhaseFolder
from pipeline.engine.settings import setting
from pipeline.engine.stage import Call, Stage, StageResult
from pipeline.engine.writer import PartWriter
from pipeline.report import plots
from pipeline.report.gather import gather
from pipeline.report.loopback_server import PageServer
from pipeline.report.numbers import ReportNumbers
from pipeline.report.page_html import render
from pipeline.report.sites import read_webtext_domains
from pipeline.report.training import LOG, RESULTS, read_evaluation, read_run, read_sample
from pipeline.report.watch import live_page
from pipeline.storage.files import join
from pipeline.storage.manifest import Input, StageManifest, file_input

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """Flags of the stage."""

    report_title: str = setting("Corpus report", "heading of the report")
    webtext_domains: str | None = setting(
        None,
        "OpenAI's domains.txt, to compare the corpus's sites with WebText's",
        file=True,
        reads=read_webtext_domains,
        metavar="FILE",
    )
    run: tuple[str, ...] = setting((), "folders of training runs to show", recorded=False, reads=read_run, metavar="DIR")
    evaluation: tuple[str, ...] = setting(
        (), "folders of evaluations to show", recorded=False, reads=read_evaluation, metavar="DIR"
    )
    sample: tuple[str, ...] = setting(
        (), "text files to show, such as the output of `webtext-train sample`", recorded=False, reads=read_sample, metavar="FILE"
    )
    watch: int | None = setting(
        None, "serve the report on this port of 127.0.0.1 during a run; the page refreshes itself", metavar="PORT", recorded=False
    )

    def __post_init__(self) -> None:
        if self.watch is not None and not 0 <= self.watch < 1 << 16:
            raise ValueError(f"--watch {self.watch}: a port is a number from 0 to 65535")


@dataclass(frozen=True)
class WriteReport:
    """The work of the stage's only part."""

    folders: dict[str, str]
    settings: ReportSettings

    def __call__(self, _part: Part[Any], writer: PartWriter) -> None:
        """Publish the page, the numbers and, if there is a training log, the figure of its loss."""
        numbers = gather_numbers(self.settings, self.folders)
        writer.items_in = writer.items_out = len(numbers.stages)
        writer.publish("page", 1, _bytes(render(numbers).encode()), "report.html")
        writer.publish("numbers", 1, _bytes(numbers.to_json()), "report.json")
        runs = [run for run in numbers.runs if run.curves]
        if runs:
            entropy = numbers.tokens.entropy_to_beat if numbers.tokens else None
            writer.publish("picture", 1, _bytes(plots.draw_loss(runs, entropy, transparent=False)), "loss.svg")


def gather_numbers(settings: ReportSettings, folders: Mapping[str, str]) -> ReportNumbers:
    """The numbers that the settings ask for, of the finished stages among `folders`."""
    return gather(
        CorpusFolder.open(folders),
        title=settings.report_title,
        runs=settings.run,
        evaluations=settings.evaluation,
        webtext_domains=settings.webtext_domains,
        samples=settings.sample,
    )


def _bytes(data: bytes) -> Callable[[Any], object]:
    return lambda file: file.write(data)


def _work(call: Call[ReportSettings], phase: PhaseFolder) -> StageResult:
    return StageResult(call.engine.work(phase, [Part("report", None)], WriteReport(call.inputs, call.settings), light=True))


def _logs(settings: ReportSettings) -> dict[str, Input]:
    """Logs, results and samples as inputs: the report is rebuilt when they have changed."""
    runs = {f"run {folder}": file_input(join(folder, LOG)) for folder in settings.run}
    runs |= {f"sample {path}": file_input(path) for path in settings.sample}
    return runs | {f"evaluation {folder}": file_input(join(folder, RESULTS)) for folder in settings.evaluation}


@contextmanager
def serve_during(settings: ReportSettings, folders: Mapping[str, str]) -> Iterator[PageServer]:
    """Serve the report so far while the block runs. A browser that was looking gets the finished one, then the server ends."""
    with PageServer(settings.watch or 0, _page(settings, folders)) as served:
        logger.info("report: serving http://%s:%d/ until the run ends", *served.server_address[:2])
        thread = threading.Thread(target=served.serve_forever, name="report", daemon=True)
        thread.start()
        try:
            yield served
            served.finish()
        finally:
            served.shutdown()
            thread.join()


def _page(settings: ReportSettings, folders: Mapping[str, str]) -> Callable[[], str]:
    return lambda: live_page(folders, lambda: render(gather_numbers(settings, folders)))


class ReportStage(Stage[ReportSettings]):
    """A stage that reads all finished stages, at least one. It replaces an older report, which holds nothing of its own."""

    def run(self, call: Call[ReportSettings]) -> StageManifest:
        """Write the report; with --watch, first serve it until interrupted."""
        settings = call.settings
        if settings.watch is not None:
            self._serve(call, settings)
        inputs = dict(CorpusFolder.open(call.inputs).folders)
        return Stage.run(self, replace(call, inputs=inputs, engine=replace(call.engine, replace=True)))

    def _serve(self, call: Call[ReportSettings], settings: ReportSettings) -> None:
        with PageServer(settings.watch or 0, _page(settings, call.inputs)) as served:
            logger.info("report: serving http://%s:%d/ until Ctrl-C", *served.server_address[:2])
            served.serve_forever()


STAGE = ReportStage(
    name="report",
    settings=ReportSettings,
    inputs=DATA_STAGES,
    work=_work,
    unit="stages",
    files=_logs,
)
