"""Our evaluation against lm-evaluation-harness: parity (equal figures to 4 digits) and speed, on the same networks and files.

    python benchmarks/evaluation.py parity --data EVALS [--trained RUN] [--passages 600 --lines 300]
    python benchmarks/evaluation.py speed --data EVALS [--trained RUN | --preset gpt2-small] [--tasks NAME …] [--passages 200 --lines 120]

EVALS holds LAMBADA, WikiText-2 and the Winograd schemas as published (`webtext-train eval --where`). RUN is a run of `webtext-train train`
or a Hugging Face folder; without it, a small network is trained on the WikiText lines for a minute. The harness is installed at first use
(benchmarks/peers.py) and reads only local files. Exits with 1 if a figure differs.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import peers
import products
import scores
import torch
from evaluation_files import Files, copy_harness_code, prepare

from tokenizer.bpe import train as learn_vocabulary
from tokenizer.codec import Tokenizer
from trainer.checkpoint.load import load_model
from trainer.config import ModelConfig
from trainer.evals.candidate import Candidate, Network
from trainer.evals.registry import TASKS
from trainer.evals.results import Result
from trainer.evals.scoring.scorer import Scorer
from trainer.evals.scoring.windows import text_loss
from trainer.evals.tasks.winograd import hits, read_schemas
from trainer.export import save_hf
from trainer.model import GPT
from trainer.presets import PRESETS

STRIDES = (32, 100, 128)
LOOP_TOKENS = 600
TRAINING_STEPS = 60
PEER_BATCHES = (8, 32)
HARNESS_NAME = peers.HARNESS[1].replace("[hf]==", " ")
TIMED = ("lambada", "wiki_written", "wsc", "endings")

Models = dict[str, tuple[GPT, Tokenizer]]


class Harness:
    """lm-evaluation-harness in one process that lives through all rounds."""

    def __init__(self, files: Files, threads: int) -> None:
        python = peers.python(*peers.HARNESS)
        copy_harness_code(python, files.tasks)
        command = [str(python), str(Path(__file__).with_name("evaluation_peer.py")), str(files.tasks), str(threads)]
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(files.tasks / "cache"), "OMP_NUM_THREADS": str(threads)}
        self._log = (files.tasks / "peer.log").open("w+")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._log}
        self._process = subprocess.Popen(command, text=True, env=environment, **pipes)  # type: ignore[call-overload]

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer. Exits with the harness's log if it fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            sys.exit(f"the harness failed:\n{self._log.read()[-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def open_harness(files: Files, threads: int) -> Iterator[Harness]:
    peer = Harness(files, threads)
    try:
        yield peer
    finally:
        peer.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("parity", "speed"))
    parser.add_argument("--data", type=Path, required=True, help="folder of the published evaluation files")
    parser.add_argument("--trained", type=Path, help="a run or a Hugging Face folder; default: train a small network")
    parser.add_argument("--preset", choices=tuple(PRESETS), help="speed: time this shape with random weights")
    parser.add_argument("--passages", type=int, default=200)
    parser.add_argument("--lines", type=int, default=120)
    parser.add_argument("--tasks", nargs="+", choices=TIMED, default=TIMED)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    scores.add_flag(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    try:
        interpreter = peers.python(*peers.HARNESS)
    except peers.PeerError as error:
        sys.exit(str(error))
    print(f"{peers.versions(interpreter, 'lm_eval', 'transformers', 'torch')}; {platform.processor() or platform.machine()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        context_words = 12 if arguments.what == "parity" else 1000
        files = prepare(folder, arguments.data, arguments.passages, arguments.lines, context_words)
        with open_harness(files, arguments.threads) as peer:
            if arguments.what == "parity":
                return 0 if parity(networks(arguments.trained, files), files, folder, peer) else 1
            speed(choose_network(arguments, files), files, folder, peer, arguments)
    return 0


def networks(trained: Path | None, files: Files) -> Models:
    """Return a trained network, and one of the same shape with random weights."""
    if trained is None:
        counts = Counter(f" {word}".encode() for word in files.page.split())
        tokenizer = learn_vocabulary(counts, vocab_size=2_000)
        model = GPT(ModelConfig(layers=3, heads=4, width=64, context=128, vocabulary=tokenizer.vocab_size))
        model.init_weights(1)
        train_briefly(model, tokenizer, files.page)
    else:
        model, tokenizer, _ = load_model(trained)
    random = GPT(model.config)
    random.init_weights(1)
    return {"random": (random, tokenizer), "trained": (model, tokenizer)}


def train_briefly(gpt: GPT, tokenizer: Tokenizer, text: str) -> None:
    """Train for a minute, so that the figures are not those of noise."""
    ids = torch.tensor(tokenizer.encode(text))
    optimizer = torch.optim.AdamW(gpt.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(1)
    for _ in range(TRAINING_STEPS):
        starts = torch.randint(0, len(ids) - 129, (8,), generator=generator)
        rows = torch.stack([ids[s : s + 129] for s in starts.tolist()])
        loss = gpt(rows[:, :-1], rows[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"trained {TRAINING_STEPS} steps of 1,024 tokens to loss {loss.item():.3f}")


def parity(models: Models, files: Files, folder: Path, peer: Harness) -> bool:
    """Print every figure of both sides. Returns whether all are equal within the tolerance."""
    equal = True
    for name, (gpt, tokenizer) in models.items():
        peer.ask(load=str(save_hf(gpt.eval(), tokenizer, folder / name)))
        candidate = Candidate(Network(gpt), tokenizer)
        ours = figures({task: run(candidate) for task, run in ours_by_task(files).items()}, gpt.config.context)
        theirs = {
            task: peer.ask(task=f"our_{task}", batch=8)["figures"]
            for task in ("lambada", "wiki_written", "wiki_raw", "wsc", "endings")
        }
        for metric, (task, key, scale) in THEIRS.items():
            equal &= compare(f"{name}: {metric}", ours[metric], scale * theirs[task][key], 5e-5)
        ids = [tokenizer.eot_id, *tokenizer.encode(files.page)[:LOOP_TOKENS]]
        for stride in STRIDES:
            loss = text_loss(Scorer(candidate.model), ids, stride)
            mean = peer.ask(loop=ids, stride=stride)["nats"] / loss.tokens
            equal &= compare(
                f"{name}: perplexity at stride {stride}, plain loop", loss.perplexity(loss.tokens)[0], exp(mean), 1e-5
            )
    return equal


THEIRS = {
    "LAMBADA perplexity": ("lambada", "perplexity,none", 1.0),
    "LAMBADA accuracy, last word": ("lambada", "acc,none", 100.0),
    "WikiText-2 perplexity per word, detokenised": ("wiki_written", "word_perplexity,none", 1.0),
    "WikiText-2 perplexity per word, as published": ("wiki_raw", "word_perplexity,none", 1.0),
    "WSC-273 accuracy, partial": ("wsc", "acc,none", 100.0),
    "endings, accuracy": ("endings", "acc,none", 100.0),
    "endings, accuracy per character": ("endings", "acc_norm,none", 100.0),
}
"""By our metric's name: the harness's task, its name of the metric, and the factor from its unit to ours."""


def ours_by_task(files: Files) -> dict[str, Callable[[Candidate], list[Result]]]:
    """Return the tasks that `webtext-train eval` runs."""
    paths = {"lambada": files.lambada, "wikitext2": files.wikitext, "winograd": files.winograd, "hellaswag": files.endings}
    return {name: lambda candidate, name=name, path=path: TASKS[name].run(candidate, [path]) for name, path in paths.items()}


def figures(results: dict[str, list[Result]], context: int) -> dict[str, float]:
    """Pick the metrics that the harness has too, by the names of THEIRS."""
    words = {
        r.detokeniser == "none": r.value
        for r in results["wikitext2"]
        if (r.normaliser, r.stride_tokens) == ("word of the original", context)
    }
    lambada = {(r.metric, r.protocol.split(";")[0]): r.value for r in results["lambada"]}
    return {
        "LAMBADA perplexity": lambada["perplexity", "of the last word"],
        "LAMBADA accuracy, last word": lambada["accuracy, %", "last word, greedy, stop-word filter off"],
        "WikiText-2 perplexity per word, detokenised": words[False],
        "WikiText-2 perplexity per word, as published": words[True],
        "WSC-273 accuracy, partial": results["winograd"][0].value,
        "endings, accuracy": results["hellaswag"][0].value,
        "endings, accuracy per character": results["hellaswag"][1].value,
    }


def exp(value: float) -> float:
    return float(torch.tensor(value, dtype=torch.float64).exp())


def compare(name: str, ours: float, theirs: float, tolerance: float) -> bool:
    same = abs(ours - theirs) <= tolerance * abs(theirs)
    print(f"{name}: ours {ours:.7g}, theirs {theirs:.7g}{'' if same else '   DIFFERS'}", flush=True)
    return same


def choose_network(arguments: argparse.Namespace, files: Files) -> tuple[GPT, Tokenizer]:
    """Return the network whose evaluation is timed."""
    if arguments.preset is None:
        return networks(arguments.trained, files)["trained"]
    tokenizer = networks(arguments.trained, files)["trained"][1]
    model = GPT(PRESETS[arguments.preset]().model)
    model.init_weights(1)
    return model, tokenizer


def speed(model: tuple[GPT, Tokenizer], files: Files, folder: Path, peer: Harness, arguments: argparse.Namespace) -> None:
    """Time both sides on the same tokens. The harness uses the faster of two batch sizes, chosen in a round that does not count."""
    gpt, tokenizer = model
    network = products.CountingNetwork(gpt)
    candidate = Candidate(network, tokenizer)
    peer.ask(load=str(save_hf(gpt.eval(), tokenizer, folder / "timed")))
    parameters = sum(p.numel() for p in gpt.parameters())
    print(f"{parameters:,} parameters, context {gpt.config.context}, {torch.get_num_threads()} threads")
    for task, (run, tokens) in timed_tasks(candidate, files).items():
        if task not in arguments.tasks:
            continue
        network.read_tokens = network.scored_tokens = 0
        scores.reset_peak()
        run()
        peak = scores.peak_mb()
        read, scored = network.read_tokens, network.scored_tokens
        tries = {batch: peer.ask(task=f"our_{task}", batch=batch)["cpu"] for batch in PEER_BATCHES}
        best = min(tries, key=lambda batch: tries[batch])
        ours, theirs, least = [], [], []
        for _ in range(arguments.rounds):
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            ours.append((time.perf_counter() - wall, time.process_time() - cpu))
            answer = peer.ask(task=f"our_{task}", batch=best)
            theirs.append((answer["wall"], answer["cpu"]))
            least.append(products.seconds(gpt.config, read, scored, torch.float32, backward=False))
        print_ratios(task, tokens, ours, theirs, best)
        peaks = (peak, answer["peak_mb"])
        work = f"{task}, {tokens:,} tokens, {parameters / 1e6:.1f} M parameters"
        scores.append_rows(arguments.scores, rows(work, (ours, theirs), least, peaks))
        print(f"  peak memory of the whole process: ours {peaks[0]:,.0f} MB, lm_eval {peaks[1]:,.0f} MB")


def rows(
    work: str, sides: tuple[list[tuple[float, float]], list[tuple[float, float]]], least: list[float], peaks: tuple[float, float]
) -> list[scores.Row]:
    """Return the race by CPU seconds, and the limit by wall seconds: the matrix products of what ours reads and scores."""
    cpu = [tuple(seconds for _, seconds in side) for side in sides]
    wall = tuple(seconds for seconds, _ in sides[0])
    limit = "matrix products alone (layers on the tokens read, output layer on those scored)"
    return [
        scores.Race("evaluation", work, HARNESS_NAME, "CPU s", *cpu, *peaks),
        scores.Limit("evaluation", f"{limit}; {work}", "wall s", wall, tuple(least)),
    ]


def timed_tasks(candidate: Candidate, files: Files) -> dict[str, tuple[Callable[[], object], int]]:
    """Return our side's work by the harness's task name, and the tokens that both sides read.

    Of WikiText's readings, only the one that the harness has is timed.
    """
    encode = candidate.tokenizer.encode
    passages = [json.loads(row)["text"] for row in files.lambada.read_text().splitlines()]
    endings = [json.loads(row) for row in files.endings.read_text().splitlines()]
    four = [f"{row['activity_label']}: {row['ctx_a']} {ending}" for row in endings for ending in row["endings"]]
    schemas = read_schemas(files.winograd)[:273]
    runs = ours_by_task(files)
    written = candidate.stream(files.page)

    def roll() -> object:
        return text_loss(Scorer(candidate.model), candidate.stream(files.page), candidate.window_tokens)

    return {
        "lambada": (lambda: runs["lambada"](candidate), sum(len(encode(text)) for text in passages)),
        "wiki_written": (roll, len(written)),
        "wsc": (lambda: hits(candidate, schemas, whole=False), sum(len(encode(s.sentence(i))) for s in schemas for i in (0, 1))),
        "endings": (lambda: runs["hellaswag"](candidate), sum(len(encode(text)) for text in four)),
    }


def print_ratios(task: str, tokens: int, ours: list[tuple[float, float]], theirs: list[tuple[float, float]], batch: int) -> None:
    ratios = {}
    for place, clock in enumerate(("wall", "cpu")):
        values = sorted(their[place] / our[place] for our, their in zip(ours, theirs, strict=True))
        ratios[clock] = f"{values[0]:.2f}-{median(values):.2f}-{values[-1]:.2f}x"
    speeds = [tokens / median(wall for wall, _ in side) for side in (ours, theirs)]
    print(
        f"{task}: {tokens:,} tokens, ours {speeds[0]:,.0f} tokens/s, lm_eval {speeds[1]:,.0f} (batch {batch}); "
        f"wall {ratios['wall']}, processor {ratios['cpu']}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
