"""The results beside the paper's four columns: a Markdown table and a page that needs nothing else."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainer.evals.curves import DARK, LIGHT
from trainer.evals.results import Result
from trainer.evals.suite import Outcome
from trainer.paper import ROWS, SIZES, PaperRow

STYLE = f"""
:root {{ color-scheme: light dark; --paper: #fff; --line: #d4d7dc; --ours: #eef4ff; {LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ --paper: #16181c; --line: #393e46; --ours: #1d2a40; {DARK} }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }}
body {{ margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); }}
td.n, th.n {{ text-align: right; white-space: nowrap; }}
td.ours {{ background: var(--ours); font-weight: 600; }}
td.how {{ min-width: 16rem; }}
.faint {{ color: var(--faint); font-size: 13px; }}
.curves {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem; }}
.curves svg {{ width: 100%; height: auto; }}
"""


PAPER = ("before GPT-2", *(f"GPT-2 {size.name}" for size in SIZES))
"""The paper's columns."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table: a figure a checkpoint, empty where it has none. `paper` is what stood before GPT-2, then its four sizes."""

    name: str
    metric: str
    ours: tuple[str, ...]
    paper: tuple[str, ...]
    reading: str


def lines(outcomes: Sequence[Outcome]) -> Iterator[Line]:
    """A line a result, in the order of the tasks; those that stand beside a row of the paper name it."""
    for task in dict.fromkeys(record.task for outcome in outcomes for record in outcome.records):
        found = [_results(outcome, task) for outcome in outcomes]
        longest: tuple[Result, ...] = max(found, key=len)
        for place, result in enumerate(longest):
            row = ROWS.get(result.row or "")
            ours = tuple(_value(results[place]) if place < len(results) else "" for results in found)
            yield Line(row.name if row else task, result.metric, ours, _figures(row), _reading(result))


def markdown(outcomes: Sequence[Outcome], pictures: Sequence[str] = ()) -> str:
    """The table, what was not run, and what was examined. `pictures` are addresses."""
    head = ["task", "metric", *_names(outcomes), *PAPER, "how"]
    table = [head, ["---", "---", *["--:"] * (len(outcomes) + len(PAPER)), "---"]]
    table += [[line.name, line.metric, *line.ours, *line.paper, line.reading] for line in lines(outcomes)]
    body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table)
    about = "\n\n".join(_about(outcome) for outcome in outcomes)
    drawn = "".join(f"\n\n![]({picture})" for picture in pictures)
    notes = "".join(
        f"\n\n{title}:\n" + "".join(f"\n- {name}: {why}" for name, why in reasons.items())
        for title, reasons in _not_run(outcomes)
    )
    return f"# {_title(outcomes)}\n\n{about}\n\n{body}{drawn}{notes}\n"


def page(outcomes: Sequence[Outcome], pictures: Sequence[str] = ()) -> str:
    """One self-contained HTML page; `pictures` are SVG."""
    names = "".join(f"<th class='n'>{html.escape(name)}</th>" for name in _names(outcomes))
    head = names + "".join(f'<th class="n">{column}</th>' for column in PAPER)
    rows = "".join(_html_row(line) for line in lines(outcomes))
    about = "".join(f"<p class='faint'>{html.escape(_about(outcome))}</p>" for outcome in outcomes)
    drawn = f"<h2>Curves</h2><div class='curves'>{''.join(pictures)}</div>" if pictures else ""
    notes = "".join(
        f"<h2>{title}</h2><ul class='faint'>"
        + "".join(f"<li>{html.escape(name)}: {html.escape(why)}</li>" for name, why in reasons.items())
        + "</ul>"
        for title, reasons in _not_run(outcomes)
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>Evaluation</title><style>{STYLE}</style></head><body>"
        f"<h1>{html.escape(_title(outcomes))}</h1>{about}{drawn}"
        f"<div class='wide'><table><thead><tr><th>task</th><th>metric</th>{head}<th>how</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>{notes}</body></html>\n"
    )


def _results(outcome: Outcome, task: str) -> tuple[Result, ...]:
    return next((record.results for record in outcome.records if record.task == task), ())


def _names(outcomes: Sequence[Outcome]) -> list[str]:
    return ["ours"] if len(outcomes) == 1 else [outcome.provenance.checkpoint for outcome in outcomes]


def _title(outcomes: Sequence[Outcome]) -> str:
    return f"Evaluation of {', '.join(outcome.provenance.checkpoint for outcome in outcomes)}"


def _not_run(outcomes: Sequence[Outcome]) -> list[tuple[str, dict[str, str]]]:
    skipped = {name: why for outcome in outcomes for name, why in outcome.skipped.items()}
    faults = {name: why for outcome in outcomes for name, why in outcome.faults.items()}
    named = [("Not run", skipped), ("Failed, the data being at fault", faults)]
    return [(title, reasons) for title, reasons in named if reasons]


def _html_row(line: Line) -> str:
    ours = "".join(f"<td class='n ours'>{figure}</td>" for figure in line.ours)
    paper = "".join(f'<td class="n">{figure}</td>' for figure in line.paper)
    return (
        f"<tr><td>{html.escape(line.name)}</td><td>{html.escape(line.metric)}</td>{ours}"
        f"{paper}<td class='how faint'>{html.escape(line.reading)}</td></tr>"
    )


def _about(outcome: Outcome) -> str:
    about = outcome.provenance
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
        parts.append(f"detokeniser {result.detokeniser}")
    if result.window_tokens:
        parts.append(f"window {result.window_tokens}, stride {result.stride_tokens}")
    return "; ".join(part for part in parts if part) + f"; n = {result.examples:,}"
