"""`webtext-train sample`: prompts in, their continuations out."""

from argparse import Namespace
from pathlib import Path

from trainer.checkpoint import load_model
from trainer.config import InputError
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
        print(prompt + tokenizer.decode(new), end="\n\n" if len(prompts) > 1 else "\n")
    return 0
