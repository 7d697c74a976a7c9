"""`pipeline report`: the corpus, its training runs and their evaluation as one page, one JSON and the picture of the loss."""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any

from pipeline.files import join
from pipeline.manifest import Input, Manifest, file_input
from pipeline.parts import Part, PartWriter, Place, run_part
from pipeline.report import plots
from pipeline.report.corpus import Corpus
from pipeline.report.gather import gather
from pipeline.report.page import render
from pipeline.report.training import LOG, RESULTS
from pipeline.settings import setting
from pipeline.stage import Call, Outcome, Stage


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """What the report shows besides the corpus."""

    report_title: str = setting("Corpus report", "heading of the report")
    webtext_domains: str | None = setting(
        None, "OpenAI's domains.txt, to set the corpus' sites beside WebText's", file=True, metavar="FILE"
    )
    run: tuple[str, ...] = setting((), "training runs' folders to show", metavar="DIR", recorded=False)
    evaluation: tuple[str, ...] = setting((), "evaluations' folders to show", metavar="DIR", recorded=False)


@dataclass(frozen=True)
class WriteReport:
    """The work: one part, in this process."""

    folders: dict[str, str]
    settings: ReportSettings

    def __call__(self, _part: Part, writer: PartWriter) -> None:
        """Publish page, numbers and, where a run has been logged, the picture of its loss."""
        corpus = Corpus.open(self.folders)
        settings = self.settings
        numbers = gather(
            corpus,
            title=settings.report_title,
            runs=settings.run,
            evaluations=settings.evaluation,
            webtext_domains=settings.webtext_domains,
        )
        writer.items_in = writer.items_out = len(corpus.manifests)
        writer.publish("page", 1, _bytes(render(numbers).encode()), "report.html")
        writer.publish("numbers", 1, _bytes(numbers.to_json()), "report.json")
        runs = [run for run in numbers.runs if run.curves]
        if runs:
            entropy = numbers.tokens.entropy_to_beat if numbers.tokens else None
            writer.publish("picture", 1, _bytes(plots.standalone(plots.draw_loss(runs, entropy)).encode()), "loss.svg")


def _bytes(data: bytes) -> Callable[[Any], object]:
    return lambda file: file.write(data)


def _work(call: Call, place: Place) -> Outcome:
    return Outcome([run_part(place, WriteReport(call.inputs, call.settings), Part("report", None))])


def _logs(settings: ReportSettings) -> dict[str, Input]:
    """The runs' logs and the evaluations' results count as inputs: the report is made anew when they have grown."""
    runs = {f"run {folder}": file_input(join(folder, LOG)) for folder in settings.run}
    return runs | {f"evaluation {folder}": file_input(join(folder, RESULTS)) for folder in settings.evaluation}


class ReportStage(Stage):
    """A report is cheap and holds nothing that is not elsewhere: one of other settings or inputs is replaced without asking."""

    def run(self, call: Call) -> Manifest:
        """As every stage."""
        return Stage.run(self, changed(call, engine=changed(call.engine, replace=True)))


STAGE = ReportStage(
    name="report",
    text="the corpus, its training runs and evaluation as one HTML page",
    settings=ReportSettings,
    inputs=("links", "pages", "documents", "dedup", "vocabulary", "tokens"),
    work=_work,
    unit="stages",
    out="stages reported",
    files=_logs,
)
