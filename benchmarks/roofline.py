"""What a training step can reach at most on a card: `python benchmarks/roofline.py H100 gpt2-small --ranks 8`.

Each part of a step takes at least its FLOPs over the card's nominal FLOPS, or its bytes over the nominal bandwidth, and parts do
not overlap except for the exchange of gradients with the backward pass. No kernel reaches the nominal figures, so expect less.
Nothing here is measured.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trainer.cards import CARDS, Card
from trainer.config import TrainConfig
from trainer.memory import peak_bytes, resolve_strategy
from trainer.presets import PRESETS

STREAM_BYTES = 186
"""Bytes per token, layer and unit of width that norms, GELU, attention and residuals read and write in bf16, both passes.

Forward 62: norms 8, queries to values 6 written and 6 read, attention's output 2, two projections 4 and residual additions 12,
GELU 8 + 16. Backward twice as much.
"""
LOSS_BYTES = 12
"""Bytes per token and class: logits written and read in bf16, their exponentials and gradients once each in 32 and 16 bits."""
ADAMW_BYTES = 28
"""Bytes per parameter: weight, gradient and two moments read, all but the gradient written, in fp32."""
BACKWARD_SHARE = 2 / 3


@dataclass(frozen=True, slots=True)
class Roofline:
    """Least seconds of a step's parts on one rank, and what follows."""

    parts: dict[str, float]
    exposed_exchange: float
    tokens_per_second: float
    utilization: float
    memory_bytes: int


def roofline(card: Card, config: TrainConfig, ranks: int, link_gigabytes_per_second: float) -> Roofline:
    """The roofline of a recipe's step on `ranks` cards; the link's bandwidth is each card's in one direction."""
    model = config.model
    tokens = config.batch_tokens / ranks
    flops, memory = card.tflops * 1e12, card.gigabytes_per_second * 1e9
    matrices = 12 * model.layers * model.width**2
    sharded = config.strategy == "fsdp" and ranks > 1
    parts = {
        "blocks' products": 6 * matrices * tokens / flops,
        "output layer's products": 6 * model.vocabulary * model.width * tokens / flops,
        "attention, causal": 6 * model.layers * model.width * model.context * tokens / flops,
        "norms, GELU, residuals": STREAM_BYTES * model.layers * model.width * tokens / memory,
        "softmax of the loss": LOSS_BYTES * model.padded_rows * tokens / memory,
        "optimizer": ADAMW_BYTES * model.parameters / (ranks if sharded else 1) / memory,
    }
    compute = sum(parts.values())
    sent = _exchanged_bytes(config, ranks, sharded=sharded) * (ranks - 1) / ranks
    exposed = max(0.0, sent / (link_gigabytes_per_second * 1e9) - BACKWARD_SHARE * compute)
    speed = config.batch_tokens / (compute + exposed)
    used = speed * model.flops_per_sequence() / model.context / (flops * ranks)
    return Roofline(parts, exposed, speed, used, peak_bytes(config, ranks))


def _exchanged_bytes(config: TrainConfig, ranks: int, *, sharded: bool) -> float:
    """Bytes per step that each rank sends in rings, before the factor (ranks - 1) / ranks."""
    if not sharded:
        return 2 * 4 * config.model.parameters
    gathers = 1 if config.micro_batches(ranks) > 1 else 2
    return (2 * gathers + (2 if config.gradient_type == "bf16" else 4)) * config.model.parameters


def main(argv: Sequence[str] | None = None) -> int:
    """Print the roofline of a card and a preset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("card", choices=sorted(CARDS))
    parser.add_argument("preset", choices=tuple(PRESETS))
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--memory-gib", type=int, default=80)
    parser.add_argument("--link", type=float, default=450, metavar="GB/S", help="per card and direction (default: NVLink 4)")
    arguments = parser.parse_args(argv)
    card, config = CARDS[arguments.card], replace(PRESETS[arguments.preset](), precision="bf16")
    config = resolve_strategy(config, arguments.ranks, arguments.memory_gib << 30)
    found = roofline(card, config, arguments.ranks, arguments.link)
    write = sys.stdout.write
    write(f"{arguments.preset} on {arguments.ranks} x {arguments.card} by {config.strategy}: nominal bounds, nothing measured\n")
    write(f"{card.tflops:,} TFLOPS bf16, {card.gigabytes_per_second:,} GB/s ({card.source})\n")
    write(f"agrees with: {card.read}\n")
    for name, seconds in (*found.parts.items(), ("exchange that the backward pass does not hide", found.exposed_exchange)):
        write(f"  {name:<46}{seconds * 1e3:>10.2f} ms\n")
    write(f"at most {found.tokens_per_second:,.0f} tokens/s, {100 * found.utilization:.0f} % MFU; ")
    write(f"a rank holds {found.memory_bytes / 2**30:.1f} GiB by formula\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
