"""Networks from checkpoints, runs and Hugging Face folders."""

from pathlib import Path

import torch

from tokenizer.codec import Tokenizer
from tokenizer.errors import FormatError
from trainer.checkpoint.folders import newest
from trainer.checkpoint.metadata import read_metadata
from trainer.checkpoint.tensors import load_tensors
from trainer.config import InputError, TrainConfig
from trainer.distributed import World
from trainer.export import WEIGHTS, load_hf
from trainer.model import GPT


def load_model(path: str | Path, device: str | torch.device = "cpu") -> tuple[GPT, Tokenizer, TrainConfig]:
    """A network in evaluation mode and fp32, its tokenizer and its recipe (for a Hugging Face folder only the network's shape).

    `path` is a Hugging Face folder, a checkpoint, or a run, which stands for its newest checkpoint. Raises InputError for
    anything else, and DamagedCheckpointError for a damaged checkpoint.
    """
    folder = Path(path)
    try:
        if (folder / WEIGHTS).exists():
            model = load_hf(folder)
            return model.to(device).eval(), Tokenizer.load(folder), _config_of_shape(model)
        folder = newest(folder)
        metadata = read_metadata(folder)
        model = GPT(metadata.config.model)
        load_tensors(folder / "model", {name: weight.detach() for name, weight in model.named_parameters()}, World())
        return model.to(device).eval(), Tokenizer.load(folder / "tokenizer"), metadata.config
    except FormatError as error:
        raise InputError(str(error)) from error


def _config_of_shape(model: GPT) -> TrainConfig:
    return TrainConfig(preset="hugging-face", model=model.config, batch_tokens=model.config.context)
