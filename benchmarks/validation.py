"""Validation at GPT-2 small's shape, beside what it was: `python benchmarks/validation.py`.

`before` casts the weights for each micro-batch and computes the output layer's gradient with its loss, as validation did until
2026-11-28. In turns in one process, in CPU seconds; ratios compare the times of a round. Weights are random, as speed does not
depend on them.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trainer.allocator import keep_large_pages
from trainer.config import ModelConfig
from trainer.loss import _HeadLoss, chunk_rows
from trainer.model import GPT


def before(model: GPT, tokens: Tensor, *, bf16: bool) -> float:
    """The loss of the micro-batches (rows of tokens), with three products of the output layer."""
    total = 0.0
    for row in tokens:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            hidden = model.hidden(row[None, :-1]).flatten(0, 1)
            hidden = hidden.to(torch.bfloat16) if bf16 else hidden
            rows = chunk_rows(len(hidden), model.config.padded_rows, "cpu")
            weight = model.token_embedding.weight
            loss = _HeadLoss.apply(hidden, weight, row[1:], model.config.padded_rows, rows, 0.0)  # type: ignore[no-untyped-call]
        total += float(loss)
    return total / len(tokens)


def now(model: GPT, tokens: Tensor, *, bf16: bool) -> float:
    """The loss of the micro-batches, as `Trainer.validate` computes it."""
    total = 0.0
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16), model.keeping_head():
        for row in tokens:
            total += float(model(row[None, :-1], row[None, 1:]))
    return total / len(tokens)


VARIANTS: dict[str, tuple[Callable[..., float], bool]] = {
    "before, bf16": (before, True),
    "now, bf16": (now, True),
    "before, fp32": (before, False),
    "now, fp32": (now, False),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Print each round, then the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--windows", type=int, default=1, help="micro-batches of one window each")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), help="ratios are to the first")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    keep_large_pages()
    model = GPT(ModelConfig(layers=arguments.layers)).eval()
    tokens = torch.randint(0, 50_257, (arguments.windows, 1025), generator=torch.Generator().manual_seed(1))
    times: dict[str, list[float]] = {name: [] for name in arguments.only}
    for turn in range(arguments.rounds + 1):  # the first warms up
        line = []
        for name in arguments.only:
            run, bf16 = VARIANTS[name]
            began = time.process_time()
            loss = run(model, tokens, bf16=bf16)
            times[name].append(time.process_time() - began)
            line.append(f"{name} {times[name][-1]:.2f} s, loss {loss:.4f}")
        sys.stdout.write(f"{'; '.join(line)}{' (warm-up)' if not turn else ''}\n")
        sys.stdout.flush()
    base = times[arguments.only[0]][1:]
    for name, seconds in times.items():
        ratios = sorted(b / s for b, s in zip(base, seconds[1:], strict=True))
        sys.stdout.write(
            f"{name:14} {statistics.median(seconds[1:]):6.2f} CPU s  {ratios[0]:.2f}-{statistics.median(ratios):.2f}-{ratios[-1]:.2f}x\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
