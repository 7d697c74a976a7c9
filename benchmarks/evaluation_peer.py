"""The harness's side of benchmarks/evaluation.py, run by an interpreter that has lm_eval. Answers each JSON line with a JSON line.

{"load": folder}                    load a Hugging Face folder as lm_eval's HFLM, in fp32
{"task": name, "batch": rows}       run lm_eval.evaluate: its figures, wall seconds, CPU seconds and peak memory
{"loop": ids, "stride": tokens}     nats of ids[1:], by a plain loop over GPT2LMHeadModel without lm_eval
"""

import json
import os
import sys
import time
from typing import Any

import torch
from lm_eval import evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from scores import peak_mb, reset_peak  # beside this file


def main(tasks: str, threads: int) -> None:
    torch.set_num_threads(threads)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # lm_eval prints to stdout; its lines must not mix with the answers
    manager = TaskManager(include_path=tasks, include_defaults=False)
    lm: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        if "load" in request:
            lm = HFLM(pretrained=request["load"], device="cpu", dtype="float32", batch_size=1)
            answer: Any = {}
        elif "task" in request:
            lm.batch_size_per_gpu = request["batch"]
            answer = evaluate_task(lm, manager.load([request["task"]]))
        else:
            answer = {"nats": plain_loop(lm.model, request["loop"], request["stride"])}
        print(json.dumps(answer), file=answers, flush=True)


def evaluate_task(lm: HFLM, tasks: dict[str, Any]) -> dict[str, Any]:
    """Evaluate a loaded task. Its files were read before the clock starts; our side reads its files while the clock runs."""
    reset_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    results = evaluate(lm=lm, task_dict=tasks, bootstrap_iters=0, log_samples=False)
    (figures,) = results["results"].values()
    return {
        "figures": {name: value for name, value in figures.items() if isinstance(value, float)},
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak_mb": peak_mb(),
    }


def plain_loop(model: Any, ids: list[int], stride: int) -> float:
    """Sum the nats over windows of the full context. The last `stride` tokens of a window count; the first window counts whole."""
    context = model.config.n_positions
    total, done = 0.0, 1
    while done < len(ids):
        stop = min(done + (context if done == 1 else stride), len(ids))
        start = max(0, stop - 1 - context)
        window = torch.tensor([ids[start:stop]])
        with torch.no_grad():
            logits = model(window[:, :-1]).logits
        nats = torch.nn.functional.cross_entropy(logits[0], window[0, 1:], reduction="none")
        total += nats[done - 1 - start :].double().sum().item()
        done = stop
    return total


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
