"""GPT-2 as Hugging Face's `transformers` keeps it: model.safetensors, config.json and the tokenizer in one folder.

Their linear layers are OpenAI's Conv1D, (in, out), the transpose of ours. Numbers are copied, never computed: export and import again is
bitwise the same.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tokenizer.codec import Tokenizer
from trainer.config import InputError, ModelConfig
from trainer.model import GPT, NORM_EPSILON

WEIGHTS = "model.safetensors"
CONFIG = "config.json"

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
    """Write the network as a Hugging Face GPT-2 folder. Raises InputError for one that GPT-2 cannot express."""
    config = model.config
    if (config.activation, config.positions, config.qk_norm) != ("gelu", "learned", False):
        raise InputError(
            "a network with rotary positions, QK-norm or ReLU² is no GPT-2: Hugging Face's GPT2LMHeadModel cannot hold it"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = model.state_dict()
    tensors = {theirs: _turned(ours, state[ours]) for ours, theirs in names(config)}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    text = json.dumps(_their_config(config, tokenizer.eot_id), indent=2) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf-8")
    tokenizer.save(folder)
    return folder


def load_hf(folder: str | Path) -> GPT:
    """The network of a Hugging Face GPT-2 folder, in fp32. Raises InputError for what is missing, damaged or not GPT-2."""
    folder = Path(folder)
    try:
        config = _our_config(json.loads((folder / CONFIG).read_bytes()))
        found = {name.removeprefix("transformer."): value for name, value in load_file(folder / WEIGHTS).items()}
        model = GPT(config)
        state = {ours: _turned(ours, found[theirs]) for ours, theirs in names(config)}
        model.load_state_dict(state)
    except FileNotFoundError as error:
        raise InputError(f"{folder}: not a Hugging Face GPT-2 folder ({error.filename} is missing)") from error
    except KeyError as error:
        raise InputError(f"{folder}: not a Hugging Face GPT-2 folder ({error} is missing)") from error
    except (ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{folder}: not a Hugging Face GPT-2 folder ({error})") from error
    return model


def names(config: ModelConfig) -> Iterator[tuple[str, str]]:
    """Our name of every tensor, and theirs."""
    yield from _TOP.items()
    if not config.tied:
        yield "head.weight", "lm_head.weight"
    for layer in range(config.layers):
        for ours, theirs in _BLOCK.items():
            for kind in ("weight", "bias"):
                yield f"blocks.{layer}.{ours}.{kind}", f"h.{layer}.{theirs}.{kind}"


def _turned(name: str, value: Tensor) -> Tensor:
    """A block's matrices are transposed, everything else is as it is."""
    turned = name.startswith("blocks.") and value.ndim == 2
    return (value.T if turned else value).detach().to("cpu", torch.float32).contiguous().clone()


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


def _our_config(said: dict[str, Any]) -> ModelConfig:
    """Raises ValueError for another architecture, and KeyError for a missing entry."""
    wanted = {"model_type": "gpt2", "activation_function": "gelu_new", "layer_norm_epsilon": NORM_EPSILON}
    for name, value in wanted.items():
        if said.get(name, value) != value:
            raise ValueError(f"{name} is {said[name]!r}, GPT-2's is {value!r}")
    return ModelConfig(
        layers=said["n_layer"],
        heads=said["n_head"],
        width=said["n_embd"],
        context=said.get("n_positions", said.get("n_ctx", 1024)),
        vocabulary=said["vocab_size"],
        tied=said.get("tie_word_embeddings", True),
    )
