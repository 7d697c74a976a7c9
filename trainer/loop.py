"""The training loop: steps, validations, evaluations and checkpoints."""

import logging
import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from tokenizer.codec import Tokenizer
from trainer.attention import Documents
from trainer.checkpoint.metadata import CheckpointMetadata
from trainer.checkpoint.save import CheckpointWriter
from trainer.checkpoint.tensors import Tensors, load_tensors
from trainer.compiling import CompileCache, compile_parts
from trainer.config import TrainConfig
from trainer.data import Batches, MicroBatch, TokenDataset, validation_starts
from trainer.distributed import SharedFlag, World, divides_network, gradient_sync, parallelize, reshard, shard
from trainer.evals.in_training import InTrainingEvaluator, is_sharded, whole_split_loss
from trainer.feed import DeviceFeed
from trainer.interruption import StopRequest, stop_signals
from trainer.model import GPT
from trainer.optim import GUARD_STATE, GradientGuard, Optimizer, gradient_type, learning_rate_at
from trainer.reporting import Reporter
from trainer.sharded import copy_whole
from trainer.state import StopReason, TrainerState
from trainer.trackers import Tracker

log = logging.getLogger(__name__)


class Trainer:
    """A network in training. `train` continues from `state`."""

    def __init__(
        self,
        config: TrainConfig,
        dataset: TokenDataset,
        tokenizer: Tokenizer,
        folder: Path,
        world: World,
        evaluator: InTrainingEvaluator | None = None,
    ) -> None:
        self.config, self.dataset, self.tokenizer, self.folder, self.world = config, dataset, tokenizer, folder, world
        self.evaluator = evaluator
        self.state = TrainerState()
        self.stop = StopRequest()
        self.cache = CompileCache(folder, world) if config.compile else None
        self.model, self.network = build(config, world)
        # variable-length kernels need CUDA and 16 bits, and support no dropout
        self.flat = world.device.type == "cuda" and config.precision == "bf16" and not config.model.dropout
        self.batches = Batches(
            dataset.train, context=config.model.context, windows=config.batch_windows, seed=config.seed,
            eot_id=dataset.manifest.eot_id if config.document_mask else None, flat=self.flat,
        )  # fmt: skip
        self.micro_batch = math.gcd(config.micro_batch, config.batch_windows // world.ranks)
        self.optimizer = Optimizer(self.model, config)
        self.writer = CheckpointWriter(folder, tokenizer, world, keep=config.keep)
        self.guard = GradientGuard(config.spike_sigmas, world.device)
        whole = config.compile and not compiled_by_parts(config, world)
        self.compiled: nn.Module = torch.compile(self.network, dynamic=False) if whole else self.network  # type: ignore[assignment]
        self.flag = SharedFlag(world)

    def resume(self, folder: Path, metadata: CheckpointMetadata) -> None:
        """Restore weights, optimizer and state from a checkpoint of this recipe and dataset, whose files have been checked."""
        parts = self._tensors()
        for name, tensors in parts.items():
            load_tensors(folder / name, tensors, self.world)
        self.guard.restore({name: parts["optimizer"][f"guard.{name}"] for name in GUARD_STATE})
        self.optimizer.restore(parts["optimizer"])
        self.state = TrainerState(metadata.step, metadata.best_step, metadata.best_loss)

    def copy_weights(self, model: GPT) -> None:
        """Start from another network's weights, which every rank has whole."""
        with torch.no_grad():
            for mine, theirs in zip(self.model.parameters(), model.parameters(), strict=True):
                copy_whole(mine, theirs)

    def train(self, trackers: Sequence[Tracker] = ()) -> StopReason:
        """Train until the last step, a signal, or too many skipped steps in a row."""
        with stop_signals() as self.stop:
            reporter = Reporter(self.folder, self.config, self.dataset, self.world, self.state, self.guard, trackers)
            batches = DeviceFeed(self._micro_batches, self.state.step, self.world.device)
            try:
                reason = self._steps(batches, reporter)
                self.writer.wait()
            finally:
                batches.close()
                reporter.close()
                self.writer.close()
        return reason

    def validate(self) -> dict[str, float]:
        """Loss on the fixed validation text in nats per token and bits per byte. Empty without a validation split.

        A split of at most `validation_tokens` is scored whole, as `webtext-train eval` does: both give one number.
        """
        stream = self.dataset.validation
        context = self.config.model.context
        if stream is None or len(stream) <= context:
            return {}
        if len(stream) <= self.config.validation_tokens and not is_sharded(self.model):
            return whole_split_loss(self.model, self.tokenizer, self.dataset.manifest)
        starts = validation_starts(
            len(stream), context, self.config.validation_tokens,
            rank=self.world.rank, ranks=self.world.ranks, micro_batch=self.micro_batch,
        )  # fmt: skip
        reader = Batches(stream, context=context, windows=1, seed=0, eot_id=self.batches.eot_id, flat=self.flat)
        bytes_per_token = np.array([len(text) for text in self.tokenizer.token_bytes])
        nats = torch.zeros((), dtype=torch.float64, device=self.world.device)
        counts = np.zeros(2)
        self.network.eval()
        # casts of the weights are kept from one micro-batch to the next; the output layer of a sharded network is not whole here
        head = nullcontext() if is_sharded(self.model) else self.model.keeping_head()
        with torch.no_grad(), self._autocast(), head:
            for i in range(0, len(starts), self.micro_batch):
                batch = reader.read(starts[i : i + self.micro_batch])
                targets = batch.targets[batch.targets >= 0].numpy()
                # uncompiled: evaluation mode would compile a second graph
                nats += self._loss(batch.to(self.world.device), self.network).double() * len(targets)
                counts += len(targets), bytes_per_token[targets].sum()
        self.network.train()
        reshard(self.model)
        sums = torch.tensor([nats.item(), *counts], dtype=torch.float64)
        total_nats, tokens, text_bytes = self.world.sum(sums).tolist()
        return {"val_loss": total_nats / tokens, "bits_per_byte": total_nats / (math.log(2) * text_bytes)}

    def save(self, *, last: bool = False) -> None:
        """Start writing a checkpoint of the current step in the background, and delete old ones afterwards.

        `last`: nothing changes the tensors after this call, so they are written from where they are.
        """
        self.state.update_best()
        manifest = self.dataset.manifest
        metadata = CheckpointMetadata(
            step=self.state.step,
            tokens=self.state.step * self.config.batch_tokens,
            seed=self.config.seed,
            corpus_sha256=manifest.sha256,
            tokenizer_sha256=manifest.tokenizer_sha256,
            config=self.config,
            best_step=self.state.best_step,
            best_loss=self.state.best_loss,
        )
        self.writer.save(metadata, self._tensors(), snapshot=not last)

    def _steps(self, batches: DeviceFeed, reporter: Reporter) -> StopReason:
        self.network.train()
        saved = self.state.step
        for micro_batches in batches:
            if self.state.step >= self.config.steps or self._stops():
                break
            made = self._step(micro_batches)
            if made is None:
                break
            self.state.step += 1
            step, last = self.state.step, self.state.step == self.config.steps
            if self.cache is not None:
                self.cache.keep()
            if self._report(reporter, *made, last=last):
                return StopReason.DIVERGED
            if self.config.saves_at(step) or last:
                self.save(last=last)
                saved = step
            if self.evaluator is not None and self.evaluator.due(step, last=last):
                reporter.evaluation(self.evaluator.evaluate(self.model, self._stops))
        if saved != self.state.step or not self.state.step:
            self.save(last=True)
        return StopReason.FINISHED if self.state.step >= self.config.steps else StopReason.SIGNAL

    def _report(self, reporter: Reporter, loss: Tensor, norm: Tensor, rate: float, *, last: bool) -> bool:
        """Report the step and validate, where either is due. Returns whether too many steps in a row have been skipped."""
        step = self.state.step
        if step % self.config.log_every == 0 or step == 1 or last:
            reporter.step(loss, norm, rate)
            if self.guard.skipped.item() >= self.config.skip_limit:
                return True
        if step % self.config.validate_every == 0 or last:
            reporter.validation(self.validate())
        return False

    def _stops(self) -> bool:
        """Whether a signal has reached any rank. All ranks ask at the same places and get the same answer."""
        return self.flag.exchange(self.stop.requested)

    def _step(self, micro_batches: list[MicroBatch]) -> tuple[Tensor, Tensor, float] | None:
        """One optimizer step: mean loss of this rank's windows, gradient norm, learning rate. It never waits for the device.

        None where a signal comes between two micro-batches: the step is given up, so that saving begins at once.
        """
        self.optimizer.zero_grad()
        dtype = torch.float64 if self.config.precision == "fp64" else torch.float32
        total = torch.zeros((), dtype=dtype, device=self.world.device)
        for position, batch in enumerate(micro_batches):
            if position and self._stops():
                self.optimizer.zero_grad()
                reshard(self.model)
                return None
            if self.config.model.dropout:
                torch.manual_seed(self._dropout_seed(self.world.rank * len(micro_batches) + position))
            with gradient_sync(self.network, enabled=position == len(micro_batches) - 1):
                loss = self._loss(batch, self.compiled, self.config.window_tokens(self.state.step)) / len(micro_batches)
                loss.backward()  # type: ignore[no-untyped-call]
            total = total + loss.detach()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip or math.inf, foreach=True)
        if isinstance(norm, DTensor):
            norm = norm.full_tensor()
        scale = learning_rate_at(self.config, self.state.step)
        self.optimizer.step(scale, self.guard.judge(norm))
        return total, norm, scale * self.config.learning_rate

    def _dropout_seed(self, position: int) -> int:
        """Seed for the micro-batch at `position` of the global batch: masks depend on its size, but not on the ranks."""
        return hash((self.config.seed, self.state.step, position)) & 0x7FFF_FFFF_FFFF_FFFF

    def _loss(self, batch: MicroBatch, network: nn.Module, window_tokens: int | None = None) -> Tensor:
        documents = Documents.of_batch(batch.documents, batch.inputs, nearest=window_tokens, flat=self.flat)
        with self._autocast():
            loss: Tensor = network(batch.inputs, batch.targets, documents)
        return loss

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")

    def _micro_batches(self, step: int) -> list[MicroBatch]:
        return self.batches.micro_batches(step, rank=self.world.rank, ranks=self.world.ranks, micro_batch=self.micro_batch)

    def _tensors(self) -> dict[str, Tensors]:
        """The tensors of a checkpoint by folder. Weights share memory with the network."""
        guard = {f"guard.{name}": value for name, value in self.guard.state().items()}
        weights = {name: weight.detach() for name, weight in self.model.named_parameters()}
        return {"model": weights, "optimizer": {**guard, **self.optimizer.state()}}


def build(config: TrainConfig, world: World) -> tuple[GPT, nn.Module]:
    """The network with its initial weights, and as this rank runs it. Weights are made on the device, already sharded."""
    bf16 = config.precision == "bf16"
    with torch.device("meta"):
        model = GPT(config.model)
    if config.precision == "fp64":
        model.to(torch.float64)
    model.recompute_blocks(config.recompute)
    model.loss_rows, model.fp32_stream = config.loss_rows, config.fp32_stream
    if compiled_by_parts(config, world):
        compile_parts(model)
    if divides_network(config.strategy, world):
        accumulates = config.micro_batches(world.ranks) > 1
        shard(model, world, bf16=bf16, accumulates=accumulates, gradient_type=gradient_type(config))
    model.to_empty(device=world.device)
    model.init_weights(config.seed)
    return model, parallelize(model, world, config.strategy, bf16=bf16)


def compiled_by_parts(config: TrainConfig, world: World) -> bool:
    """Whether blocks are compiled one by one: FSDP's hooks, and DDP's splitting of a graph with recomputation, need that."""
    return config.compile and (config.recompute or divides_network(config.strategy, world))
