"""Evaluate checkpoints on zero-shot tasks and compare them with the GPT-2 paper (`webtext-train eval`)."""

import argparse
import hashlib
import logging
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch

from tokenizer.errors import InputError
from tokenizer.faults import answer
from tokenizer.folder_lock import folder_lock
from tokenizer.interruption import ends_on_interrupt
from tokenizer.labels import printable
from tokenizer.terminal import log_lines
from trainer import finite_json
from trainer.checkpoint.folders import newest
from trainer.checkpoint.load import check_model, load_model
from trainer.checkpoint.metadata import read_metadata
from trainer.distributed import World, environment, process_group
from trainer.evals import registry, report
from trainer.evals.candidate import Candidate, Network
from trainer.evals.curves import curves, draw
from trainer.evals.results import Provenance
from trainer.evals.revision import commit
from trainer.evals.suite import CheckpointEvaluation, Suite, check_output, publish, to_json
from trainer.evals.task import check_folders
from trainer.export import is_hf_folder
from trainer.model import GPT
from trainer.subcommands import eval_parser

LINE_CHARACTERS = 1_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 a task failed, 2 bad usage or input, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    log_lines(logging.INFO)
    advice = "finished tasks are kept: free space or fix the disk, then run the same command again"
    return answer(lambda: _main(words), on_full_disk=advice, mark="webtext-train eval: ")


def _main(words: Sequence[str]) -> int:
    arguments = eval_parser().parse_args(words)
    if arguments.where:
        sys.stdout.write(registry.where())
        return 0
    with ends_on_interrupt("interrupted; finished tasks are kept: run the same command again to continue"):
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    checkpoints = [Path(name) for name in arguments.checkpoint]
    if not checkpoints:
        raise InputError("no checkpoint: name a run, a checkpoint or a Hugging Face folder")
    names = [_name(path) for path in checkpoints]
    if len(set(names)) < len(names):
        raise InputError(f"{' '.join(names)}: two checkpoints have one name; checkpoints of a report need different folder names")
    out = Path(arguments.out)
    check_output(out)
    registry.select(arguments.tasks)
    check_folders([*arguments.data, *arguments.eval_data])
    for path in checkpoints:
        check_model(path)  # the last one must not fail after hours with those before it
    world = environment(arguments.device)
    with process_group(world), folder_lock(out) if world.first else nullcontext():
        return _evaluate_all(arguments, checkpoints, out, world)


def _evaluate_all(arguments: argparse.Namespace, checkpoints: Sequence[Path], out: Path, world: World) -> int:
    folders = [out] if len(checkpoints) == 1 else [out / _name(path) for path in checkpoints]
    evaluations = [_evaluate(arguments, path, folder, world) for path, folder in zip(checkpoints, folders, strict=True)]
    if world.first and not any(evaluation.records or evaluation.faults for evaluation in evaluations):
        raise InputError(
            f"no task ran: {'; '.join(report.reasons(evaluations)) or 'none was named'}; `webtext-train eval --where` lists what each "
            "task needs, --data names its folder"
        )
    if world.first:
        write(evaluations, out)
        sys.stdout.writelines(f"{printable(line, LINE_CHARACTERS)}\n" for line in report.text_lines(evaluations))
        sys.stdout.write(f"{printable(out / 'report.html')}\n")
    if any(evaluation.unexpected for evaluation in evaluations):
        return 1
    return 2 if any(evaluation.faults or not evaluation.records for evaluation in evaluations) else 0


def _evaluate(arguments: argparse.Namespace, checkpoint: Path, out: Path, world: World) -> CheckpointEvaluation:
    """Evaluate one checkpoint. Every rank scores its share of the examples; the first rank writes the records."""
    tasks = registry.select(arguments.tasks)
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
    return Suite(candidate, provenance, folders, out, writes_records=world.first).run(tasks)


def _step(path: Path) -> int | None:
    """Step of a training checkpoint; None for a Hugging Face folder."""
    return None if is_hf_folder(path) else read_metadata(newest(path)).step


def _name(path: Path) -> str:
    return path.resolve().name


def write(evaluations: Sequence[CheckpointEvaluation], out: Path) -> None:
    """Write results.json, report.md, report.html and, for several checkpoints, their curves."""
    panels = {f"curve-{number}.svg": curve for number, curve in enumerate(curves(evaluations), 1)}
    pictures = {name: draw(curve) for name, curve in panels.items()}
    body = to_json(evaluations) | {"curves": [curve.to_json() for curve in panels.values()]}
    publish(out / "results.json", finite_json.dumps(body, indent=1, ensure_ascii=False) + "\n")
    for name, picture in pictures.items():
        publish(out / name, picture.decode())
    publish(out / "report.md", report.markdown(evaluations, list(panels)))
    titles = {f"{curve.name}: {curve.metric}": pictures[name] for name, curve in panels.items()}
    publish(out / "report.html", report.page(evaluations, titles))


def weights_sha256(model: GPT) -> str:
    """Hash of the weights by name; a run's checkpoint and its export have one hash."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
