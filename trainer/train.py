"""`webtext-train train`: checks the input, then starts or resumes a run, or reports that it is done."""

import json
import logging
import sys
from argparse import Namespace
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import torch

from tokenizer.codec import Tokenizer
from tokenizer.errors import UNFINISHED, FormatError, InputError
from tokenizer.folder_lock import folder_lock
from tokenizer.interruption import INTERRUPTED
from tokenizer.labels import printable
from tokenizer.outputs import check_folder
from tokenizer.typed_json import read
from tokenizer.untrusted import check_file
from trainer.checkpoint.folders import CHECKPOINTS, checkpoints, folder_of, set_aside, sweep
from trainer.checkpoint.load import load_model
from trainer.checkpoint.metadata import CheckpointMetadata, DamagedCheckpointError, read_metadata
from trainer.config import TrainConfig
from trainer.data import Batches, TokenDataset
from trainer.distributed import World, environment, process_group
from trainer.evals.in_training import InTrainingEvaluator
from trainer.evals.task import check_folders
from trainer.flags import apply_flags
from trainer.flash_attention import activate_flash_attention
from trainer.loop import Trainer
from trainer.memory import memory_of, resolve_strategy
from trainer.model import GPT
from trainer.presets import PRESETS, RECIPES
from trainer.prolong import grows, late_checkpoints, prolong
from trainer.state import StopReason
from trainer.trackers import TensorBoard, Tracker, WeightsAndBiases, require_packages

log = logging.getLogger(__name__)

OWN_NAMES = (CHECKPOINTS, "log.jsonl", "tensorboard", "wandb", ".config.json.aside")
"""What a run writes into its folder besides config.json."""


def train(arguments: Namespace) -> int:
    """Run the command. Exit codes: 0 finished or up to date; 1 diverged; 75 stopped by SIGTERM, here or on another rank; 130
    interrupted.

    A run that is not finished never returns 0: a scheduler would go on to evaluate it, and torchrun's agents on other nodes would
    take their ranks for done.

    Raises InputError for bad input, before it creates anything.
    """
    world = environment(arguments.device)
    config = resolve_precision(apply_flags(RECIPES[arguments.recipe](PRESETS[arguments.preset]()), arguments), world)
    config = resolve_strategy(config, world.ranks, memory_of(world))
    folder = Path(arguments.out)
    dataset = TokenDataset.open(arguments.data, verify=world.first)
    tokenizer = find_tokenizer(dataset, arguments.tokenizer)
    _check_fit(config, dataset, world)
    before = _check_same_run(folder, config, dataset)
    longer = before if before is not None and world.first and grows(config, before) else None
    late = late_checkpoints(folder, config, longer) if longer else []
    known = checkpoints(folder)
    usable = [path for path in known if path not in late]
    chosen = _find_checkpoint(usable, fall_back=arguments.fall_back) if world.first else None
    if world.first and chosen is None and arguments.resume:
        raise InputError(f"{folder}: no checkpoint to resume from; omit --resume to start a new run")
    with process_group(world):
        start = _agree_on_checkpoint(world, folder, chosen)
        if start is not None and start.metadata.step >= config.steps:
            _print(world, f"{folder}: up to date, all {config.steps} steps are done ({start.path})")
            return 0
        initial = None
        if arguments.init_from and start is None:
            initial = _load_initial(arguments.init_from, config, tokenizer, verify=world.first)
        evaluator = _evaluator(arguments, config, tokenizer)
        require_packages(tensorboard=arguments.tensorboard, wandb=arguments.wandb)
        _warn_about_recipe(config, dataset, world)
        if world.device.type == "cuda" and (name := activate_flash_attention(arguments.flash_attention)):
            _print(world, f"attention uses {name}")
        with folder_lock(folder) if world.first else nullcontext():
            if world.first:
                _check_unchanged(folder, known)
                if longer:
                    prolong(folder, late, config, longer)
                _set_damaged_aside(usable, None if start is None else start.path)
                _prepare_folder(folder, config, dataset)
            world.wait()
            _set_product_precision(config)
            trainer = Trainer(config, dataset, tokenizer, folder, world, evaluator)
            if start is not None:
                trainer.resume(start.path, start.metadata)
                _print(world, f"{folder}: resuming from step {trainer.state.step:,} of {config.steps:,}")
            elif initial is not None:
                trainer.copy_weights(initial)
            trackers = _trackers(arguments, trainer) if world.first else []
            return _exit_code(trainer, trainer.train(trackers))


@dataclass(frozen=True, slots=True)
class Start:
    """A checkpoint to resume from."""

    path: Path
    metadata: CheckpointMetadata


def _agree_on_checkpoint(world: World, folder: Path, chosen: Start | None) -> Start | None:
    """The checkpoint that rank 0 has chosen and verified: on a shared disk, ranks could each see another one as the newest."""
    step = world.from_first(-1 if chosen is None else chosen.metadata.step)
    if step < 0 or world.first:
        return chosen
    path = folder_of(folder, step)
    return Start(path, read_metadata(path, verify=False))


def _evaluator(arguments: Namespace, config: TrainConfig, tokenizer: Tokenizer) -> InTrainingEvaluator | None:
    if not arguments.eval_tasks:
        return None
    folders = check_folders([arguments.data, *arguments.eval_data])
    return InTrainingEvaluator.prepare(arguments.eval_tasks, folders, tokenizer, config)


def resolve_precision(config: TrainConfig, world: World) -> TrainConfig:
    """The recipe with `auto` precision replaced: bf16 where GPU or CPU multiplies it faster, else fp32."""
    if config.precision != "auto":
        return config
    return replace(config, precision="bf16" if computes_bf16(world.device) else "fp32")


def computes_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bf16 matrices faster than fp32 ones.

    NVIDIA's GPUs do from compute capability 8.0; of CPUs, those with AMX, and AMD's with AVX512-BF16. Intel's AVX512-BF16 alone is not
    enough: on a Xeon without AMX, products in bf16 took 1.6 times as long as in fp32 (docs/log.md); on an EPYC, a training step took
    0.4 times as long (docs/benchmarks.md).
    """
    if device.type == "cuda":
        return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
    return torch.cpu._is_amx_tile_supported() or (torch.cpu._is_avx512_bf16_supported() and _is_amd())


def _is_amd() -> bool:
    """Whether Linux names AMD as the maker of this machine's CPU."""
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return False


def _set_product_precision(config: TrainConfig) -> None:
    """Let fp32 products on a GPU use TF32, unless the recipe asks for fp32 or fp64."""
    torch.set_float32_matmul_precision("highest" if config.precision in ("fp32", "fp64") else "high")


def find_tokenizer(dataset: TokenDataset, path: str | None) -> Tokenizer:
    """The token shards' tokenizer, from `path`, or else from in or beside their folder. Raises InputError if there is none."""
    folder = Path(dataset.manifest.folder)
    candidates = [folder, folder / "tokenizer", folder.parent / "vocabulary", folder.parent / "tokenizer"]
    expected = dataset.manifest.tokenizer_sha256
    for candidate in [Path(path)] if path else candidates:
        try:
            tokenizer = Tokenizer.load(candidate)
        except FormatError as error:
            if path:
                raise InputError(str(error)) from error
            continue
        if tokenizer.sha256 != expected:
            raise InputError(
                f"{candidate}: the tokenizer's sha256 is {tokenizer.sha256}, but the token shards need {expected}; "
                "use --tokenizer PATH"
            )
        return tokenizer
    raise InputError(f"{folder}: no tokenizer in or beside this folder; use --tokenizer PATH")


def _check_fit(config: TrainConfig, dataset: TokenDataset, world: World) -> None:
    """Raise InputError if recipe, dataset and number of ranks do not fit together."""
    if dataset.manifest.vocab_size != config.model.vocabulary:
        raise InputError(
            f"the token shards have a vocabulary of {dataset.manifest.vocab_size}, the model has {config.model.vocabulary}; "
            f"use --vocabulary {dataset.manifest.vocab_size}"
        )
    batches = Batches(dataset.train, context=config.model.context, windows=config.batch_windows, seed=config.seed)
    if world.ranks > config.batch_windows:
        raise InputError(
            f"{world.ranks} ranks, but {config.batch_windows} windows per step: raise --batch-tokens or start fewer ranks"
        )
    batches.micro_batches(0, rank=world.rank, ranks=world.ranks, micro_batch=1)


class _RunFile(msgspec.Struct):
    """The JSON of a run's config.json."""

    config: dict[str, Any]
    corpus_sha256: str


def _warn_about_recipe(config: TrainConfig, dataset: TokenDataset, world: World) -> None:
    """Say in a line each what the run will not have: its peak learning rate, its products' speed, a validation loss."""
    if config.warmup_steps > config.steps:
        _print(world, f"the learning rate stays below its peak: {config.warmup_steps:,} warm-up steps of {config.steps:,} steps")
    if config.precision == "bf16" and not computes_bf16(world.device):
        _print(world, f"{world.device_description} multiplies bf16 no faster than fp32; --precision fp32 may be faster")
    tokens = 0 if dataset.validation is None else len(dataset.validation)
    if tokens <= config.model.context:
        _print(
            world,
            f"{dataset.manifest.folder}: no validation loss and no best checkpoint: the validation split has {tokens:,} tokens, a "
            f"window needs {config.model.context + 1:,}; run the stage 'tokens' with a larger --validation-share",
        )


def _check_same_run(folder: Path, config: TrainConfig, dataset: TokenDataset) -> TrainConfig | None:
    """The recipe of the run that the folder contains, None for a new run.

    Raises InputError if the folder contains a run with other settings (but for fewer steps) or another corpus.
    """
    path = folder / "config.json"
    if not path.exists():
        check_folder(folder, OWN_NAMES)
        return None
    try:
        check_file(folder, path.name)
        body = read(path, _RunFile)
        before = TrainConfig.from_json(body.config)
        fingerprint = body.corpus_sha256
    except ValueError as error:
        raise InputError(f"{path}: cannot be read ({printable(error)}); choose another --out") from error
    differences = config.differences(before)
    if differences and not grows(config, before):
        raise InputError(
            f"{folder}: contains a run with other settings ({'; '.join(differences)}); choose another --out, or use its settings"
        )
    if fingerprint != dataset.manifest.sha256:
        raise InputError(
            f"{folder}: contains a run on corpus {fingerprint}, but {dataset.manifest.folder} is {dataset.manifest.sha256}; "
            "choose another --out or --data"
        )
    return before


def _find_checkpoint(usable: list[Path], *, fall_back: bool) -> Start | None:
    """The newest usable checkpoint, verified, or None for a new run. Raises DamagedCheckpointError unless `fall_back`."""
    for path in reversed(usable):
        try:
            return Start(path, read_metadata(path))
        except DamagedCheckpointError as error:
            if not fall_back:
                raise DamagedCheckpointError(f"{error}; use --fall-back to continue from an earlier checkpoint") from error
            log.warning("%s; falling back to the checkpoint before it", error)
    return None


def _check_unchanged(folder: Path, known: list[Path]) -> None:
    """Raise InputError if another run wrote checkpoints before this one held the folder's lock."""
    if checkpoints(folder) != known:
        raise InputError(f"{folder}: another run wrote checkpoints meanwhile; run the same command again")


def _set_damaged_aside(known: list[Path], start: Path | None) -> None:
    """Rename the checkpoints after `start`: --fall-back passed over them because they are damaged."""
    for path in known[known.index(start) + 1 :] if start is not None else known:
        log.warning("%s: damaged; kept as %s", path, set_aside(path).name)


def _load_initial(folder: str, config: TrainConfig, tokenizer: Tokenizer, *, verify: bool = True) -> GPT:
    """The network whose weights to start from. Raises InputError if its shape or its tokenizer differs from the run's."""
    model, theirs_tokenizer, _ = load_model(folder, verify=verify)
    mine, theirs = config.model.to_json(), model.config.to_json()
    differences = [
        f"{name} {theirs[name]}, not {mine[name]}"
        for name in mine
        if mine[name] != theirs[name] and name not in ("dropout", "bf16_embeddings")
    ]
    if differences:
        raise InputError(f"--init-from {folder}: the network has another shape ({'; '.join(differences)})")
    if theirs_tokenizer.sha256 != tokenizer.sha256:
        raise InputError(
            f"--init-from {folder}: the network's tokenizer ({theirs_tokenizer.sha256[:16]}) is not the token shards' "
            f"({tokenizer.sha256[:16]}), so its embeddings stand for other tokens; tokenize the corpus with the network's tokenizer"
        )
    return model


def _prepare_folder(folder: Path, config: TrainConfig, dataset: TokenDataset) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        body = {"config": config.to_json(), "corpus_sha256": dataset.manifest.sha256}
        aside = folder / ".config.json.aside"
        aside.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
        aside.replace(folder / "config.json")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error
    sweep(folder)


def _trackers(arguments: Namespace, trainer: Trainer) -> list[Tracker]:
    trackers: list[Tracker] = []
    if arguments.tensorboard:
        trackers.append(TensorBoard(trainer.folder, trainer.state.step))
    if arguments.wandb:
        trackers.append(WeightsAndBiases(trainer.folder, arguments.wandb, trainer.config.to_json()))
    return trackers


def _exit_code(trainer: Trainer, reason: StopReason) -> int:
    """Exit code for a stopped run. Prints why it stopped, unless it finished."""
    folder, step = trainer.folder, trainer.state.step
    if reason is StopReason.FINISHED:
        return 0
    if reason is StopReason.DIVERGED:
        limit = trainer.config.skip_limit
        _print(trainer.world, f"{folder}: stopped at step {step:,}: skipped {limit} steps in a row because of bad gradients")
        return 1
    _print(trainer.world, f"{folder}: stopped and saved at step {step:,}; run the same command again to continue")
    return INTERRUPTED if trainer.stop.interrupted else UNFINISHED


def _print(world: World, text: str) -> None:
    """Write a line to stderr on the first rank."""
    if world.first:
        sys.stderr.write(f"{printable(text)}\n")
        sys.stderr.flush()
