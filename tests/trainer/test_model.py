"""GPT-2: parameter counts, FLOPs, masks, and agreement with a trained network of this architecture."""

import base64
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from trainer.attention import Documents
from trainer.config import ModelConfig
from trainer.model import GPT
from trainer.presets import PRESETS

SMALL = ModelConfig(layers=2, heads=2, width=32, context=16, vocabulary=97)


def random_gpt(config: ModelConfig, dtype: torch.dtype = torch.float64) -> GPT:
    model = GPT(config).to(dtype)
    model.init_weights(5)
    return model


@pytest.mark.parametrize(
    ("preset", "parameters"),
    [("gpt2-small", 124_439_808), ("gpt2-medium", 354_823_168), ("gpt2-large", 774_030_080), ("gpt2-xl", 1_557_611_200)],
)
def test_parameter_counts_equal_gpt2s(preset: str, parameters: int) -> None:
    config = PRESETS[preset]().model
    with torch.device("meta"):
        model = GPT(config)
    assert sum(p.numel() for p in model.parameters()) == parameters == config.parameters
    assert config.padded_rows == 50_304


@pytest.mark.parametrize(
    "change",
    [{"norm": "rms"}, {"skips": True}, {"value_embeddings": True}, {"norm": "rms", "tied": False, "positions": "rotary"}],
)
def test_parameters_of_other_shapes_are_counted(change: dict[str, Any]) -> None:
    config = replace(PRESETS["gpt2-small"]().model, **change)
    with torch.device("meta"):
        assert sum(p.numel() for p in GPT(config).parameters()) == config.parameters


@pytest.mark.parametrize(("fp32_stream", "dtype"), [(False, torch.bfloat16), (True, torch.float32)])
def test_the_residual_stream_has_the_products_type(fp32_stream: bool, dtype: torch.dtype) -> None:
    config = ModelConfig(layers=2, heads=2, width=16, context=8, vocabulary=30)
    model = GPT(config)
    model.fp32_stream = fp32_stream
    types = []
    for block in model.blocks:
        block.register_forward_pre_hook(lambda _, inputs: types.append(inputs[0].dtype))
    tokens = torch.zeros((1, 8), dtype=torch.long)
    with torch.autocast("cpu", torch.bfloat16):
        model(tokens, tokens)
    assert types == [dtype, dtype]
    model(tokens, tokens)
    assert types[2:] == [torch.float32] * 2


@pytest.mark.parametrize("preset", ["gpt2-small", "gpt2-xl"])
def test_flops_formula_equals_torchs_count(preset: str) -> None:
    config = PRESETS[preset]().model
    with torch.device("meta"):
        model = GPT(config)
        tokens = torch.zeros((1, config.context), dtype=torch.long)
        with FlopCounterMode(display=False) as counter:
            model(tokens).sum().backward()
    assert counter.get_total_flops() == config.flops_per_sequence()


def test_initial_weights_are_distributed_like_gpt2s() -> None:
    model = random_gpt(ModelConfig(layers=4, heads=4, width=256, context=64, vocabulary=1000))
    assert model.token_embedding.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert model.blocks[0].attention.qkv.weight.std().item() == pytest.approx(0.02, rel=0.02)
    for projection in (model.blocks[3].attention.projection, model.blocks[3].feed_forward.projection):
        assert projection.weight.std().item() == pytest.approx(0.02 / math.sqrt(8), rel=0.02)
        assert not projection.bias.any()
    assert (model.norm.weight == 1).all()


def test_future_tokens_do_not_affect_logits() -> None:
    model = random_gpt(SMALL)
    tokens = torch.randint(0, 97, (2, 16))
    other = tokens.clone()
    other[:, 9:] = (other[:, 9:] + 1) % 97
    assert torch.equal(model(tokens)[:, :9], model(other)[:, :9])


def test_a_document_mask_separates_documents() -> None:
    model = random_gpt(replace(SMALL, positions="rotary"))
    tokens = torch.randint(0, 97, (1, 16))
    ids = torch.tensor([[0] * 6 + [1] * 10])
    cut = model(tokens, documents=Documents.of_ids(ids))
    assert (cut[:, :6] - model(tokens[:, :6])).abs().max() < 1e-12
    assert (cut[:, 6:] - model(tokens[:, 6:])).abs().max() < 1e-9
    assert (cut - model(tokens)).abs().max() > 1e-6


def test_activation_checkpointing_gives_the_same_gradients() -> None:
    tokens = torch.randint(0, 97, (2, 17))
    gradients = []
    for recompute in (False, True):
        model = random_gpt(SMALL)
        model.recompute_blocks(recompute)
        model(tokens[:, :-1], tokens[:, 1:]).backward()
        gradients.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_the_model_overfits_one_batch() -> None:
    model = random_gpt(SMALL, torch.float32)
    tokens = torch.randint(0, 97, (4, 17), generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    for _ in range(150):
        optimizer.zero_grad()
        loss = model(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def decode(entry: dict) -> torch.Tensor:
    values = np.frombuffer(base64.b64decode(entry["data"]), np.float32).reshape(entry["shape"])
    return torch.from_numpy(values.copy())


def nano_name(name: str) -> str:
    """Our name of a tensor, from minGPT's."""
    parts = (
        ("transformer.wte", "token_embedding"), ("transformer.wpe", "position_embedding"), ("transformer.ln_f", "norm"),
        ("transformer.h", "blocks"), ("lm_head", "head"), ("ln_1", "norm_1"), ("ln_2", "norm_2"), ("attn.c_attn", "attention.qkv"),
        ("attn.c_proj", "attention.projection"), ("mlp.c_fc", "feed_forward.up"), ("mlp.c_proj", "feed_forward.projection"),
    )  # fmt: skip
    for theirs, ours in parts:
        name = name.replace(theirs, ours)
    return name


def test_outputs_equal_those_of_a_trained_network(shared_data: Path) -> None:
    stored = json.loads((shared_data / "nano/model.json").read_text())
    partials = json.loads((shared_data / "nano/partials.json").read_text())
    config = ModelConfig(layers=3, heads=3, width=48, context=11, vocabulary=3, tied=False)
    model = GPT(config)
    tensors = {nano_name(name): decode(entry) for name, entry in stored.items() if name.endswith(("weight", "bias"))}
    model.load_state_dict({name: tensors[name] for name in model.state_dict()})
    tokens = decode(partials["idx"]).long()
    with torch.no_grad():
        assert (model(tokens) - decode(partials["lm_head"])).abs().max() < 2e-6
        assert (model.hidden(tokens) - decode(partials["ln_f"])).abs().max() < 2e-5
