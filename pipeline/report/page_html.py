"""The report as one self-contained HTML page without scripts; its style sheet covers light, dark, print and small screens."""

from importlib.resources import files as package_files

from pipeline.corpus.folder import FunnelStep
from pipeline.engine.progress import duration_text
from pipeline.report.duplicates_html import duplicates
from pipeline.report.markup import (
    NONE,
    bytes_text,
    definitions,
    details,
    histogram,
    number,
    section,
    share,
    table,
    words,
)
from pipeline.report.numbers import ReportNumbers, SiteNumbers, StageNumbers
from pipeline.report.training_html import evaluations, samples, training
from tokenizer.labels import html

SECTIONS = {
    "funnel": "Funnel",
    "links": "Links",
    "pages": "Pages",
    "sites": "Sites",
    "documents": "Documents",
    "duplicates": "Duplicates",
    "tokens": "Tokens",
    "training": "Training",
    "samples": "Samples",
    "evaluation": "Evaluation",
    "overlap": "Overlap",
    "stages": "Stages",
}


def render(numbers: ReportNumbers) -> str:
    """The page; equal numbers give equal bytes."""
    bodies = {
        "funnel": _funnel(numbers.funnel),
        "links": _figures(numbers, "karma", "year", "subreddits"),
        "pages": _figures(numbers, "outcomes", "media_types", "sources", "distance", "latency"),
        "sites": _sites(numbers.sites),
        "documents": _figures(numbers, "characters", "language", "published", "confidence"),
        "duplicates": duplicates(numbers),
        "tokens": _tokens(numbers),
        "training": training(numbers),
        "samples": samples(numbers),
        "evaluation": evaluations(numbers.evaluations),
        "overlap": _overlap(numbers),
        "stages": "".join(_stage(stage) for stage in numbers.stages),
    }
    sections = "".join(section(name, SECTIONS[name], body) for name, body in bodies.items())
    links = "".join(f'<li><a href="#{name}">{SECTIONS[name]}</a></li>' for name, body in bodies.items() if body)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="webtext report">
<title>{html(numbers.title)}</title>
<link rel="icon" href="data:,">
<style>
{style()}</style>
</head>
<body>
<a class="skip" href="#content">Skip to content</a>
<header>
<h1>{html(numbers.title)}</h1>
<p class="quiet">A corpus built like WebText: what went in, what was dropped and why, and what was trained on it.</p>
{_tiles(numbers)}<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main id="content" tabindex="-1">
{sections}</main>
<footer class="quiet small"><p>Every number on this page is also in report.json.</p></footer>
</body>
</html>
"""


def style() -> str:
    """The page's style sheet."""
    return (package_files("pipeline.report") / "page.css").read_text(encoding="utf-8")


def _tiles(numbers: ReportNumbers) -> str:
    tiles = [(number(step.items), step.name) for step in (numbers.funnel[:1] + numbers.funnel[-1:])]
    if numbers.tokens:
        tiles += [(number(numbers.tokens.tokens), "tokens"), (bytes_text(numbers.tokens.text_bytes), "of text")]
    for run in numbers.runs[:1]:
        if validation := run.curve("val_loss"):
            tiles.append((f"{validation.values[-1]:.3f}", "validation loss, nats per token"))
    return f'<ul class="tiles">{"".join(f"<li><b>{value}</b><span>{html(name)}</span></li>" for value, name in tiles)}</ul>\n'


def _figures(numbers: ReportNumbers, *names: str) -> str:
    figures = "".join(histogram(shown) for name in names if (shown := numbers.histogram(name)))
    return f'<div class="figures">{figures}</div>\n' if figures else ""


def _funnel(steps: tuple[FunnelStep, ...]) -> str:
    """A table with bars: the items of each step, their share of the first step, and below it the losses since the step before."""
    most = max((step.items for step in steps), default=0)
    first = steps[0].items if steps else 0
    if not steps:
        return ""
    rows = "".join(_step(i, step, most, first) for i, step in enumerate(steps))
    titles = '<th scope="col">Step</th><th scope="col" class="number">Items</th><th scope="col" class="number">Share</th>'
    element = f'<table class="funnel"><thead><tr>{titles}<td></td></tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="card scroll" tabindex="0" role="region" aria-label="Funnel, by step">{element}</div>\n'


def _step(i: int, step: FunnelStep, most: int, first: int) -> str:
    width = 100 * step.items / most if most else 0
    row = (
        f'<tr class="step"><th scope="row">{html(step.name)}</th><td class="number">{number(step.items, f"funnel.{i}.items")}</td>'
        f'<td class="number">{share(step.items, first)}</td>'
        f'<td class="bar"><span class="track"><i style="width:{width:.2f}%"></i></span></td></tr>\n'
    )
    lost = ", ".join(f"<b>{number(n, f'funnel.{i}.lost.{reason}')}</b> {words(reason)}" for reason, n in step.lost.items())
    text = " ".join(part for part in (f"Dropped: {lost}." if lost else "", html(step.note)) if part)
    return row + (f'<tr class="lost"><td colspan="4" class="lost">{text}</td></tr>\n' if text else "")


def _sites(sites: SiteNumbers | None) -> str:
    if not sites or not sites.top:
        return ""
    text = f"<p>The documents come from {number(sites.distinct, 'sites.distinct')} domains."
    head, numeric = ["site", "documents", "share"], [1, 2, 3, 4]
    rows = [[html(site.name), number(site.documents, f"sites.{site.name}"), share(site.share, 1)] for site in sites.top]
    if sites.webtext_sites_found is not None and sites.share_in_webtext_sites is not None:
        text += (
            f" They include {number(sites.webtext_sites_found)} of WebText's {number(sites.webtext_sites)} most common sites, which give"
            f" {share(sites.share_in_webtext_sites, 1)} of the documents."
        )
        head += ["share in WebText's list", "rank in WebText"]
        for row, site in zip(rows, sites.top, strict=True):
            known = site.webtext_rank is not None and site.webtext_share is not None
            row += [share(site.webtext_share or 0, 1), f"{site.webtext_rank:,}"] if known else [NONE, NONE]
    return f'{text}</p>\n<div class="card">{table(head, rows, "Most common sites", numeric)}</div>\n'


def _tokens(numbers: ReportNumbers) -> str:
    tokens = numbers.tokens
    if not tokens:
        return ""
    rows = [
        [
            html(name),
            number(split.documents, f"tokens.splits.{name}.documents"),
            number(split.tokens, f"tokens.splits.{name}.tokens"),
            bytes_text(split.text_bytes),
            f"{split.bytes_per_token:.3f}" if split.bytes_per_token else "",
            f"{split.unigram_entropy:.3f}" if split.unigram_entropy is not None else "",
        ]
        for name, split in tokens.splits.items()
    ]
    text = (
        f"The vocabulary has {number(tokens.vocab_size, 'tokens.vocab_size')} entries. Unigram entropy is the loss, in nats per token, of a"
        " model that knows only how common each token is. A model that has learned more has a lower loss."
    )
    head = ["split", "documents", "tokens", "text", "bytes per token", "unigram entropy"]
    splits = table(head, rows, "Splits", range(1, len(head)))
    return f'<p>{text}</p>\n<div class="card">{splits}</div><br>{_figures(numbers, "tokens")}'


def _overlap(numbers: ReportNumbers) -> str:
    if not numbers.overlap:
        return ""
    rows = [
        [
            html(one.name),
            number(one.grams, f"overlap.{one.name}.grams"),
            f"{one.percent:.2f} %",
            *(NONE if value is None else f"{value:.2f} %" for value in (one.paper_webtext_percent, one.paper_own_train_percent)),
        ]
        for one in numbers.overlap
    ]
    head = ["evaluation set", "n-grams", "in this corpus", "in WebText (paper)", "in its own training split (paper)"]
    return f'<div class="card">{table(head, rows, "Overlap with evaluation sets", range(1, len(head)))}</div>\n'


def _stage(stage: StageNumbers) -> str:
    run = stage.run or {}
    took = f", {duration_text(run['seconds'])} on {run['workers']} worker{'s' if run['workers'] != 1 else ''}" if run else ""
    settings = definitions(
        (f"<code>{html(name)}</code>", f"<code>{html(str(value))}</code>") for name, value in stage.settings.items()
    )
    counters = [("items in", stage.items_in), ("items out", stage.items_out), *stage.dropped.items(), *stage.counters.items()]
    counted = definitions((words(name), number(value, f"stages.{stage.name}.{name}")) for name, value in counters)
    hashes = definitions(
        [
            ("this manifest", f"<code>{stage.sha256}</code>"),
            *((f"input {html(n)}", f"<code>{s}</code>") for n, s in stage.inputs.items()),
        ]
    )
    versions = (
        definitions((html(name), html(v)) for name, v in ({"python": run["python"]} | run["versions"]).items()) if run else ""
    )
    parts = [("Settings", settings), ("Counters", counted), ("sha256", hashes), ("Versions", versions)]
    body = "".join(f"<h3>{title}</h3>{text}" for title, text in parts if text and text != definitions([]))
    return details(f"{stage.name}: {stage.files:,} files, {bytes_text(stage.bytes)}{took}", f'<div class="card">{body}</div>')
