"""`webtext-train train`: from a command line to a run that starts, goes on, or is already done."""

import json
import logging
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import torch

from tokenizer.codec import Tokenizer
from tokenizer.errors import FormatError
from tokenizer.interruption import INTERRUPTED
from trainer import checkpoint
from trainer.attention import newest_flash
from trainer.checkpoint import DamagedCheckpointError
from trainer.config import InputError, TrainConfig
from trainer.data import Batches, Corpus
from trainer.distributed import World, environment, joined
from trainer.evals.in_training import Examiner
from trainer.evals.task import existing
from trainer.flags import with_given
from trainer.loop import End, Run
from trainer.model import GPT
from trainer.presets import PRESETS, RECIPES
from trainer.trackers import TensorBoard, Tracker, WeightsAndBiases, check

log = logging.getLogger(__name__)


def train(arguments: Namespace) -> int:
    """Run it. Exit codes: 0 finished, up to date, or stopped by SIGTERM; 1 diverged; 130 interrupted. Raises InputError for bad input."""
    world = environment(arguments.device)
    config = resolved(with_given(RECIPES[arguments.recipe](PRESETS[arguments.preset]()), arguments), world)
    folder = Path(arguments.out)
    corpus = Corpus.open(arguments.data, verify=world.first)
    tokenizer = find_tokenizer(corpus, arguments.tokenizer)
    _check_fit(config, corpus, world)
    _same_run(folder, config, corpus)
    start = _place(folder, fall_back=arguments.fall_back)
    if start is None and arguments.resume:
        raise InputError(f"{folder}: no checkpoint to go on from; leave --resume out to begin")
    if start is not None and checkpoint.read_facts(start).step >= config.steps:
        _say(world, f"{folder}: up to date, {config.steps} steps done ({start})")
        return 0
    initial = _initial(arguments.init_from, config) if arguments.init_from and start is None else None
    examiner = _examiner(arguments, config, tokenizer)
    check(tensorboard=arguments.tensorboard, wandb=arguments.wandb)
    if world.first:
        _prepare(folder, config, corpus)
    with joined(world):
        if world.device.type == "cuda" and (flash := newest_flash()):
            _say(world, f"attention by {flash}")
        run = Run(config, corpus, tokenizer, folder, world, examiner=examiner)
        if start is not None:
            run.resume(start)
            _say(world, f"{folder}: goes on from step {run.at.step:,} of {config.steps:,}")
        elif initial is not None:
            run.begin_with(initial)
        run.trackers = _trackers(arguments, run) if world.first else []
        return _outcome(run, run.train())


def _examiner(arguments: Namespace, config: TrainConfig, tokenizer: Tokenizer) -> Examiner | None:
    """Of the tasks asked for."""
    if not arguments.eval_tasks:
        return None
    folders = existing([arguments.data, *arguments.eval_data])
    return Examiner.prepared(arguments.eval_tasks, folders, tokenizer, config)


def resolved(config: TrainConfig, world: World) -> TrainConfig:
    """The recipe with `auto` precision made definite: bf16 on GPUs and on processors with bf16 products, else fp32."""
    if config.precision != "auto":
        return config
    fast = world.device.type == "cuda" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return replace(config, precision="bf16" if fast else "fp32")


def find_tokenizer(corpus: Corpus, path: str | None) -> Tokenizer:
    """The tokenizer that the corpus was written with: from `path`, or from the corpus's folder or beside it."""
    folder = Path(corpus.manifest.folder)
    places = [Path(path)] if path else [folder, folder / "tokenizer", folder.parent / "vocabulary", folder.parent / "tokenizer"]
    wanted = corpus.manifest.tokenizer_sha256
    for place in places:
        try:
            found = Tokenizer.load(place)
        except FormatError as error:
            if path:
                raise InputError(str(error)) from error
            continue
        if found.sha256 != wanted:
            raise InputError(f"{place}: its tokenizer is {found.sha256}, the corpus was written with {wanted}")
        return found
    raise InputError(f"{folder}: no tokenizer there or beside it; say --tokenizer PATH")


def _check_fit(config: TrainConfig, corpus: Corpus, world: World) -> None:
    """All that can be wrong between recipe, corpus and ranks, before anything is made."""
    if corpus.manifest.vocab_size != config.model.vocabulary:
        raise InputError(
            f"the corpus has {corpus.manifest.vocab_size} classes, the model {config.model.vocabulary}: "
            f"--vocabulary {corpus.manifest.vocab_size}"
        )
    batches = Batches(corpus.train, context=config.model.context, windows=config.batch_windows, seed=config.seed)
    if world.ranks > config.batch_windows:
        raise InputError(
            f"{world.ranks} ranks, but {config.batch_windows} windows a step: raise --batch-tokens or start fewer ranks"
        )
    batches.micro_batches(0, rank=world.rank, ranks=world.ranks, micro_batch=1)


def _same_run(folder: Path, config: TrainConfig, corpus: Corpus) -> None:
    """Raises InputError where the folder holds a run of other settings or another corpus."""
    path = folder / "config.json"
    if not path.exists():
        return
    try:
        body = json.loads(path.read_bytes())
        before = TrainConfig.from_json(body["config"])
        fingerprint = body["corpus_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); choose another --out") from error
    differences = config.differences(before)
    if differences:
        raise InputError(
            f"{folder} holds a run of other settings ({'; '.join(differences)}): choose another --out, or its settings"
        )
    if fingerprint != corpus.manifest.sha256:
        raise InputError(
            f"{folder} was trained on corpus {fingerprint}, but {corpus.manifest.folder} is {corpus.manifest.sha256}"
        )


def _place(folder: Path, *, fall_back: bool) -> Path | None:
    """The checkpoint to go on from, checked; None for a run to begin. Raises DamagedCheckpointError unless told to fall back."""
    for path in reversed(checkpoint.checkpoints(folder)):
        try:
            checkpoint.read_facts(path)
        except DamagedCheckpointError as error:
            if not fall_back:
                raise DamagedCheckpointError(f"{error}; --fall-back goes on from the one before it") from error
            log.warning("%s; falling back to the checkpoint before it", error)
        else:
            return path
    return None


def _initial(folder: str, config: TrainConfig) -> GPT:
    """The network to begin with. Raises InputError where it is of another shape than the recipe's."""
    model, _, _ = checkpoint.load_model(folder)
    mine, theirs = config.model.to_json(), model.config.to_json()
    differences = [
        f"{name} {theirs[name]}, not {mine[name]}" for name in mine if mine[name] != theirs[name] and name != "dropout"
    ]
    if differences:
        raise InputError(f"--init-from {folder}: another network ({'; '.join(differences)})")
    return model


def _prepare(folder: Path, config: TrainConfig, corpus: Corpus) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        body = {"config": config.to_json(), "corpus_sha256": corpus.manifest.sha256}
        aside = folder / ".config.json.aside"
        aside.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
        aside.replace(folder / "config.json")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error
    checkpoint.sweep(folder)


def _trackers(arguments: Namespace, run: Run) -> list[Tracker]:
    found: list[Tracker] = []
    if arguments.tensorboard:
        found.append(TensorBoard(run.folder, run.at.step))
    if arguments.wandb:
        found.append(WeightsAndBiases(run.folder, arguments.wandb, run.config.to_json()))
    return found


def _outcome(run: Run, end: End) -> int:
    if end is End.DIVERGED:
        _say(
            run.world, f"{run.folder}: gave up at step {run.at.step:,}: {run.config.skip_limit} steps in a row had bad gradients"
        )
        return 1
    if end is End.FINISHED:
        return 0
    _say(run.world, f"{run.folder}: stopped and saved at step {run.at.step:,}; the same command goes on")
    return INTERRUPTED if run.interrupted else 0


def _say(world: World, text: str) -> None:
    if world.first:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
