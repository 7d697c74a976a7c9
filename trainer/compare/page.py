"""A comparison as one HTML page, and as a section of a dataset card."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizer.labels import html, markdown
from trainer.compare.analysis import CorpusPair, Outcome
from trainer.compare.drawings import COLORS, ForestRow, count_text, curves, forest
from trainer.compare.plan import Plan
from trainer.compare.schedule import duration

STYLE = Path(__file__).with_name("page.css")


def page(plan: Plan, outcome: Outcome, facts: dict[str, Any], command: str) -> str:
    """The whole page, without outside resources."""
    colors = {corpus.name: at for at, corpus in enumerate(plan.corpora)}
    body = [
        f"<h1>Which corpus is better? {html(' · '.join(corpus.name for corpus in plan.corpora))}</h1>",
        f'<p class="verdict">{html(outcome.sentence)}</p>',
        f'<p class="faint">{html(_about(plan, outcome))}</p>',
        *_problems(plan, outcome),
        _forest(plan, outcome),
        "<h2>Bits per byte on each held-out set</h2>",
        "<p>Lower is better. The number after ± is the standard error, over seeds and documents.</p>",
        _matrix(plan, outcome),
        "<h2>Curves over training</h2>",
        _key(colors),
        f'<div class="charts">{"".join(_curve(outcome, name, colors) for name in outcome.curves)}</div>',
        _tasks(plan, outcome),
        _facts(facts),
        "<h2>Repeat it</h2>",
        f"<pre>{html(command)}</pre>",
        f'<p class="faint">{html(_cost(outcome))}</p>',
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Comparison of corpora</title><style>{STYLE.read_text(encoding='utf-8')}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def card(plan: Plan, outcome: Outcome) -> str:
    """A Markdown section for a dataset card: the verdict, the matrix, and how it was measured."""
    names = [each["corpus"] for each in outcome.ranking]
    lines = ["## Comparison with other corpora", "", markdown(outcome.sentence), ""]
    lines += ["| held-out set | " + " | ".join(markdown(name) for name in names) + " |", "|---|" + "--:|" * len(names)]
    for name, row in outcome.matrix.items():
        cells = " | ".join(_with_error(row[each]["bits_per_byte"], row[each]["error"]) for each in names)
        lines.append(f"| {markdown(name)} | {cells} |")
    lines += ["", f"Bits per byte, lower is better. {markdown(_about(plan, outcome))}", ""]
    return "\n".join(lines)


def _about(plan: Plan, outcome: Outcome) -> str:
    config = plan.config["model"]
    network = f"{plan.config['preset']}, {config['layers']} layers of width {config['width']}"
    primary = ", ".join(plan.primary)
    seeds = f"{len(outcome.seeds)} seed{'s' if len(outcome.seeds) != 1 else ''}"
    about = "the recipes behind the corpora" if plan.about_recipe else "these very corpora"
    return (
        f"Each corpus trained the same network ({network}) on {count_text(plan.tokens)} tokens with {seeds}. "
        f"The verdict is on the mean of: {primary}. Intervals hold for {about}, at {100 * (1 - plan.level):g} %."
    )


def _problems(plan: Plan, outcome: Outcome) -> list[str]:
    notes = [f"{name} could not be read and is not compared: {reason}" for name, reason in plan.unreadable.items()]
    notes += [f"run {name} failed: {reason}" for name, reason in outcome.failed.items()]
    notes += [
        f"{count:,} document{'s' if count != 1 else ''} of {name} taken out: a corpus trains on {'them' if count != 1 else 'it'}"
        for name, count in plan.removed.items()
        if count
    ]
    if outcome.share > 0.2:
        notes.append(
            f"each run draws {100 * outcome.share:.0f} % of its corpus, so the corpora are small for this many tokens: the intervals "
            "count how much other pages by the same recipe would differ, and more seeds cannot make that part smaller"
        )
    return [f"<ul>{''.join(f'<li>{html(note)}</li>' for note in notes)}</ul>"] if notes else []


def _forest(plan: Plan, outcome: Outcome) -> str:
    rows = [
        ForestRow(f"{pair.first} vs {pair.second}", found.value, found.low, found.high, pair.better(plan.level) is not None)
        for pair in outcome.pairs
        for found in [pair.difference]
    ]
    picture = forest(rows, "difference in bits per byte: left of 0, the first is better")
    table = "".join(_pair_row(pair, plan.level) for pair in outcome.pairs)
    return (
        "<h2>Differences</h2>"
        f'<div class="wide">{picture}</div><div class="wide"><table><thead><tr><th>pair</th><th>difference</th><th>interval</th>'
        f"<th>p, corrected</th><th>answer</th></tr></thead><tbody>{table}</tbody></table></div>"
    )


def _pair_row(pair: CorpusPair, level: float) -> str:
    found = pair.difference
    better = pair.better(level)
    answer = f"{better} is better" if better else "cannot be told apart"
    interval = "unknown" if math.isnan(found.low) else f"{found.low:+.4f} to {found.high:+.4f}"
    p = "" if math.isnan(pair.p) else f"{pair.p:.2g}"
    cells = (f"{pair.first} vs {pair.second}", f"{found.value:+.4f}", interval, p, answer)
    return f"<tr>{''.join(f'<td>{html(cell)}</td>' for cell in cells)}</tr>"


def _matrix(plan: Plan, outcome: Outcome) -> str:
    names = [corpus.name for corpus in plan.corpora if any(corpus.name in row for row in outcome.matrix.values())]
    head = "".join(f"<th>trained on {html(name)}</th>" for name in names)
    rows = []
    for name, row in outcome.matrix.items():
        lowest = min(row.values(), key=lambda cell: cell["bits_per_byte"])
        cells = "".join(
            f"<td{' class=best' if row[each] is lowest else ''}>{_with_error(row[each]['bits_per_byte'], row[each]['error'])}</td>"
            for each in names
        )
        mark = "" if name in plan.primary else ' <span class="faint">(not in the verdict)</span>'
        rows.append(f"<tr><td>{html(name)}{mark}</td>{cells}</tr>")
    return f'<div class="wide"><table><thead><tr><th>held-out set</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _with_error(value: float, error: float) -> str:
    return f"{value:.3f}" if math.isnan(error) else f"{value:.3f} ± {error:.3f}"


def _key(colors: dict[str, int]) -> str:
    marks = "".join(f'<span><i style="background:var(--c{at % COLORS})"></i>{html(name)}</span>' for name, at in colors.items())
    return f'<p class="key">{marks}</p>'


def _curve(outcome: Outcome, name: str, colors: dict[str, int]) -> str:
    return f"<figure><figcaption>{html(name)}</figcaption>{curves(outcome.curves[name], colors, name)}</figure>"


def _tasks(plan: Plan, outcome: Outcome) -> str:
    rows = []
    for pair in outcome.pairs:
        for task in pair.tasks:
            found = task["difference"]
            interval = "unknown" if math.isnan(found["low"]) else f"{found['low']:+.3g} to {found['high']:+.3g}"
            known = task["p"] <= plan.level
            first_better = (found["value"] < 0) == task["lower_is_better"]
            answer = f"{pair.first if first_better else pair.second} is better" if known else "cannot be told apart"
            cells = (
                f"{task['task']}, {task['metric']}", f"{pair.first} {task['first']:.4g}", f"{pair.second} {task['second']:.4g}",
                interval, answer,
            )  # fmt: skip
            rows.append(f"<tr>{''.join(f'<td>{html(cell)}</td>' for cell in cells)}</tr>")
    if not rows:
        return ""
    head = "<th>task</th><th></th><th></th><th>interval of the difference</th><th>answer, corrected for the number of tasks</th>"
    return f'<h2>Zero-shot tasks</h2><div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _facts(facts: dict[str, Any]) -> str:
    corpora: Sequence[dict[str, Any]] = facts.get("corpora", [])
    if not corpora:
        return ""
    rows = [
        ("documents", [f"{each['documents']:,}" for each in corpora]),
        ("tokens", [f"{each['tokens']:,}" for each in corpora]),
        ("bytes per token", [f"{each['bytes_per_token']:.2f}" for each in corpora]),
        ("repeated documents", [f"{100 * each['repeated']:.1f} %" for each in corpora]),
        (
            "document length in tokens: 10 %, median, 90 %",
            [" · ".join(f"{v:,.0f}" for v in e["lengths_tokens"]) for e in corpora],
        ),
        ("funnel", [", ".join(f"{stage} {into:,} → {out:,}" for stage, (into, out) in e["funnel"].items()) for e in corpora]),
        ("domains", [_shares(each["domains"]) for each in corpora]),
        ("languages", [_shares(each["languages"]) for each in corpora]),
    ]
    head = "".join(f"<th>{html(each['name'])}</th>" for each in corpora)
    body = "".join(
        f"<tr><td>{html(name)}</td>{''.join(f'<td>{html(cell)}</td>' for cell in cells)}</tr>"
        for name, cells in rows
        if any(cells)
    )
    pairs = "".join(_pair_facts(pair) for pair in facts.get("pairs", []))
    return (
        f'<h2>What differs</h2><div class="wide"><table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        '<div class="wide"><table><thead><tr><th>of</th><th>also in</th><th>equal documents</th><th>near-duplicates</th>'
        "<th>divergence of words, bits</th><th>of domains</th><th>typical words</th></tr></thead>"
        f"<tbody>{pairs}</tbody></table></div>"
    )


def _pair_facts(pair: dict[str, Any]) -> str:
    domains = "" if pair["domain_divergence"] is None else f"{pair['domain_divergence']:.3f}"
    cells = (
        pair["first"], pair["second"], f"{100 * pair['equal_documents']:.1f} %", f"{100 * pair['near_documents']:.1f} %",
        f"{pair['word_divergence']:.3f}", domains, ", ".join(pair["words_of_first"]),
    )  # fmt: skip
    return f"<tr>{''.join(f'<td>{html(cell)}</td>' for cell in cells)}</tr>"


def _shares(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())


def _cost(outcome: Outcome) -> str:
    cost = outcome.cost
    return f"{cost['runs']:,.0f} runs, {count_text(cost['tokens'])} tokens, {duration(cost['run_seconds'])} of computing in all."
