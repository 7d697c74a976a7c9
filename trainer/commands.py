"""`webtext-train sample`, `export` and `verify`: commands on a trained network or its checkpoint."""

import logging
import sys
from argparse import Namespace
from pathlib import Path

from tokenizer.errors import InputError
from tokenizer.folder_lock import folder_lock
from tokenizer.labels import printable, printable_text
from trainer.checkpoint.folders import newest
from trainer.checkpoint.load import load_model
from trainer.checkpoint.metadata import read_metadata
from trainer.distributed import environment
from trainer.export import check_export_folder, save_hf
from trainer.generate import check_ranges, generate

log = logging.getLogger(__name__)

DEFAULT_NEW_TOKENS = 100


def sample(arguments: Namespace) -> int:
    """Print each prompt and its continuation."""
    model, tokenizer, _ = load_model(Path(arguments.checkpoint), environment(arguments.device).device)
    new_tokens = min(DEFAULT_NEW_TOKENS, model.config.context - 1) if arguments.tokens is None else arguments.tokens
    prompts = [prompt for prompt in arguments.prompt or [""] for _ in range(arguments.samples)]
    ids = [tokenizer.encode(prompt) or [tokenizer.eot_id] for prompt in prompts]
    try:
        check_ranges(arguments.temperature, arguments.top_k, arguments.top_p, arguments.seed)
        ids = [_last_tokens(prompt, model.config.context, new_tokens) for prompt in ids]
        continuations = generate(
            model,
            ids,
            new_tokens,
            arguments.temperature,
            arguments.top_k,
            arguments.top_p,
            arguments.seed,
            tokenizer.eot_id,
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    for prompt, continuation in zip(prompts, continuations, strict=True):
        sys.stdout.write(printable_text(prompt + tokenizer.decode(continuation)) + ("\n\n" if len(prompts) > 1 else "\n"))
    return 0


def _last_tokens(prompt: list[int], context: int, new_tokens: int) -> list[int]:
    """The prompt's last tokens, as many as leave room for the new ones. Says so where some are left out.

    Raises InputError where the new tokens alone fill the context.
    """
    room = context - new_tokens
    if room < 1:
        raise InputError(
            f"--tokens {new_tokens}: the model's context is {context} tokens, with the prompt; give at most {context - 1}"
        )
    if len(prompt) > room:
        log.warning(
            "the prompt has %s tokens: the model sees the last %s, since its context of %s holds the %s new ones too",
            *(f"{number:,}" for number in (len(prompt), room, context, new_tokens)),
        )
    return prompt[-room:]


def export(arguments: Namespace) -> int:
    """Write a checkpoint as a Hugging Face GPT-2 folder."""
    check_export_folder(Path(arguments.folder))
    model, tokenizer, _ = load_model(Path(arguments.checkpoint), environment(arguments.device).device)
    with folder_lock(arguments.folder):
        written = save_hf(model, tokenizer, arguments.folder)
    sys.stdout.write(f"{printable(written)}\n")
    return 0


def verify(arguments: Namespace) -> int:
    """Compare a checkpoint's files with the hashes in its metadata."""
    metadata = read_metadata(newest(Path(arguments.checkpoint)))
    sys.stdout.write(
        f"step {metadata.step:,}, {metadata.tokens:,} tokens of corpus {metadata.corpus_sha256}: all files match their hashes\n"
    )
    return 0
