"""Memory of a rank by formula, and the parallelism that fits a GPU."""

from dataclasses import replace

import torch

from trainer.config import TrainConfig
from trainer.distributed import World
from trainer.loss import chunk_rows

USABLE = 0.9
"""Part of a GPU's memory that tensors may take: the rest is the allocator's gaps, NCCL's buffers and CUDA's code."""


def peak_bytes(config: TrainConfig, ranks: int, device: str = "cpu") -> int:
    """Peak memory by formula for GPT-2 in bf16 over fp32 weights without recomputation, during the loss's last chunk.

    Weights, gradients and two moments take 16 bytes per parameter; under FSDP 12 divided by the ranks, since no gradient has been
    summed yet. With several micro-batches per step, FSDP keeps all weights gathered and accumulates all gradients. Per token, each
    block keeps inputs and outputs of two norms, queries, keys, values, the attention's output, and four times the width before and
    after GELU. `device` decides how many rows of logits a chunk of the loss has.
    """
    model, sharded = config.model, config.strategy == "fsdp" and ranks > 1
    width, layers, rows = model.width, model.layers, model.padded_rows
    tokens = config.micro_batch * model.context
    stream = 4 if config.fp32_stream and not sharded else 2  # bytes per number of the residual stream
    state = 12 * model.parameters // ranks if sharded else 16 * model.parameters
    matrices = 12 * width**2
    if not sharded:
        cast = 2 * layers * matrices
    elif config.micro_batches(ranks) > 1:
        cast = (2 + (2 if config.gradient_type == "bf16" else 4)) * model.parameters
    else:
        cast = 2 * (matrices + (model.vocabulary + model.context) * width)
    activations = tokens * layers * ((2 * stream + 28) * width + 4 * model.heads + 16) + tokens * width * stream
    chunk = min(chunk_rows(tokens, rows, device), tokens)
    head = 6 * tokens * width + (2 + 4 + 2) * rows * width + (2 + 4) * chunk * rows
    return state + cast + activations + head


def resolve_strategy(config: TrainConfig, ranks: int, memory_bytes: int | None) -> TrainConfig:
    """The recipe with the strategy `auto` replaced: DDP, which sends least, where it fits into the memory of a GPU, else FSDP.

    Without a GPU, `memory_bytes` None, it is DDP.
    """
    if config.strategy != "auto":
        return config
    fits = memory_bytes is None or peak_bytes(replace(config, strategy="ddp"), ranks, "cuda") <= USABLE * memory_bytes
    return replace(config, strategy="ddp" if fits else "fsdp")


def memory_of(world: World) -> int | None:
    """Memory of this rank's GPU in bytes; None on a CPU."""
    return torch.cuda.get_device_properties(world.device).total_memory if world.device.type == "cuda" else None
