"""Networks from checkpoints, runs and Hugging Face folders."""

import logging
from dataclasses import replace
from pathlib import Path

import torch

from tokenizer.codec import Tokenizer
from tokenizer.errors import FormatError, InputError
from tokenizer.foreign import VOCABULARIES
from tokenizer.formats import MERGES_NAMES, TIKTOKEN_RANKS, TOKENIZER_JSON
from trainer.checkpoint.folders import newest
from trainer.checkpoint.metadata import read_metadata
from trainer.checkpoint.tensors import load_tensors
from trainer.config import TrainConfig
from trainer.distributed import World
from trainer.export import check_hf, is_hf_folder, load_hf
from trainer.model import GPT

log = logging.getLogger(__name__)


def load_model(
    path: str | Path, device: str | torch.device = "cpu", *, verify: bool = True
) -> tuple[GPT, Tokenizer, TrainConfig]:
    """A network in evaluation mode and fp32, its tokenizer and its recipe (for a Hugging Face folder only the network's shape).

    `path` is a Hugging Face folder, a checkpoint, or a run, which stands for its newest checkpoint. Raises InputError for
    anything else, and DamagedCheckpointError for a damaged checkpoint. Without `verify`, hashes are not checked: another rank does.
    """
    folder = Path(path)
    try:
        if is_hf_folder(folder):
            tokenizer = _tokenizer_of(folder)
            model = _without_padding(load_hf(folder), tokenizer, folder)
            return model.to(device).eval(), tokenizer, _config_of_shape(model)
        folder = newest(folder)
        metadata = read_metadata(folder, verify=verify)
        model = GPT(metadata.config.model)
        load_tensors(folder / "model", {name: weight.detach() for name, weight in model.named_parameters()}, World())
        return model.to(device).eval(), Tokenizer.load(folder / "tokenizer"), metadata.config
    except FormatError as error:
        raise InputError(str(error)) from error


def check_model(path: str | Path) -> None:
    """Raise InputError where `load_model` would, but for damage within the weights, of which nothing is read."""
    folder = Path(path)
    try:
        if is_hf_folder(folder):
            _tokenizer_of(folder)
            check_hf(folder)
        else:
            folder = newest(folder)
            read_metadata(folder, verify=False)
            Tokenizer.load(folder / "tokenizer")
    except FormatError as error:
        raise InputError(str(error)) from error


def _tokenizer_of(folder: Path) -> Tokenizer:
    """The tokenizer in a network's folder. Raises InputError where the folder says no id: merges alone name none."""
    known = (TOKENIZER_JSON, TIKTOKEN_RANKS, *VOCABULARIES)
    if not any((folder / name).exists() for name in known) and any((folder / name).exists() for name in MERGES_NAMES):
        raise InputError(
            f"{folder}: has merges, but no {VOCABULARIES[0]} beside them that says which row of the embedding each token has; "
            f"put the network's {VOCABULARIES[0]} or {TOKENIZER_JSON} there"
        )
    return Tokenizer.load(folder)


def _without_padding(model: GPT, tokenizer: Tokenizer, folder: Path) -> GPT:
    """The network without the embedding rows beyond the tokenizer's ids: vocabularies are padded, such as 50,257 to 50,304.

    No text has these ids, so a padded row would only take probability from the others. Raises InputError if ids have no row.
    """
    rows, ids = model.config.vocabulary, tokenizer.vocab_size
    if rows < ids:
        raise InputError(f"{folder}: the network has {rows:,} embeddings, its tokenizer {ids:,} ids; they are not of one model")
    if rows == ids:
        return model
    log.warning(
        "%s: %d of the network's %d embeddings stand for no id of its tokenizer; they are left out", folder, rows - ids, rows
    )
    smaller = GPT(replace(model.config, vocabulary=ids))
    vocabulary_tensors = ("token_embedding.weight", "head.weight")
    state = {name: value[:ids] if name in vocabulary_tensors else value for name, value in model.state_dict().items()}
    smaller.load_state_dict(state)
    return smaller


def _config_of_shape(model: GPT) -> TrainConfig:
    return TrainConfig(preset="hugging-face", model=model.config, batch_tokens=model.config.context)
