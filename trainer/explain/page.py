"""`webtext-train explain`: a page that shows what a network does with a prompt, for learning and teaching GPT-2."""

import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from tokenizer.codec import Tokenizer
from tokenizer.errors import InputError
from tokenizer.labels import printable, script_json
from tokenizer.outputs import written_aside
from trainer.checkpoint.load import load_model
from trainer.distributed import environment
from trainer.explain.activations import Activations, cosine_similarities, record_activations
from trainer.model import GPT
from trainer.subcommands import explain_parser

TITLE = "<title>What the network does with a prompt</title>"
MOST_LIKELY = 8
DIGITS = 5


def main(argv: Sequence[str]) -> int:
    """Write the page and return the exit code. Raises InputError for a prompt that is empty or too long."""
    arguments = explain_parser().parse_args(list(argv))
    out = Path(arguments.out)
    _check_page(out)
    model, tokenizer, _ = load_model(arguments.checkpoint, environment(arguments.device).device)
    text = page(model, tokenizer, arguments.prompt, arguments.other)
    with written_aside(out) as aside:
        aside.write_text(text, encoding="utf-8")
    print(printable(out))  # noqa: T201 - the command's output
    return 0


def _check_page(path: Path) -> None:
    """Raise InputError where there is anything else than a page of this command."""
    if path.exists() and not (path.is_file() and TITLE.encode() in path.read_bytes()):
        raise InputError(f"--out {path}: exists and is no page of this command; choose another path")


def page(model: GPT, tokenizer: Tokenizer, prompt: str, other: str | None = None) -> str:
    """The complete HTML page, without external resources."""
    first = _read(model, tokenizer, prompt, "--prompt")
    second = None if other is None else _read(model, tokenizer, other, "--other")
    data = script_json(describe(model, tokenizer, first, second))
    template = files("trainer.explain").joinpath("page.html").read_text(encoding="utf-8")
    return template.replace("__DATA__", data)


def describe(model: GPT, tokenizer: Tokenizer, first: Activations, second: Activations | None) -> dict[str, Any]:
    """Data for the page's script, rounded to five digits."""
    config = model.config
    return {
        "model": {
            "layers": config.layers,
            "heads": config.heads,
            "width": config.width,
            "vocabulary": config.vocabulary,
            "parameters": sum(p.numel() for p in model.parameters()),
        },
        "tokens": [_text(tokenizer, i) for i in first.ids],
        "nats": _round(first.nats),
        "next": [
            [[_text(tokenizer, i), round(p, DIGITS)] for i, p in first.most_likely(position, MOST_LIKELY)]
            for position in range(len(first.ids))
        ],
        "attention": _round(first.attention_LHTT.tolist()),
        "contexts": None if second is None else _contexts(tokenizer, first, second),
    }


def _contexts(tokenizer: Tokenizer, first: Activations, second: Activations) -> dict[str, Any]:
    """Each token that occurs in both texts, with the similarity of its two vectors per layer."""
    shared = [i for i in dict.fromkeys(first.ids[1:]) if i in second.ids[1:]]
    return {
        "tokens": [_text(tokenizer, i) for i in second.ids],
        "shared": [
            {
                "token": _text(tokenizer, i),
                "likeness": _round(cosine_similarities(first, first.ids.index(i, 1), second, second.ids.index(i, 1))),
            }
            for i in shared
        ],
    }


def _read(model: GPT, tokenizer: Tokenizer, text: str, flag: str) -> Activations:
    ids = [tokenizer.eot_id, *tokenizer.encode(text)]
    if len(ids) < 2:
        raise InputError(f"{flag} is empty; give the network a text to read")
    if len(ids) > model.config.context:
        raise InputError(
            f"{flag} has {len(ids)} tokens with the end of text, the model's context is {model.config.context}; shorten it"
        )
    activations = record_activations(model, ids)
    if not all(math.isfinite(nats) for nats in activations.nats):
        raise InputError("the network's outputs are not numbers: its training diverged; use an earlier checkpoint")
    return activations


def _text(tokenizer: Tokenizer, token: int) -> str:
    return "⏎start" if token == tokenizer.eot_id else tokenizer.decode([token])


def _round(value: Any) -> Any:
    return [_round(item) for item in value] if isinstance(value, list) else round(value, DIGITS)
