"""The results beside the paper's four columns: a Markdown table and a page that needs nothing else."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainer.evals.results import Result
from trainer.evals.suite import Outcome
from trainer.paper import ROWS, SIZES, Row

STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fff; --line: #d4d7dc; --faint: #666c75; --ours: #eef4ff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e6ea; --paper: #16181c; --line: #393e46; --faint: #9aa1ac; --ours: #1d2a40; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); }
td.n, th.n { text-align: right; white-space: nowrap; }
td.ours { background: var(--ours); font-weight: 600; }
.faint { color: var(--faint); font-size: 13px; }
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table. `paper` are the four sizes' figures, empty where the paper has none."""

    name: str
    metric: str
    ours: str
    paper: tuple[str, ...]
    reading: str


def lines(outcome: Outcome) -> Iterator[Line]:
    """A line a result, in the order of the tasks; those that stand beside a row of the paper name it."""
    for record in outcome.records:
        for result in record.results:
            row = ROWS.get(result.row or "")
            paper = _figures(row) if row else ("",) * len(SIZES)
            yield Line(row.name if row else result.task, result.metric, _value(result), paper, _reading(result))


def markdown(outcome: Outcome) -> str:
    """The table, what was skipped, and what was examined."""
    about = outcome.provenance
    head = ["task", "metric", "ours", *(f"GPT-2 {size.name}" for size in SIZES), "how"]
    table = [head, ["---", "---", *["--:"] * (1 + len(SIZES)), "---"]]
    table += [[line.name, line.metric, line.ours, *line.paper, line.reading] for line in lines(outcome)]
    body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table)
    notes = "".join(
        f"\n\n{title}:\n" + "".join(f"\n- {name}: {why}" for name, why in reasons.items()) for title, reasons in _not_run(outcome)
    )
    return f"# Evaluation of {about.checkpoint}\n\n{_about(outcome)}\n\n{body}{notes}\n"


def page(outcome: Outcome, pictures: Sequence[str] = ()) -> str:
    """One self-contained HTML page; `pictures` are SVG."""
    head = "".join(f'<th class="n">GPT-2 {size.name}</th>' for size in SIZES)
    rows = "".join(_html_row(line) for line in lines(outcome))
    notes = "".join(
        f"<h2>{title}</h2><ul class='faint'>"
        + "".join(f"<li>{html.escape(name)}: {html.escape(why)}</li>" for name, why in reasons.items())
        + "</ul>"
        for title, reasons in _not_run(outcome)
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>Evaluation</title><style>{STYLE}</style></head><body>"
        f"<h1>Evaluation of {html.escape(outcome.provenance.checkpoint)}</h1><p class='faint'>{html.escape(_about(outcome))}</p>"
        f"<table><thead><tr><th>task</th><th>metric</th><th class='n'>ours</th>{head}<th>how</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>{''.join(pictures)}{notes}</body></html>\n"
    )


def _not_run(outcome: Outcome) -> list[tuple[str, dict[str, str]]]:
    named = [("Not run", outcome.skipped), ("Failed, the data being at fault", outcome.faults)]
    return [(title, reasons) for title, reasons in named if reasons]


def _html_row(line: Line) -> str:
    paper = "".join(f'<td class="n">{figure}</td>' for figure in line.paper)
    return (
        f"<tr><td>{html.escape(line.name)}</td><td>{html.escape(line.metric)}</td><td class='n ours'>{line.ours}</td>"
        f"{paper}<td class='faint'>{html.escape(line.reading)}</td></tr>"
    )


def _about(outcome: Outcome) -> str:
    about = outcome.provenance
    step = "" if about.step is None else f", step {about.step:,}"
    return (
        f"{about.parameters:,} parameters{step}, weights {about.checkpoint_sha256[:12]}, tokenizer {about.tokenizer_sha256[:12]}, "
        f"{about.precision} on {about.device}, commit {about.commit[:12]}"
    )


def _figures(row: Row) -> tuple[str, ...]:
    return tuple("" if figure is None else f"{figure:g}" for figure in row.sizes)


def _value(result: Result) -> str:
    error = "" if result.standard_error is None else f" ± {result.standard_error:.2g}"
    return f"{result.value:,.4g}{error}" if result.value < 1e6 else f"{result.value:.3g}{error}"


def _reading(result: Result) -> str:
    parts = [result.protocol, f"per {result.normaliser}" if result.normaliser else ""]
    if result.detokeniser != "none":
        parts.append(f"detokeniser {result.detokeniser}")
    if result.window_tokens:
        parts.append(f"window {result.window_tokens}, stride {result.stride_tokens}")
    return "; ".join(part for part in parts if part) + f"; n = {result.examples:,}"
