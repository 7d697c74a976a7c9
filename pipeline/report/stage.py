"""`pipeline report`: the corpus, its training runs and their evaluation as one page, one JSON and the picture of the loss."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any

from pipeline.corpus.folder import DATA_STAGES, Corpus
from pipeline.engine.parts import Part, PhaseFolder
from pipeline.engine.settings import setting
from pipeline.engine.stage import Call, Stage, StageResult
from pipeline.engine.writer import PartWriter
from pipeline.report import plots
from pipeline.report.gather import gather
from pipeline.report.numbers import Numbers
from pipeline.report.page_html import render
from pipeline.report.training import LOG, RESULTS
from pipeline.report.watch import server, watched_page
from pipeline.storage.files import join
from pipeline.storage.manifest import Input, StageManifest, file_input

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """What the report shows besides the corpus."""

    report_title: str = setting("Corpus report", "heading of the report")
    webtext_domains: str | None = setting(
        None, "OpenAI's domains.txt, to set the corpus' sites beside WebText's", file=True, metavar="FILE"
    )
    run: tuple[str, ...] = setting((), "training runs' folders to show", metavar="DIR", recorded=False)
    evaluation: tuple[str, ...] = setting((), "evaluations' folders to show", metavar="DIR", recorded=False)
    watch: int | None = setting(
        None, "serve the report at this port of 127.0.0.1, refreshing, while a run goes on", metavar="PORT", recorded=False
    )

    def __post_init__(self) -> None:
        if self.watch is not None and not 0 <= self.watch < 1 << 16:
            raise ValueError(f"--watch {self.watch}: a port is a number from 0 to 65535")


@dataclass(frozen=True)
class WriteReport:
    """The work: one part, in this process."""

    folders: dict[str, str]
    settings: ReportSettings

    def __call__(self, _part: Part[Any], writer: PartWriter) -> None:
        """Publish page, numbers and, where a run has been logged, the picture of its loss."""
        numbers = gather_by(self.settings, self.folders)
        writer.items_in = writer.items_out = len(numbers.stages)
        writer.publish("page", 1, _bytes(render(numbers).encode()), "report.html")
        writer.publish("numbers", 1, _bytes(numbers.to_json()), "report.json")
        runs = [run for run in numbers.runs if run.curves]
        if runs:
            entropy = numbers.tokens.entropy_to_beat if numbers.tokens else None
            writer.publish("picture", 1, _bytes(plots.standalone(plots.draw_loss(runs, entropy)).encode()), "loss.svg")


def gather_by(settings: ReportSettings, folders: Mapping[str, str]) -> Numbers:
    """The numbers that the settings ask for, of the stages among `folders` that have finished."""
    return gather(
        Corpus.open(folders),
        title=settings.report_title,
        runs=settings.run,
        evaluations=settings.evaluation,
        webtext_domains=settings.webtext_domains,
    )


def _bytes(data: bytes) -> Callable[[Any], object]:
    return lambda file: file.write(data)


def _work(call: Call[ReportSettings], place: PhaseFolder) -> StageResult:
    return StageResult(call.engine.work(place, [Part("report", None)], WriteReport(call.inputs, call.settings), light=True))


def _logs(settings: ReportSettings) -> dict[str, Input]:
    """The runs' logs and the evaluations' results count as inputs: the report is made anew when they have grown."""
    runs = {f"run {folder}": file_input(join(folder, LOG)) for folder in settings.run}
    return runs | {f"evaluation {folder}": file_input(join(folder, RESULTS)) for folder in settings.evaluation}


class ReportStage(Stage[ReportSettings]):
    """Reports the stages that have finished, one at least. It holds nothing that is not elsewhere, so an older report is replaced."""

    def run(self, call: Call[ReportSettings]) -> StageManifest:
        """As every stage; with --watch, first serve the page until interrupted."""
        settings = call.settings
        if settings.watch is not None:
            self._serve(call, settings)
        inputs = dict(Corpus.open(call.inputs).folders)
        return Stage.run(self, changed(call, inputs=inputs, engine=changed(call.engine, replace=True)))

    def _serve(self, call: Call[ReportSettings], settings: ReportSettings) -> None:
        def page() -> str:
            return watched_page(call.inputs, lambda: render(gather_by(settings, call.inputs)))

        with server(settings.watch or 0, page) as served:
            logger.info("report: at http://%s:%d/ until Ctrl-C", *served.server_address[:2])
            served.serve_forever()


STAGE = ReportStage(
    name="report",
    text="the corpus, its training runs and evaluation as one HTML page",
    settings=ReportSettings,
    inputs=DATA_STAGES,
    work=_work,
    unit="stages",
    files=_logs,
)
