"""Hugging Face GPT-2 folders: model.safetensors, config.json and the tokenizer, as `transformers` reads and writes them.

Their linear layers are OpenAI's Conv1D, whose weights (in, out) are the transpose of ours. Exporting copies numbers without
arithmetic: importing an export gives the same bits.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tokenizer.codec import Tokenizer
from tokenizer.errors import InputError
from tokenizer.typed_json import decode
from tokenizer.untrusted import check_file, read_file
from trainer.config import ModelConfig
from trainer.model import GPT, NORM_EPSILON

__all__ = ["CONFIG", "WEIGHTS", "load_hf", "names", "save_hf"]

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
_LEAST_BYTES_PER_WEIGHT = 1

_BLOCK = {
    "norm_1": "ln_1",
    "attention.qkv": "attn.c_attn",
    "attention.projection": "attn.c_proj",
    "norm_2": "ln_2",
    "feed_forward.up": "mlp.c_fc",
    "feed_forward.projection": "mlp.c_proj",
}
_TOP = {
    "token_embedding.weight": "wte.weight",
    "position_embedding.weight": "wpe.weight",
    "norm.weight": "ln_f.weight",
    "norm.bias": "ln_f.bias",
}


def save_hf(model: GPT, tokenizer: Tokenizer, folder: str | Path) -> Path:
    """Write the network as a Hugging Face GPT-2 folder and return it. Raises InputError if its architecture is not GPT-2's."""
    config = model.config
    if (config.activation, config.positions, config.qk_norm) != ("gelu", "learned", False):
        raise InputError(
            "cannot export a network with rotary positions, QK-norm or ReLU²: Hugging Face's GPT2LMHeadModel has none of them"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = model.state_dict()
    tensors = {theirs: _transpose(ours, state[ours]) for ours, theirs in names(config)}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    text = json.dumps(_their_config(config, tokenizer.eot_id), indent=2) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf-8")
    tokenizer.save(folder)
    return folder


def load_hf(folder: str | Path) -> GPT:
    """Network from a Hugging Face GPT-2 folder, in fp32. Raises InputError if a file is missing, damaged or not GPT-2's."""
    folder = Path(folder)
    try:
        check_file(folder, CONFIG)
        config = _our_config(decode(read_file(folder / CONFIG), _TheirConfig))
        _check_size(folder, config)
        tensors = {name.removeprefix("transformer."): value for name, value in load_file(folder / WEIGHTS).items()}
        model = GPT(config)
        state = {ours: _transpose(ours, tensors[theirs]) for ours, theirs in names(config)}
        model.load_state_dict(state)
    except FileNotFoundError as error:
        raise InputError(f"{folder}: not a Hugging Face GPT-2 folder ({error.filename} is missing)") from error
    except KeyError as error:
        raise InputError(f"{folder}: not a Hugging Face GPT-2 folder ({error} is missing)") from error
    except (ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{folder}: not a Hugging Face GPT-2 folder ({' '.join(str(error).split())[:300]})") from error
    return model


def _check_size(folder: Path, config: ModelConfig) -> None:
    """Raise ValueError for a network that is larger than its file: building it could take all memory."""
    weights = check_file(folder, WEIGHTS)
    if weights is not None and _LEAST_BYTES_PER_WEIGHT * config.parameters > weights.st_size:
        raise ValueError(
            f"{CONFIG} names {config.parameters:,} parameters (n_embd {config.width}, n_layer {config.layers}), "
            f"{WEIGHTS} has {weights.st_size:,} bytes"
        )


def names(config: ModelConfig) -> Iterator[tuple[str, str]]:
    """Pairs of our name and Hugging Face's name of each tensor."""
    yield from _TOP.items()
    if not config.tied:
        yield "head.weight", "lm_head.weight"
    for layer in range(config.layers):
        for ours, theirs in _BLOCK.items():
            for kind in ("weight", "bias"):
                yield f"blocks.{layer}.{ours}.{kind}", f"h.{layer}.{theirs}.{kind}"


def _transpose(name: str, value: Tensor) -> Tensor:
    """Copy of the tensor in fp32 on the CPU, transposed if it is a block's matrix."""
    is_matrix = name.startswith("blocks.") and value.ndim == 2
    return (value.T if is_matrix else value).detach().to("cpu", torch.float32).contiguous().clone()


def _their_config(config: ModelConfig, eot_id: int) -> dict[str, Any]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_layer": config.layers,
        "n_head": config.heads,
        "n_embd": config.width,
        "n_positions": config.context,
        "n_ctx": config.context,
        "vocab_size": config.vocabulary,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": NORM_EPSILON,
        "initializer_range": 0.02,
        "attn_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "tie_word_embeddings": config.tied,
        "bos_token_id": eot_id,
        "eos_token_id": eot_id,
        "dtype": "float32",
    }


class _TheirConfig(msgspec.Struct):
    """The entries of config.json that shape the network; `transformers` writes many more."""

    n_layer: int
    n_head: int
    n_embd: int
    vocab_size: int
    n_positions: int | None = None
    n_ctx: int = 1024
    tie_word_embeddings: bool = True
    model_type: str = "gpt2"
    activation_function: str = "gelu_new"
    layer_norm_epsilon: float = NORM_EPSILON


def _our_config(entries: _TheirConfig) -> ModelConfig:
    """ModelConfig from config.json. Raises ValueError for another architecture."""
    required = {"model_type": "gpt2", "activation_function": "gelu_new", "layer_norm_epsilon": NORM_EPSILON}
    for name, value in required.items():
        if getattr(entries, name) != value:
            raise ValueError(f"{name} is {getattr(entries, name)!r}, GPT-2's is {value!r}")
    return ModelConfig(
        layers=entries.n_layer,
        heads=entries.n_head,
        width=entries.n_embd,
        context=entries.n_ctx if entries.n_positions is None else entries.n_positions,
        vocabulary=entries.vocab_size,
        tied=entries.tie_word_embeddings,
    )
