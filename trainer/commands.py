"""`webtext-train sample`, `export` and `verify`: what is done with a trained network besides evaluating it."""

import sys
from argparse import Namespace
from pathlib import Path

from trainer.checkpoint import load_model, newest, read_facts
from trainer.config import InputError
from trainer.export import save_hf
from trainer.generate import generate


def sample(arguments: Namespace) -> int:
    """Print each prompt with what follows."""
    model, tokenizer, _ = load_model(Path(arguments.checkpoint))
    prompts = [prompt for prompt in arguments.prompt or [""] for _ in range(arguments.samples)]
    ids = [tokenizer.encode(prompt) or [tokenizer.eot_id] for prompt in prompts]
    try:
        found = generate(
            model,
            ids,
            arguments.tokens,
            arguments.temperature,
            arguments.top_k,
            arguments.top_p,
            arguments.seed,
            tokenizer.eot_id,
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    for prompt, new in zip(prompts, found, strict=True):
        sys.stdout.write(prompt + tokenizer.decode(new) + ("\n\n" if len(prompts) > 1 else "\n"))
    return 0


def export(arguments: Namespace) -> int:
    """Write a checkpoint as a Hugging Face GPT-2 folder."""
    model, tokenizer, _ = load_model(Path(arguments.checkpoint))
    sys.stdout.write(f"{save_hf(model, tokenizer, arguments.folder)}\n")
    return 0


def verify(arguments: Namespace) -> int:
    """Read a checkpoint whole and compare it with what it says of itself."""
    facts = read_facts(newest(Path(arguments.checkpoint)))
    sys.stdout.write(
        f"step {facts.step:,}, {facts.tokens:,} tokens of corpus {facts.corpus_sha256}: every file is as it was written\n"
    )
    return 0
