"""`webtext-train eval`: examine checkpoints and set them beside the paper."""

import argparse
import hashlib
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from tokenizer.interruption import ends_on_interrupt
from trainer.checkpoint.folders import newest
from trainer.checkpoint.load import load_model
from trainer.checkpoint.metadata import read_metadata
from trainer.config import InputError
from trainer.distributed import World, environment, process_group
from trainer.evals import registry, report
from trainer.evals.candidate import Candidate, Network
from trainer.evals.curves import curves, draw, standalone
from trainer.evals.results import Provenance
from trainer.evals.revision import commit
from trainer.evals.suite import Outcome, Suite, publish, to_json
from trainer.evals.task import check_folders
from trainer.export import WEIGHTS
from trainer.model import GPT


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; the exit status: 0 done, 2 bad usage or input, 130 interrupted."""
    arguments = _parser().parse_args([_dashed(item) for item in (sys.argv[1:] if argv is None else argv)])
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if arguments.where:
        sys.stdout.write(registry.where())
        return 0
    try:
        with ends_on_interrupt("stopped; finished tasks are kept: the same command goes on"):
            return _run(arguments)
    except InputError as error:
        sys.stderr.write(f"webtext-train eval: {error}\n")
        return 2


def _run(arguments: argparse.Namespace) -> int:
    checkpoints = [Path(name) for name in arguments.checkpoint]
    if not checkpoints:
        raise InputError("which checkpoint? a run, a checkpoint or a Hugging Face folder is the first argument")
    names = [_name(path) for path in checkpoints]
    if len(set(names)) < len(names):
        raise InputError(f"{' '.join(names)}: two checkpoints of one name; the table tells them apart by it")
    out = Path(arguments.out)
    world = environment(arguments.device)
    with process_group(world):
        folders = [out] if len(names) == 1 else [out / name for name in names]
        outcomes = [_examine(arguments, path, folder, world) for path, folder in zip(checkpoints, folders, strict=True)]
    if world.first:
        write(outcomes, out)
        sys.stdout.write(f"{out / 'report.html'}\n")
    return 2 if any(outcome.faults for outcome in outcomes) else 0


def _examine(arguments: argparse.Namespace, checkpoint: Path, out: Path, world: World) -> Outcome:
    """Every rank scores its share of the examples; the first one keeps the records."""
    tasks = registry.chosen(arguments.tasks)
    folders = check_folders([*arguments.data, *arguments.eval_data])
    model, tokenizer, _ = load_model(checkpoint, world.device)
    network = Network(model, arguments.precision)
    candidate = Candidate(network, tokenizer, tuple(arguments.stride), arguments.batch_tokens, arguments.limit)
    provenance = Provenance(
        checkpoint=_name(checkpoint),
        checkpoint_sha256=weights_sha256(model),
        parameters=sum(p.numel() for p in model.parameters()),
        step=_step(checkpoint),
        tokenizer_sha256=tokenizer.sha256,
        precision=arguments.precision,
        device=network.device.type,
        commit=commit(),
    )
    return Suite(candidate, provenance, folders, out, keeps=world.first).run(tasks)


def _step(path: Path) -> int | None:
    """Of a checkpoint of ours."""
    return None if (path / WEIGHTS).exists() else read_metadata(newest(path)).step


def _name(path: Path) -> str:
    return path.resolve().name


def write(outcomes: Sequence[Outcome], out: Path) -> None:
    """results.json, report.md and report.html; of several checkpoints their curves too."""
    drawn = {f"curve-{number}.svg": curve for number, curve in enumerate(curves(outcomes), 1)}
    pictures = [draw(curve) for curve in drawn.values()]
    body = to_json(outcomes) | {"curves": [curve.to_json() for curve in drawn.values()]}
    publish(out / "results.json", json.dumps(body, indent=1, ensure_ascii=False) + "\n")
    for name, picture in zip(drawn, pictures, strict=True):
        publish(out / name, standalone(picture) + "\n")
    publish(out / "report.md", report.markdown(outcomes, list(drawn)))
    publish(out / "report.html", report.page(outcomes, pictures))


def weights_sha256(model: GPT) -> str:
    """Of the weights alone, name by name: the same for a run's checkpoint and its export."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _dashed(item: str) -> str:
    """Flags may be written with underscores, as the pipeline's are."""
    name, mark, value = item.partition("=")
    return name.replace("_", "-") + mark + value if item.startswith("--") else item


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("webtext-train eval", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "checkpoint", nargs="*", help="runs, checkpoints of theirs, or Hugging Face GPT-2 folders; several are drawn as curves"
    )
    parser.add_argument("--tasks", nargs="+", default=["all"], help="names, or all (default)")
    parser.add_argument(
        "--data", nargs="+", default=[], help="folders: token shards for held_out, files as published for the others"
    )
    parser.add_argument("--eval-data", nargs="+", default=[], help="more such folders")
    parser.add_argument("--out", default="evaluation", help="where results.json, report.md and report.html go")
    parser.add_argument("--where", action="store_true", help="list what each task needs and where it is published")
    parser.add_argument("--stride", nargs="+", type=_positive, default=[], help="of sliding windows (default: the task's own)")
    parser.add_argument("--limit", type=_positive, help="at most so many examples a task, for a quick look")
    parser.add_argument("--batch-tokens", type=_positive, default=8192, help="tokens at a time; changes speed alone")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: auto)")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: at least 1")
    return value
