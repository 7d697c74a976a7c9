"""A training network in a process of its own, which benchmarks/training.py starts: `training_peer.py KIND FOLDER THREADS [SOURCE]`.

It reads lines "FIRST COUNT" and answers each with a JSON line: seconds, losses and peak memory of COUNT steps from step FIRST. FOLDER holds
the initial weights as a Hugging Face folder (`start`) and the windows (`windows.npy`). This module imports nothing of webtext.
"""

import contextlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

LEARNING_RATE, DECAY, BETAS, CLIP = 6e-4, 0.1, (0.9, 0.95), 1.0
Step = Callable[[Tensor, Tensor], float]


def nanogpt(folder: Path, source: Path, *, compiled: bool) -> Step:
    """Return nanoGPT's step as its train.py runs it with --device=cpu: in fp32 (it autocasts only on GPUs), with its own optimizer."""
    spec = importlib.util.spec_from_file_location("nanogpt_model", source / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nanogpt_model"] = module
    spec.loader.exec_module(module)
    config = json.loads((folder / "start/config.json").read_text())
    shape = module.GPTConfig(
        block_size=config["n_ctx"], vocab_size=50_304, n_layer=config["n_layer"], n_head=config["n_head"], n_embd=config["n_embd"],
        dropout=0.0, bias=False,
    )  # fmt: skip
    model = module.GPT(shape)
    weights = load_file(folder / "start/model.safetensors")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            value = weights[name.removeprefix("transformer.")]
            value = value.T if name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")) else value
            parameter[: len(value)].copy_(value)
    optimizer = model.configure_optimizers(DECAY, LEARNING_RATE, BETAS, "cpu")
    network = torch.compile(model) if compiled else model

    def step(inputs: Tensor, targets: Tensor) -> float:
        _, loss = network(inputs, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.item())

    return step


def hugging_face(folder: Path, *, bf16: bool) -> Step:
    """Return a step of GPT2LMHeadModel with SDPA and fused AdamW."""
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(folder / "start", attn_implementation="sdpa").train()
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, BETAS, weight_decay=DECAY, fused=True)

    def step(inputs: Tensor, targets: Tensor) -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(inputs).logits
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.item())

    return step


def serve(step: Step, windows: Tensor) -> None:
    """Answer requests for steps until the input ends."""
    print(json.dumps(memory()), flush=True)
    for line in sys.stdin:
        first, count = map(int, line.split())
        wall, processor = time.perf_counter(), time.process_time()
        losses = [step(window[:, :-1].contiguous(), window[:, 1:].contiguous()) for window in windows[first : first + count]]
        times = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor, "losses": losses}
        print(json.dumps({**times, **memory()}), flush=True)


def memory() -> dict[str, int]:
    """Return the peak memory of this process in MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return {"peak": int(status.partition("VmHWM:")[2].split()[0]) >> 10}


def windows_of(folder: Path) -> Tensor:
    """Load the windows: a tensor (steps, rows, context + 1) of token ids."""
    return torch.from_numpy(np.load(folder / "windows.npy").astype(np.int64))


def main(kind: str, folder: Path, threads: int, source: str = "") -> None:
    torch.set_num_threads(threads)
    makers: dict[str, Callable[[], Step]] = {
        "nanogpt": lambda: nanogpt(folder, Path(source), compiled=False),
        "nanogpt-compiled": lambda: nanogpt(folder, Path(source), compiled=True),
        "hugging-face": lambda: hugging_face(folder, bf16=False),
        "hugging-face-bf16": lambda: hugging_face(folder, bf16=True),
    }
    with contextlib.redirect_stdout(sys.stderr):  # nanoGPT prints while it is built; stdout is for the answers
        step = makers[kind]()
    serve(step, windows_of(folder))


if __name__ == "__main__":
    arguments: list[Any] = sys.argv[1:]
    main(arguments[0], Path(arguments[1]), int(arguments[2]), *arguments[3:])
