"""Training runs and evaluations on the page."""

from html import escape

from pipeline.report import plots
from pipeline.report.markup import NONE, definitions, details, figure, number, table, words
from pipeline.report.numbers import Evaluation, Numbers, Run

CURVES = {
    "lr": ("Learning rate", "learning rate"),
    "grad_norm": ("Gradient norm", "norm of the gradient"),
    "tokens_per_second": ("Speed", "tokens a second"),
    "bits_per_byte": ("Validation, bits a byte", "bits a byte"),
}


def training(numbers: Numbers) -> str:
    """The section's body: nothing without runs."""
    runs = [run for run in numbers.runs if run.curves]
    if not runs:
        return ""
    entropy = numbers.tokens.entropy_to_beat if numbers.tokens else None
    loss = figure("loss", "Loss", plots.draw_loss(runs, entropy), _against_entropy(runs, entropy), wide=True)
    others = "".join(
        figure(name, title, plots.draw_curve(runs, name, label))
        for name, (title, label) in CURVES.items()
        if any(run.curve(name) for run in runs)
    )
    return f'<div class="figures">{loss}{others}</div>\n{"".join(_config(run) for run in runs)}'


def _against_entropy(runs: list[Run], entropy: float | None) -> str:
    said = []
    for run in runs:
        validation = run.curve("val_loss")
        if validation:
            against = f"; the unigram entropy of the text is {entropy:.3f}" if entropy is not None else ""
            at = f"{escape(run.name)}: validation loss {validation.values[-1]:.3f} nats a token at step {validation.steps[-1]:,}"
            said.append(f"{at} after {number(run.tokens)} tokens{against}.")
    return " ".join(said)


def _config(run: Run) -> str:
    pairs = [(name, value) for name, value in _flat("", run.config)]
    if not pairs:
        return ""
    body = definitions((f"<code>{escape(name)}</code>", f"<code>{escape(str(value))}</code>") for name, value in pairs)
    return details(f"Settings of {run.name}", f'<div class="card">{body}</div>')


def _flat(prefix: str, value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _flat(f"{prefix}.{key}" if prefix else str(key), inner)]
    return [(prefix, value)]


def evaluations(found: tuple[Evaluation, ...]) -> str:
    """A row a figure, beside the paper's columns where the results name them."""
    if not found:
        return ""
    columns = list(dict.fromkeys(name for evaluation in found for name in evaluation.paper))
    head = ["task", "protocol", "metric", "ours", "± standard error", "examples", *(f"paper {name}" for name in columns)]
    rows = [
        [
            words(e.task),
            escape(e.protocol),
            escape(e.metric),
            number(e.value),
            f"{e.standard_error:.3g}" if e.standard_error is not None else "",
            f"{e.examples:,}" if e.examples is not None else "",
            *(f"{e.paper[name]:g}" if name in e.paper else NONE for name in columns),
        ]
        for e in found
    ]
    return f'<div class="card">{table(head, rows, "Evaluation", range(3, len(head)))}</div>\n'
