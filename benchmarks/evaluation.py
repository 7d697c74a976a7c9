"""Our evaluation against lm-evaluation-harness: the same network (random, then trained), the same files, equal to 4 digits, and the speed.

    python benchmarks/evaluation.py --data EVALS --bpe GPT2_BPE --peer_python VENV/bin/python

EVALS holds the LAMBADA, WikiText-2 and Winograd files as published, GPT2_BPE GPT-2's vocabulary; the peer's interpreter has lm_eval and
transformers. Prints a line a figure; exits with 1 where a figure differs. Sliding windows are also compared with a plain loop over
transformers' GPT2LMHeadModel.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch

from tokenizer.codec import Tokenizer
from trainer.config import ModelConfig
from trainer.evals.candidate import Candidate, Network
from trainer.evals.detokenisers import WIKITEXT, Detokeniser
from trainer.evals.lambada import run as run_lambada
from trainer.evals.registry import TASKS
from trainer.evals.scoring import Scorer
from trainer.evals.windows import total
from trainer.evals.winograd import run as run_winograd
from trainer.export import save_hf
from trainer.model import GPT

STRIDES = (32, 128, 256)
LOOP_TOKENS = 600
TRAINING_STEPS = 40
WIKITEXT_LINES = 150
PEER = r"""
import json, sys, time
import lm_eval
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
import torch
folder, tasks, strides, loop_tokens, threads = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4]), int(sys.argv[5])
torch.set_num_threads(threads)
lm = HFLM(pretrained=folder, device="cpu", dtype="float32", batch_size=8)
manager = TaskManager(include_path=tasks, include_defaults=False)
out = {}
for name in ("our_lambada", "our_wikitext", "our_wsc"):
    started = time.perf_counter()
    found = lm_eval.simple_evaluate(model=lm, tasks=[name], task_manager=manager, bootstrap_iters=0, verbosity="ERROR")
    out[name] = {**{k: v for k, v in found["results"][name].items() if isinstance(v, float)}, "seconds": time.perf_counter() - started}
model = lm.model.double()
context = model.config.n_positions
for stride in strides:
    total, done = 0.0, 1
    while done < len(loop_tokens):
        stop = min(done + (context if done == 1 else stride), len(loop_tokens))
        start = max(0, stop - 1 - context)
        window = torch.tensor([loop_tokens[start:stop]])
        with torch.no_grad():
            logits = model(window[:, :-1]).logits.double()
        nats = torch.nn.functional.cross_entropy(logits[0], window[0, 1:], reduction="none")
        total += nats[done - 1 - start :].sum().item()
        done = stop
    out[f"stride {stride}"] = total
print(json.dumps(out))
"""
LAMBADA = """task: our_lambada
dataset_path: json
dataset_kwargs: {data_files: {test: %s}}
output_type: loglikelihood
test_split: test
doc_to_text: "{{text.split(' ')[:-1]|join(' ')}}"
doc_to_target: "{{' '+text.split(' ')[-1]}}"
metric_list: [{metric: perplexity, aggregation: perplexity, higher_is_better: false}, {metric: acc}]
"""
WSC = """task: our_wsc
dataset_path: json
dataset_kwargs: {data_files: {test: %s}}
output_type: multiple_choice
test_split: test
doc_to_text: label
target_delimiter: ""
process_docs: !function wsc.process_doc
doc_to_target: "{%% set index = pronoun_loc + pronoun | length %%}{{text[index:]}}"
doc_to_choice: "{%% set template = text[:pronoun_loc] %%}{{[template+options[0], template+options[1]]}}"
metric_list: [{metric: acc}]
"""
WIKI = """task: our_wikitext
dataset_path: json
dataset_kwargs: {data_files: {test: %s}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{page}}"
process_results: !function wiki.process_results
metric_list: [{metric: word_perplexity}, {metric: byte_perplexity}, {metric: bits_per_byte}]
"""
WIKI_CODE = """
def process_results(doc, results):
    (loglikelihood,) = results
    return {"word_perplexity": (loglikelihood, doc["words"]), "byte_perplexity": (loglikelihood, doc["bytes"]),
            "bits_per_byte": (loglikelihood, doc["bytes"])}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bpe", type=Path, required=True)
    parser.add_argument("--peer_python", required=True)
    parser.add_argument("--passages", type=int, default=600)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tokenizer = Tokenizer.load(arguments.bpe)
    gpt = GPT(ModelConfig(layers=3, heads=4, width=64, context=256))
    gpt.initialise(1)
    good = True
    with tempfile.TemporaryDirectory() as folder:
        files = prepare(Path(folder), arguments.data, arguments.passages)
        for name in ("random", "trained"):
            if name == "trained":
                train(gpt, tokenizer, files["wiki_page"])
            good &= compare(name, gpt, tokenizer, files, Path(folder), arguments)
    return 0 if good else 1


def prepare(folder: Path, data: Path, passages: int) -> dict[str, Any]:
    """The same files for both, and the peer's task descriptions."""
    paths = {name: TASKS[name].locate([data])[0] for name in ("lambada", "winograd", "wikitext2")}
    lines = Path(paths["lambada"]).read_text().splitlines()[:passages]
    (folder / "lambada.jsonl").write_text("\n".join(lines) + "\n")
    text = "\n".join(Path(paths["wikitext2"]).read_text().split("\n")[:WIKITEXT_LINES])
    page = Detokeniser.of_text(WIKITEXT, text).join_text(text)
    units = {"words": len(text.split()), "bytes": len(page.encode())}
    (folder / "wiki.jsonl").write_text(json.dumps({"page": page, **units}) + "\n")
    (folder / "wsc.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in their_schemas(Path(paths["winograd"]))[:273]))
    tasks = folder / "tasks"
    tasks.mkdir()
    for name, template in (("lambada", LAMBADA), ("wsc", WSC), ("wiki", WIKI)):
        (tasks / f"{name}.yaml").write_text(template % (folder / f"{name}.jsonl"))
    (tasks / "wiki.py").write_text(WIKI_CODE)
    return {"lambada": folder / "lambada.jsonl", "winograd": paths["winograd"], "wiki_text": text, "wiki_page": page, **units}


def their_schemas(path: Path) -> list[dict[str, Any]]:
    """The collection as the public dataset of the harness has it."""
    docs = []
    for node in ElementTree.parse(path).getroot().iter("schema"):
        before, pronoun, after = (" ".join((node.findtext(f"text/{tag}") or "").split()) for tag in ("txt1", "pron", "txt2"))
        text = f"{before} {pronoun}" + (after if after[:1] in tuple(".,;:!?'") else f" {after}")
        options = [" ".join((answer.text or "").split()) for answer in node.iterfind("answers/answer")]
        label = "AB".index((node.findtext("correctAnswer") or "").strip()[0])
        docs.append({"text": text, "pronoun": pronoun, "pronoun_loc": len(before) + 1, "options": options, "label": label})
    return docs


def train(gpt: GPT, tokenizer: Tokenizer, text: str) -> None:
    """A short training, so that the figures are not those of noise."""
    ids = torch.tensor(tokenizer.encode(text))
    optimizer = torch.optim.AdamW(gpt.parameters(), 1e-3)
    generator = torch.Generator().manual_seed(1)
    for _ in range(TRAINING_STEPS):
        starts = torch.randint(0, len(ids) - 129, (4,), generator=generator)
        rows = torch.stack([ids[s : s + 129] for s in starts.tolist()])
        loss = gpt(rows[:, :-1], rows[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"trained {TRAINING_STEPS} steps to loss {loss.item():.3f}")


def compare(
    name: str, gpt: GPT, tokenizer: Tokenizer, files: dict[str, Any], folder: Path, arguments: argparse.Namespace
) -> bool:
    exported = save_hf(gpt, tokenizer, folder / name)
    loop_tokens = [tokenizer.eot_id, *tokenizer.encode(files["wiki_page"])[:LOOP_TOKENS]]
    theirs = peer(arguments, exported, folder / "tasks", loop_tokens)
    ours, seconds = our_figures(gpt, tokenizer, files)
    peers = {
        "LAMBADA perplexity": theirs["our_lambada"]["perplexity,none"],
        "LAMBADA accuracy": 100 * theirs["our_lambada"]["acc,none"],
        "WikiText-2 word perplexity": theirs["our_wikitext"]["word_perplexity,none"],
        "WikiText-2 bits per byte": theirs["our_wikitext"]["bits_per_byte,none"],
        "WSC-273 accuracy": 100 * theirs["our_wsc"]["acc,none"],
    }
    good = True
    for metric, value in peers.items():
        good &= line(f"{name}: {metric}", ours[metric], value, 5e-5)
    wide = Candidate(Network(gpt.double()), tokenizer)
    for stride in STRIDES:
        found = total(Scorer(wide.model), loop_tokens, stride)
        good &= line(f"{name}: nats of {LOOP_TOKENS} tokens, stride {stride}", found.nats, theirs[f"stride {stride}"], 1e-5)
    gpt.float()
    for task in ("lambada", "wikitext", "wsc"):
        peer_seconds = theirs[f"our_{task}"]["seconds"]
        print(f"{name}: {task} {seconds[task]:.2f} s, lm_eval {peer_seconds:.2f} s, {peer_seconds / seconds[task]:.1f}x")
    return good


def our_figures(gpt: GPT, tokenizer: Tokenizer, files: dict[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    candidate = Candidate(Network(gpt), tokenizer)
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    lambada = run_lambada(candidate, [files["lambada"]])
    seconds["lambada"] = time.perf_counter() - started
    started = time.perf_counter()
    found = total(Scorer(candidate.model), candidate.stream(files["wiki_page"]), candidate.window_tokens)
    seconds["wikitext"] = time.perf_counter() - started
    started = time.perf_counter()
    winograd = run_winograd(candidate, [files["winograd"]])
    seconds["wsc"] = time.perf_counter() - started
    by_name = {(r.metric, r.protocol.split(";")[0]): r.value for r in lambada}
    return {
        "LAMBADA perplexity": by_name["perplexity", "of the last word"],
        "LAMBADA accuracy": by_name["accuracy, %", "last word, greedy, stop-word filter off"],
        "WikiText-2 word perplexity": found.perplexity(files["words"])[0],
        "WikiText-2 bits per byte": found.bits(files["bytes"])[0],
        "WSC-273 accuracy": winograd[0].value,
    }, seconds


def peer(arguments: argparse.Namespace, exported: Path, tasks: Path, loop_tokens: list[int]) -> dict[str, Any]:
    copy_their_code(arguments.peer_python, tasks)
    command = [arguments.peer_python, "-c", PEER, str(exported), str(tasks), json.dumps(STRIDES), json.dumps(loop_tokens)]
    environment = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(tasks / "cache"), "PATH": "/usr/bin:/bin", "HOME": str(tasks)}
    found = subprocess.run([*command, str(arguments.threads)], capture_output=True, text=True, check=False, env=environment)
    if found.returncode:
        sys.exit(f"the peer failed:\n{found.stderr[-3000:]}")
    return json.loads(found.stdout.strip().splitlines()[-1])


def copy_their_code(python: str, tasks: Path) -> None:
    """The harness's own preparation of the schemas, as installed there."""
    code = "import lm_eval, pathlib; print(pathlib.Path(lm_eval.__file__).parent / 'tasks' / 'wsc273' / 'utils.py')"
    path = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1]
    (tasks / "wsc.py").write_text(Path(path).read_text())


def line(name: str, ours: float, theirs: float, tolerance: float) -> bool:
    same = abs(ours - theirs) <= tolerance * abs(theirs)
    print(f"{name}: ours {ours:.6g}, theirs {theirs:.6g}{'' if same else '   DIFFERS'}")
    return same


if __name__ == "__main__":
    sys.exit(main())
