"""Report of results beside the paper's figures: a Markdown table and a self-contained HTML page."""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tokenizer.labels import html as escaped
from tokenizer.labels import markdown as plain
from trainer.evals.results import Result
from trainer.evals.suite import CheckpointEvaluation
from trainer.paper import ROWS, SIZES, PaperRow

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --line: #d4d7dc; --ours: #eef4ff; --ink: #1c1e21; --faint: #666c75; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181c; --line: #393e46; --ours: #1d2a40; --ink: #e4e6ea; --faint: #9aa1ac; }
  .curves img { filter: invert(.92) hue-rotate(180deg); }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); }
td.n, th.n { text-align: right; white-space: nowrap; }
td.ours { background: var(--ours); font-weight: 600; }
td.how { min-width: 16rem; }
.faint { color: var(--faint); font-size: 13px; }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem; }
.curves img { width: 100%; height: auto; }
"""


PAPER = ("before GPT-2", *(f"GPT-2 {size.name}" for size in SIZES))
"""Columns of the paper: the best result before GPT-2, and the four sizes."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of the table: a figure per checkpoint and per column of PAPER, empty if there is none."""

    name: str
    metric: str
    ours: tuple[str, ...]
    paper: tuple[str, ...]
    reading: str


def table_rows(evaluations: Sequence[CheckpointEvaluation]) -> Iterator[TableRow]:
    """Yield a table row per result, in the order of the tasks, with the figures of the paper's row if the result names one."""
    for task in dict.fromkeys(record.task for evaluation in evaluations for record in evaluation.records):
        results_per_checkpoint = [_results(evaluation, task) for evaluation in evaluations]
        longest: tuple[Result, ...] = max(results_per_checkpoint, key=len)
        for index, result in enumerate(longest):
            row = ROWS.get(result.row or "")
            ours = tuple(_value(results[index]) if index < len(results) else "" for results in results_per_checkpoint)
            yield TableRow(row.name if row else task, result.metric, ours, _figures(row), _reading(result))


def markdown(evaluations: Sequence[CheckpointEvaluation], pictures: Sequence[str] = ()) -> str:
    """Return the report in Markdown. `pictures` are paths of image files."""
    head = ["task", "metric", *_names(evaluations), *PAPER, "how"]
    table = [head, ["---", "---", *["--:"] * (len(evaluations) + len(PAPER)), "---"]]
    table += [[line.name, line.metric, *line.ours, *line.paper, line.reading] for line in table_rows(evaluations)]
    body = "\n".join("| " + " | ".join(row if number == 1 else map(plain, row)) + " |" for number, row in enumerate(table))
    about = "\n\n".join(plain(_about(evaluation)) for evaluation in evaluations)
    images = "".join(f"\n\n![]({picture})" for picture in pictures)
    notes = "".join(
        f"\n\n{title}:\n" + "".join(f"\n- {plain(name)}: {plain(reason)}" for name, reason in reasons.items())
        for title, reasons in _not_run(evaluations)
    )
    return f"# {plain(_title(evaluations))}\n\n{about}\n\n{body}{images}{notes}\n"


def text_lines(evaluations: Sequence[CheckpointEvaluation]) -> Iterator[str]:
    """The table for a terminal: task, metric, our figures and GPT-2's, then how each was measured; and what did not run."""
    rows = [("task", "metric", *_names(evaluations), f"GPT-2 {SIZES[0].name}", "how")]
    rows += [(line.name, line.metric, *line.ours, line.paper[1], line.reading) for line in table_rows(evaluations)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if len(rows) > 1:
        for row in rows:
            cells = [
                cell.ljust(width) if place < 2 else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            yield "  ".join([*cells[:-1], row[-1]]).rstrip()
    for title, reasons in _not_run(evaluations):
        yield from (f"{title.lower()}: {name}: {reason}" for name, reason in reasons.items())


def reasons(evaluations: Sequence[CheckpointEvaluation]) -> list[str]:
    """Why tasks did not run, in a line each."""
    return [f"{name}: {reason}" for _, reasons in _not_run(evaluations) for name, reason in reasons.items()]


def page(evaluations: Sequence[CheckpointEvaluation], pictures: Mapping[str, bytes] | None = None) -> str:
    """Return the report as one self-contained HTML page. `pictures` are SVG files by title."""
    names = "".join(f"<th class='n'>{escaped(name)}</th>" for name in _names(evaluations))
    head = names + "".join(f'<th class="n">{column}</th>' for column in PAPER)
    rows = "".join(_html_row(line) for line in table_rows(evaluations))
    about = "".join(f"<p class='faint'>{escaped(_about(evaluation))}</p>" for evaluation in evaluations)
    images = f"<h2>Curves</h2><div class='curves'>{''.join(_image(*item) for item in pictures.items())}</div>" if pictures else ""
    notes = "".join(
        f"<h2>{title}</h2><ul class='faint'>"
        + "".join(f"<li>{escaped(name)}: {escaped(reason)}</li>" for name, reason in reasons.items())
        + "</ul>"
        for title, reasons in _not_run(evaluations)
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>Evaluation</title><style>{STYLE}</style></head><body>"
        f"<h1>{escaped(_title(evaluations))}</h1>{about}{images}"
        f"<div class='wide'><table><thead><tr><th>task</th><th>metric</th>{head}<th>how</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>{notes}</body></html>\n"
    )


def _image(title: str, svg: bytes) -> str:
    return f'<img alt="{escaped(title)}" src="data:image/svg+xml;base64,{b64encode(svg).decode()}">'


def _results(evaluation: CheckpointEvaluation, task: str) -> tuple[Result, ...]:
    return next((record.results for record in evaluation.records if record.task == task), ())


def _names(evaluations: Sequence[CheckpointEvaluation]) -> list[str]:
    return ["ours"] if len(evaluations) == 1 else [evaluation.provenance.checkpoint for evaluation in evaluations]


def _title(evaluations: Sequence[CheckpointEvaluation]) -> str:
    return f"Evaluation of {', '.join(evaluation.provenance.checkpoint for evaluation in evaluations)}"


def _not_run(evaluations: Sequence[CheckpointEvaluation]) -> list[tuple[str, dict[str, str]]]:
    skipped = {name: reason for evaluation in evaluations for name, reason in evaluation.skipped.items()}
    faults = {name: reason for evaluation in evaluations for name, reason in evaluation.faults.items()}
    sections = [("Not run", skipped), ("Failed", faults)]
    return [(title, reasons) for title, reasons in sections if reasons]


def _html_row(line: TableRow) -> str:
    ours = "".join(f"<td class='n ours'>{figure}</td>" for figure in line.ours)
    paper = "".join(f'<td class="n">{figure}</td>' for figure in line.paper)
    return (
        f"<tr><td>{escaped(line.name)}</td><td>{escaped(line.metric)}</td>{ours}"
        f"{paper}<td class='how faint'>{escaped(line.reading)}</td></tr>"
    )


def _about(evaluation: CheckpointEvaluation) -> str:
    about = evaluation.provenance
    step = "" if about.step is None else f", step {about.step:,}"
    return (
        f"{about.checkpoint}: {about.parameters:,} parameters{step}, weights {about.checkpoint_sha256[:12]}, "
        f"tokenizer {about.tokenizer_sha256[:12]}, {about.precision} on {about.device}, commit {about.commit[:12]}"
    )


def _figures(row: PaperRow | None) -> tuple[str, ...]:
    if row is None:
        return ("",) * len(PAPER)
    return tuple("" if figure is None else f"{figure:g}" for figure in (row.sota, *row.sizes))


def _value(result: Result) -> str:
    error = "" if result.standard_error is None else f" ± {result.standard_error:.2g}"
    return f"{result.value:,.4g}{error}" if result.value < 1e6 else f"{result.value:.3g}{error}"


def _reading(result: Result) -> str:
    parts = [result.protocol, f"per {result.normaliser}" if result.normaliser else ""]
    if result.detokeniser != "none":
        parts.append(f"detokenizer {result.detokeniser}")
    if result.window_tokens:
        parts.append(f"window {result.window_tokens}, stride {result.stride_tokens}")
    return "; ".join(part for part in parts if part) + f"; n = {result.examples:,}"
