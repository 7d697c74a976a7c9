"""The harness's side of benchmarks/evaluation.py, run by the interpreter that has lm_eval: a JSON line in, a JSON line out.

{"load": folder}                    a Hugging Face folder as lm_eval's HFLM, in fp32
{"task": name, "batch": rows}       its figures by lm_eval.evaluate, with wall and processor seconds and its peak of memory
{"loop": ids, "stride": tokens}     nats of ids[1:] by a plain loop over GPT2LMHeadModel, without lm_eval
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
from scores import forget_peak, peak_mb  # beside this file


def main(tasks: str, threads: int) -> None:
    torch.set_num_threads(threads)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what lm_eval prints is no answer
    manager = TaskManager(include_path=tasks, include_defaults=False)
    lm: Any = None
    for line in sys.stdin:
        asked = json.loads(line)
        if "load" in asked:
            lm = HFLM(pretrained=asked["load"], device="cpu", dtype="float32", batch_size=1)
            answer: Any = {}
        elif "task" in asked:
            lm.batch_size_per_gpu = asked["batch"]
            answer = examine(lm, manager.load([asked["task"]]))
        else:
            answer = {"nats": plain_loop(lm.model, asked["loop"], asked["stride"])}
        print(json.dumps(answer), file=answers, flush=True)


def examine(lm: HFLM, tasks: dict[str, Any]) -> dict[str, Any]:
    """The task's files are read before the clock starts; ours are read while it runs."""
    forget_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    found = evaluate(lm=lm, task_dict=tasks, bootstrap_iters=0, log_samples=False)
    (figures,) = found["results"].values()
    return {
        "figures": {name: value for name, value in figures.items() if isinstance(value, float)},
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak_mb": peak_mb(),
    }


def plain_loop(model: Any, ids: list[int], stride: int) -> float:
    """Windows of the whole context, of which the last `stride` tokens count; the first window counts whole."""
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
