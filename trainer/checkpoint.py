"""Checkpoints: folders of safetensors, complete or not there at all.

    step_00001000/  checkpoint.json   step, seed, tokens seen, fingerprints, recipe, size and sha256 of every other file, its own sha256
                    model/            weights, a safetensors file a rank
                    optimizer/        AdamW's moments, and the guard's history
                    tokenizer/        the tokenizer, so that a checkpoint can be sampled, evaluated and exported by itself

Nothing in it can run code: tensors are read by safetensors, the rest is JSON. It is written aside, synced, and renamed when whole.
"""

import hashlib
import json
import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter

from tokenizer.codec import Tokenizer
from tokenizer.errors import FormatError
from trainer.config import InputError, SaveError, TrainConfig
from trainer.distributed import World
from trainer.export import WEIGHTS, load_hf
from trainer.model import GPT

log = logging.getLogger(__name__)

FORMAT = "webtext-checkpoint"
VERSION = 1
FOLDER = "checkpoints"
ASIDE = ".aside"

State = dict[str, Tensor]


class DamagedCheckpointError(InputError):
    """A checkpoint that is not whole, or not what it was when it was written."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a checkpoint says of itself, besides its tensors."""

    step: int
    tokens: int
    seed: int
    corpus_sha256: str
    tokenizer_sha256: str
    config: TrainConfig
    best_step: int | None = None
    best_loss: float | None = None


def folder_of(run: Path, step: int) -> Path:
    """Where the checkpoint of a step stands in a run's folder."""
    return run / FOLDER / f"step_{step:08d}"


def checkpoints(run: Path) -> list[Path]:
    """The finished checkpoints of a run, oldest first."""
    return sorted(path for path in (run / FOLDER).glob("step_*") if path.is_dir())


class Saver:
    """Writes checkpoints in a thread of its own, one at a time, while training goes on. Every rank has one and calls it alike."""

    def __init__(self, run: Path, tokenizer: Tokenizer, world: World, *, keep: int) -> None:
        self._run, self._tokenizer, self._world, self._keep = run, tokenizer, world, keep
        self._group = dist.new_group(backend="gloo") if world.ranks > 1 else None
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Future[Path] | None = None

    def save(self, facts: Facts, parts: dict[str, State]) -> None:
        """Copy the tensors and return; waits only for a save before it. Raises SaveError where that one failed."""
        self.wait()
        copies = {part: {name: _copy(value) for name, value in state.items()} for part, state in parts.items()}
        self._pending = self._thread.submit(self._write, facts, copies)

    def wait(self) -> None:
        """Until what was asked for is on disk. Raises SaveError where it could not be written."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        try:
            pending.result()
        except (OSError, RuntimeError, dcp.api.CheckpointException) as error:
            raise SaveError(
                f"a checkpoint could not be written ({error}); those before it stand in {self._run / FOLDER}"
            ) from error

    def close(self) -> None:
        """End the thread, whatever it is doing being done first."""
        self._thread.shutdown()

    def _write(self, facts: Facts, parts: dict[str, State]) -> Path:
        folder = write(self._run, facts, parts, self._tokenizer, self._world, self._group)
        if self._world.first:
            prune(self._run, self._keep, facts.best_step)
        return folder


def _copy(value: Tensor) -> Tensor:
    """A piece as it is now, on the CPU."""
    return value.detach().to("cpu", copy=True)


def write(
    run: Path, facts: Facts, parts: dict[str, State], tokenizer: Tokenizer, world: World, group: dist.ProcessGroup | None = None
) -> Path:
    """Write the checkpoint of `facts.step`; every rank calls it with its own pieces. Returns the folder."""
    final = folder_of(run, facts.step)
    aside = final.with_name(f".{final.name}{ASIDE}")
    with _together(group):
        if world.first:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
    for name, state in parts.items():
        with _together(group), _alone_on_purpose():
            writer = HuggingFaceStorageWriter(str(aside / name), save_distributed=True)
            dcp.state_dict_saver.save(state, storage_writer=writer, process_group=group, no_dist=world.ranks == 1)
    with _together(group):
        if world.first:
            tokenizer.save(aside / "tokenizer")
            _finish(aside, final, facts)
    return final


@contextmanager
def _together(group: dist.ProcessGroup | None) -> Iterator[None]:
    """What one rank fails to do, all have failed to do: each raises, and none is left waiting for another."""
    failure: BaseException | None = None
    try:
        yield
    except (OSError, RuntimeError, dcp.api.CheckpointException) as error:
        failure = error
    if group is not None:
        failed = torch.tensor(int(failure is not None))
        dist.all_reduce(failed, dist.ReduceOp.MAX, group=group)
        if failed.item() and failure is None:
            raise SaveError("another rank could not write its part")
    if failure is not None:
        raise failure


def _finish(aside: Path, final: Path, facts: Facts) -> None:
    files = sorted(path for path in aside.rglob("*") if path.is_file())
    body = {**asdict(facts), "config": facts.config.to_json(), "format": FORMAT, "version": VERSION}
    body["files"] = {str(path.relative_to(aside)): {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in files}
    body["sha256"] = _sha256_of_body(body)
    (aside / "checkpoint.json").write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    for path in (*files, aside / "checkpoint.json", *{path.parent for path in files}, aside):
        _sync(path)
    if final.exists():
        shutil.rmtree(final)
    aside.rename(final)
    _sync(final.parent)


def read_facts(folder: Path) -> Facts:
    """A checkpoint's facts, its files there and unchanged. Raises DamagedCheckpointError naming what is not."""
    path = folder / "checkpoint.json"
    try:
        body = json.loads(path.read_bytes())
        said = body.pop("sha256", None)  # checkpoints of before it stood there have none
        if said not in (None, _sha256_of_body(body)):
            raise DamagedCheckpointError(f"{path}: it does not match its own sha256")
        if (body.pop("format"), body.pop("version")) != (FORMAT, VERSION):
            raise DamagedCheckpointError(f"{path}: not a {FORMAT} of version {VERSION}")
        files = body.pop("files")
        facts = Facts(**{**body, "config": TrainConfig.from_json(body["config"])})
    except FileNotFoundError as error:
        raise DamagedCheckpointError(f"{folder}: no checkpoint.json there: not a checkpoint, or not a finished one") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedCheckpointError(f"{path}: cannot be read ({error})") from error
    for name, said in files.items():
        _check(folder / name, said)
    return facts


def _sha256_of_body(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _check(path: Path, said: dict[str, Any]) -> None:
    if not path.is_file():
        raise DamagedCheckpointError(f"{path}: missing; checkpoint.json names it")
    if path.stat().st_size != said["bytes"]:
        raise DamagedCheckpointError(f"{path}: {path.stat().st_size} bytes, checkpoint.json says {said['bytes']}")
    if _sha256(path) != said["sha256"]:
        raise DamagedCheckpointError(f"{path}: its sha256 is not the one that checkpoint.json names")


def load(folder: Path, parts: dict[str, State], world: World) -> None:
    """Fill the tensors of `parts`, whole or in pieces, whatever number of ranks wrote them. `read_facts` has vouched for the files."""
    for name, state in parts.items():
        with _alone_on_purpose():
            dcp.state_dict_loader.load(
                state, storage_reader=HuggingFaceStorageReader(str(folder / name)), no_dist=world.ranks == 1
            )


def load_model(path: str | Path, device: str | torch.device = "cpu") -> tuple[GPT, Tokenizer, TrainConfig]:
    """A network to use, in evaluation mode and fp32, with its tokenizer and its recipe (of a Hugging Face folder, its shape alone).

    A run's folder stands for its newest checkpoint. Raises InputError for anything else, and for what is damaged.
    """
    folder = Path(path)
    try:
        if (folder / WEIGHTS).exists():
            model = load_hf(folder)
            return model.to(device).eval(), Tokenizer.load(folder), _shape_alone(model)
        folder = newest(folder)
        facts = read_facts(folder)
        model = GPT(facts.config.model)
        load(folder, {"model": {name: weight.detach() for name, weight in model.named_parameters()}}, World())
        return model.to(device).eval(), Tokenizer.load(folder / "tokenizer"), facts.config
    except FormatError as error:
        raise InputError(str(error)) from error


def _shape_alone(model: GPT) -> TrainConfig:
    return TrainConfig(preset="hugging-face", model=model.config, batch_tokens=model.config.context)


def newest(folder: Path) -> Path:
    """A checkpoint itself, or the newest of a run's folder. Raises InputError where there is none."""
    if (folder / "checkpoint.json").exists():
        return folder
    found = checkpoints(folder)
    if not found:
        raise InputError(f"{folder}: no checkpoint, no run with one, and no Hugging Face folder")
    return found[-1]


def prune(run: Path, keep: int, best: int | None) -> None:
    """Remove all but the newest `keep` checkpoints and the one of step `best`."""
    for path in checkpoints(run)[:-keep]:
        if best is None or path != folder_of(run, best):
            shutil.rmtree(path)


def sweep(run: Path) -> None:
    """Remove what killed writers left aside."""
    for path in (run / FOLDER).glob(f".*{ASIDE}"):
        shutil.rmtree(path)


@contextmanager
def _alone_on_purpose() -> Iterator[None]:
    """torch warns that one process saves alone although it is told so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
