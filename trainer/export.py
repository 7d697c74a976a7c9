"""Hugging Face GPT-2 folders: model.safetensors, config.json and the tokenizer, as `transformers` reads and writes them.

Their linear layers are OpenAI's Conv1D, whose weights (in, out) are the transpose of ours. Exporting copies numbers without
arithmetic: importing an export gives the same bits.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tokenizer.codec import Tokenizer
from tokenizer.errors import InputError
from tokenizer.formats import FILES
from tokenizer.outputs import check_folder, written_aside
from tokenizer.typed_json import decode
from tokenizer.untrusted import check_file, plain_name, read_file
from trainer.config import ModelConfig
from trainer.model import GPT, NORM_EPSILON

__all__ = ["CONFIG", "WEIGHTS", "check_export_folder", "check_hf", "is_hf_folder", "load_hf", "names", "save_hf"]

WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
"""Of weights in several files: the file of each tensor."""
CONFIG = "config.json"
_LEAST_BYTES_PER_WEIGHT = 1
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_OTHERS = ("tf_model.h5", "flax_model.msgpack", "model.ckpt.index")

_ARCHITECTURE = ("activation", "positions", "qk_norm", "norm", "softcap", "skips", "value_embeddings")
"""Fields of a network's shape in which Hugging Face's GPT-2 has no choice."""

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
    """Write the network as a Hugging Face GPT-2 folder and return it; an earlier export there is replaced file by file.

    Raises InputError if its architecture is not GPT-2's, or the folder holds anything else than an export.
    """
    config = model.config
    gpt2 = ModelConfig()
    others = [name for name in _ARCHITECTURE if getattr(config, name) != getattr(gpt2, name)]
    if others:
        raise InputError(
            f"cannot export a network with --{others[0].replace('_', '-')} {getattr(config, others[0])}: Hugging Face's "
            "GPT2LMHeadModel does not have it"
        )
    folder = Path(folder)
    check_export_folder(folder)
    state = model.state_dict()
    tensors = {theirs: _transpose(ours, state[ours]) for ours, theirs in names(config)}
    with written_aside(folder / WEIGHTS) as aside:
        save_file(tensors, aside, metadata={"format": "pt"})
    text = json.dumps(_their_config(config, tokenizer.eot_id), indent=2) + "\n"
    with written_aside(folder / CONFIG) as aside:
        aside.write_text(text, encoding="utf-8")
    tokenizer.save(folder, config.context)
    return folder


def check_export_folder(folder: Path) -> None:
    """Raise InputError where a folder holds anything else than an export: a tokenizer of a corpus must not be replaced."""
    is_export = (folder / WEIGHTS).is_file() and (folder / CONFIG).is_file()
    check_folder(folder, (WEIGHTS, CONFIG, *FILES) if is_export else (WEIGHTS,))


def is_hf_folder(folder: Path) -> bool:
    """Whether the folder holds weights as Hugging Face's libraries write them, in any of their formats."""
    return any((folder / name).is_file() for name in (WEIGHTS, _INDEX, *_PICKLES, *_OTHERS))


def load_hf(folder: str | Path) -> GPT:
    """Network from a Hugging Face GPT-2 folder, in fp32. Raises InputError if a file is missing, damaged or not GPT-2's.

    Weights are read from model.safetensors, in one file or several. Other formats are refused: a pickle can run code.
    """
    folder = Path(folder)
    config, paths = check_hf(folder)
    try:
        tensors = {name.removeprefix("transformer."): value for path in paths for name, value in load_file(path).items()}
        model = GPT(config)
        state = {ours: _transpose(ours, tensors[theirs]) for ours, theirs in names(config)}
        model.load_state_dict(state)
    except KeyError as error:
        raise InputError(f"{folder}: not a Hugging Face GPT-2 folder ({error} is missing)") from error
    except (ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{folder}: not a Hugging Face GPT-2 folder ({' '.join(str(error).split())[:300]})") from error
    return model


def check_hf(folder: Path) -> tuple[ModelConfig, list[Path]]:
    """The network's shape and the files of its weights. Raises InputError where they are no GPT-2's; no weight is read."""
    try:
        check_file(folder, CONFIG)
        config = _our_config(decode(read_file(folder / CONFIG), _TheirConfig))
        paths = _weight_files(folder)
        _check_size(paths, config)
    except FileNotFoundError as error:
        raise InputError(f"{folder}: not a Hugging Face GPT-2 folder ({error.filename} is missing)") from error
    except ValueError as error:
        raise InputError(f"{folder}: not a Hugging Face GPT-2 folder ({' '.join(str(error).split())[:300]})") from error
    return config, paths


def _check_size(paths: Sequence[Path], config: ModelConfig) -> None:
    """Raise ValueError for a network that is larger than its files: building it could take all memory."""
    stored = sum(path.stat().st_size for path in paths)
    if _LEAST_BYTES_PER_WEIGHT * config.parameters > stored:
        raise ValueError(
            f"{CONFIG} names {config.parameters:,} parameters (n_embd {config.width}, n_layer {config.layers}), "
            f"{paths[0].name} and its like have {stored:,} bytes"
        )


class _Index(msgspec.Struct):
    """The JSON of model.safetensors.index.json: the file of each tensor."""

    weight_map: dict[str, str]


def _weight_files(folder: Path) -> list[Path]:
    """The files of all weights. Raises InputError where the weights are in a format that is not read."""
    if (folder / WEIGHTS).exists():
        parts = [WEIGHTS]
    elif (folder / _INDEX).exists():
        check_file(folder, _INDEX)
        parts = sorted({plain_name(part) for part in decode(read_file(folder / _INDEX), _Index).weight_map.values()})
    else:
        _refuse_other_formats(folder)
        parts = [WEIGHTS]
    for part in parts:
        if check_file(folder, part) is None:
            raise FileNotFoundError(2, "no such file", str(folder / part))
    return [folder / part for part in parts]


def _refuse_other_formats(folder: Path) -> None:
    for name in (*_PICKLES, *_OTHERS):
        if (folder / name).exists():
            why = "a pickle, which can run code when it is read" if name in _PICKLES else "not safetensors"
            raise InputError(
                f"{folder / name}: {why}; load the folder with transformers, and write it with "
                "save_pretrained(FOLDER, safe_serialization=True)"
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
    n_inner: int | None = None
    tie_word_embeddings: bool = True
    model_type: str = "gpt2"
    activation_function: str = "gelu_new"
    layer_norm_epsilon: float = NORM_EPSILON
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    add_cross_attention: bool = False
    quantization_config: Any = None


def _our_config(entries: _TheirConfig) -> ModelConfig:
    """ModelConfig from config.json. Raises ValueError for another architecture."""
    required = {
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "layer_norm_epsilon": NORM_EPSILON,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
        "quantization_config": None,
    }  # reorder_and_upcast_attn changes rounding alone, and none in fp32
    for name, value in required.items():
        if getattr(entries, name) != value:
            raise ValueError(f"{name} is {getattr(entries, name)!r:.100}, GPT-2's is {value!r}")
    if entries.n_inner not in (None, 4 * entries.n_embd):
        raise ValueError(f"n_inner is {entries.n_inner!r}, GPT-2's is 4 * n_embd = {4 * entries.n_embd}")
    return ModelConfig(
        layers=entries.n_layer,
        heads=entries.n_head,
        width=entries.n_embd,
        context=entries.n_ctx if entries.n_positions is None else entries.n_positions,
        vocabulary=entries.vocab_size,
        tied=entries.tie_word_embeddings,
    )
