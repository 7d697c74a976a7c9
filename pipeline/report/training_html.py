"""The page's sections on training runs and evaluations."""

from math import isfinite

from pipeline.report import plots
from pipeline.report.markup import NONE, bytes_text, definitions, details, figure, number, table, words
from pipeline.report.numbers import EvaluationFigure, ReportNumbers, TrainingRun
from tokenizer.labels import html, html_text

CURVES = {
    "lr": ("Learning rate", "learning rate"),
    "grad_norm": ("Gradient norm", "gradient norm"),
    "tokens_per_second": ("Speed", "tokens per second"),
    "bits_per_byte": ("Validation, bits per byte", "bits per byte"),
}


def training(numbers: ReportNumbers) -> str:
    """The body of the section on training; empty without runs."""
    runs = [run for run in numbers.runs if run.curves]
    if not runs:
        return ""
    entropy = numbers.tokens.entropy_to_beat if numbers.tokens else None
    loss = figure("loss", "Loss", plots.draw_loss(runs, entropy), _validation_text(runs, entropy), wide=True)
    others = "".join(
        figure(name, title, plots.draw_curve(runs, name, label))
        for name, (title, label) in CURVES.items()
        if any(run.curve(name) for run in runs)
    )
    comparison = _comparison(numbers, runs)
    return f'{comparison}<div class="figures">{loss}{others}</div>\n{"".join(_config(run) for run in runs)}'


def _comparison(numbers: ReportNumbers, runs: list[TrainingRun]) -> str:
    """A table of bits per byte of the held-out text, the least last: methods without a network, and each run."""
    tokens = numbers.tokens
    split = tokens.splits.get(tokens.held_out) if tokens and tokens.held_out else None
    if not tokens or not split or not tokens.baselines:
        return ""
    rows = [(b.bits_per_byte, html(b.method), html(b.about)) for b in tokens.baselines]
    scores = [e for e in numbers.evaluations if (e.task, e.metric) == ("held_out", "bits per byte") and isfinite(e.value)]
    evaluated = {e.source: e.value for e in scores}
    rows += [
        (value, html(f"the network ({source})"), f"the whole {html(str(tokens.held_out))} split, a window at a time")
        for source, value in evaluated.items()
    ]
    for run in runs if not evaluated else ():
        if curve := run.curve("bits_per_byte"):
            rows.append((curve.values[-1], html(f"the network ({run.name})"), "its validation at the last step"))
    most = max(value for value, _, _ in rows)
    lines = "".join(
        f'<tr class="step"><th scope="row">{name}</th><td class="number">{value:.2f}</td>'
        f'<td class="bar"><span class="track"><i style="width:{100 * value / most:.2f}%"></i></span></td></tr>\n'
        f'<tr class="lost"><td colspan="3" class="lost">{about}</td></tr>\n'
        for value, name, about in sorted(rows, reverse=True)
    )
    head = '<th scope="col">Held-out text, by</th><th scope="col" class="number">Bits per byte</th><td></td>'
    return (
        f"<p>What the {bytes_text(split.text_bytes)} of held-out text cost, in bits per byte; less is better.</p>\n"
        '<div class="card scroll" tabindex="0" role="region" aria-label="Bits per byte, by method">'
        f'<table class="funnel"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div><br>\n'
    )


def samples(numbers: ReportNumbers) -> str:
    """The body of the section on samples: each text as it was written."""
    return "".join(f'<div class="card"><p class="text">{html_text(sample.text)}</p></div>\n' for sample in numbers.samples)


def _validation_text(runs: list[TrainingRun], entropy: float | None) -> str:
    sentences = []
    for run in runs:
        validation = run.curve("val_loss")
        if validation:
            comparison = f"; the unigram entropy of the text is {entropy:.3f}" if entropy is not None else ""
            at = f"{html(run.name)}: validation loss {validation.values[-1]:.3f} nats per token at step {validation.steps[-1]:,}"
            sentences.append(f"{at} after {number(run.tokens)} tokens{comparison}.")
    return " ".join(sentences)


def _config(run: TrainingRun) -> str:
    pairs = [(name, value) for name, value in _flat("", run.config)]
    if not pairs:
        return ""
    body = definitions((f"<code>{html(name)}</code>", f"<code>{html(str(value))}</code>") for name, value in pairs)
    return details(f"Settings of {run.name}", f'<div class="card">{body}</div>')


def _flat(prefix: str, value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _flat(f"{prefix}.{key}" if prefix else str(key), inner)]
    return [(prefix, value)]


def evaluations(figures: tuple[EvaluationFigure, ...]) -> str:
    """The body of the section on evaluations: one row per figure, with the paper's columns if the results have them."""
    if not figures:
        return ""
    columns = list(dict.fromkeys(name for evaluation in figures for name in evaluation.paper))
    head = ["task", "protocol", "metric", "ours", "± standard error", "examples", *(f"paper {name}" for name in columns)]
    rows = [
        [
            words(e.task),
            html(e.protocol),
            html(e.metric),
            number(e.value) if isfinite(e.value) else "not finite",
            f"{e.standard_error:.3g}" if e.standard_error is not None else "",
            f"{e.examples:,}" if e.examples is not None else "",
            *(f"{e.paper[name]:g}" if name in e.paper else NONE for name in columns),
        ]
        for e in figures
    ]
    return f'<div class="card">{table(head, rows, "Evaluation", range(3, len(head)))}</div>\n'
