"""`webtext-train explain`: one page that shows what a network does with a prompt, for people who learn or teach GPT-2."""

import argparse
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from tokenizer.codec import Tokenizer
from trainer.explain.activations import Anatomy, dissect, likeness
from trainer.checkpoint import load_model
from trainer.config import InputError
from trainer.model import GPT

LIKELIEST = 8
DIGITS = 5


def main(argv: Sequence[str]) -> int:
    """Write the page. Raises InputError for a prompt that is empty or too long."""
    parser = argparse.ArgumentParser("webtext-train explain", description=__doc__, allow_abbrev=False)
    parser.add_argument("checkpoint", help="a run, one of its checkpoints, or a Hugging Face GPT-2 folder")
    parser.add_argument("--prompt", required=True, help="what the network reads")
    parser.add_argument("--other", help="a second text that shares a word with it, to see one word's vector in two contexts")
    parser.add_argument("--out", default="explain.html", help="the page (default: explain.html)")
    arguments = parser.parse_args(list(argv))
    model, tokenizer, _ = load_model(arguments.checkpoint)
    out = Path(arguments.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(model, tokenizer, arguments.prompt, arguments.other), encoding="utf-8")
    print(out)  # noqa: T201 - what the command gives
    return 0


def page(model: GPT, tokenizer: Tokenizer, prompt: str, other: str | None = None) -> str:
    """The whole page, which needs nothing else."""
    first = _read(model, tokenizer, prompt)
    second = None if other is None else _read(model, tokenizer, other)
    data = json.dumps(describe(model, tokenizer, first, second), ensure_ascii=False).replace("</", "<\\/")
    template = files("trainer.explain").joinpath("page.html").read_text(encoding="utf-8")
    return template.replace("__DATA__", data)


def describe(model: GPT, tokenizer: Tokenizer, first: Anatomy, second: Anatomy | None) -> dict[str, Any]:
    """What the page draws, rounded to five digits."""
    config = model.config
    return {
        "model": {
            "layers": config.layers,
            "heads": config.heads,
            "width": config.width,
            "vocabulary": config.vocabulary,
            "parameters": sum(p.numel() for p in model.parameters()),
        },
        "tokens": [_spelled(tokenizer, i) for i in first.ids],
        "nats": _rounded(first.nats),
        "next": [
            [[_spelled(tokenizer, i), round(p, DIGITS)] for i, p in first.likeliest(place, LIKELIEST)]
            for place in range(len(first.ids))
        ],
        "attention": _rounded(first.attention_LHTT.tolist()),
        "contexts": None if second is None else _contexts(tokenizer, first, second),
    }


def _contexts(tokenizer: Tokenizer, first: Anatomy, second: Anatomy) -> dict[str, Any]:
    """Every token that both texts hold, and how alike its two vectors are, layer by layer."""
    shared = [i for i in dict.fromkeys(first.ids[1:]) if i in second.ids[1:]]
    return {
        "tokens": [_spelled(tokenizer, i) for i in second.ids],
        "shared": [
            {
                "token": _spelled(tokenizer, i),
                "likeness": _rounded(likeness(first, first.ids.index(i, 1), second, second.ids.index(i, 1))),
            }
            for i in shared
        ],
    }


def _read(model: GPT, tokenizer: Tokenizer, text: str) -> Anatomy:
    ids = [tokenizer.eot_id, *tokenizer.encode(text)]
    if len(ids) < 2:
        raise InputError("--prompt: empty; give the network something to read")
    if len(ids) > model.config.context:
        raise InputError(f"--prompt: {len(ids)} tokens with the end of text; the model's context is {model.config.context}")
    return dissect(model, ids)


def _spelled(tokenizer: Tokenizer, token: int) -> str:
    return "⏎start" if token == tokenizer.eot_id else tokenizer.decode([token])


def _rounded(value: Any) -> Any:
    return [_rounded(item) for item in value] if isinstance(value, list) else round(value, DIGITS)
