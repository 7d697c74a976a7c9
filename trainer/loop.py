"""The training run: steps, validations, checkpoints, and how it stops and goes on."""

import logging
import math
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from tokenizer.codec import Tokenizer
from trainer import checkpoint
from trainer.attention import Documents
from trainer.checkpoint import Facts, Saver, State
from trainer.compiling import Compiled
from trainer.config import TrainConfig
from trainer.data import Batch, Batches, Corpus, Prefetched, validation_starts
from trainer.distributed import Agreement, World, accumulating, share
from trainer.evals.in_training import InTrainingEvaluator
from trainer.interruption import stop_signals
from trainer.model import GPT
from trainer.optim import GUARD_STATE, Guard, Optimizer, learning_rate_at
from trainer.reporting import Reporter
from trainer.trackers import Tracker

log = logging.getLogger(__name__)


class End(Enum):
    """How a run came to stop."""

    FINISHED = "finished"
    STOPPED = "stopped by a signal"
    DIVERGED = "too many steps skipped in a row"


@dataclass(slots=True)
class Progressed:
    """What a checkpoint holds besides tensors and what never changes."""

    step: int = 0
    best_step: int | None = None
    best_loss: float | None = None
    validated: tuple[int, float] | None = None

    def note_best(self) -> None:
        """The checkpoint about to be written is the best if the validation just made says so."""
        if self.validated is not None and self.validated[0] == self.step:
            loss = self.validated[1]
            if self.best_loss is None or loss < self.best_loss:
                self.best_step, self.best_loss = self.step, loss


@dataclass
class Run:
    """A network in training. `train` goes on from wherever it is."""

    config: TrainConfig
    corpus: Corpus
    tokenizer: Tokenizer
    folder: Path
    world: World
    at: Progressed = field(default_factory=Progressed)
    trackers: list[Tracker] = field(default_factory=list)
    examiner: InTrainingEvaluator | None = None

    def __post_init__(self) -> None:
        config = self.config
        self.model = GPT(config.model).to(self.world.device, torch.float64 if config.precision == "fp64" else torch.float32)
        self.model.initialise(config.seed)
        self.model.recompute, self.model.loss_rows = config.recompute, config.loss_rows
        eot_id = self.corpus.manifest.eot_id if config.document_mask else None
        # varlen kernels are CUDA's, of 16 bits, and know no dropout
        self.flat = self.world.device.type == "cuda" and config.precision == "bf16" and not config.model.dropout
        self.batches = Batches(
            self.corpus.train, context=config.model.context, windows=config.batch_windows, seed=config.seed, eot_id=eot_id,
            flat=self.flat,
        )  # fmt: skip
        self.micro_batch = math.gcd(config.micro_batch, config.batch_windows // self.world.ranks)
        self.shared = share(self.model, self.world, config.strategy, bf16=config.precision == "bf16")
        self.optimizer = Optimizer(self.model, config)
        self.saver = Saver(self.folder, self.tokenizer, self.world, keep=config.keep)
        self.guard = Guard(config.spike_sigmas, self.world.device)
        self._stop = {"asked": False, "interrupted": False}
        self.compiled = Compiled(self.shared, self.folder, self.world) if config.compile else None

    @property
    def interrupted(self) -> bool:
        """Whether it was SIGINT that stopped it."""
        return self._stop["interrupted"]

    def resume(self, folder: Path) -> None:
        """Take weights, moments and place from a checkpoint of this recipe and corpus."""
        facts = checkpoint.read_facts(folder)
        parts = self._parts()
        checkpoint.load(folder, parts, self.world)
        self.guard.restore({name: parts["optimizer"][f"guard.{name}"] for name in GUARD_STATE})
        self.optimizer.restore(parts["optimizer"])
        self.at = Progressed(facts.step, facts.best_step, facts.best_loss)

    def begin_with(self, model: GPT) -> None:
        """Take another network's weights before the first step."""
        with torch.no_grad():
            for mine, theirs in zip(self.model.parameters(), model.parameters(), strict=True):
                mine.copy_(theirs)

    def train(self) -> End:
        """Steps up to the last, a signal, or too many skips."""
        with stop_signals() as self._stop:
            reporter = Reporter(self)
            batches = Prefetched(self._micro_batches, self.at.step)
            try:
                end = self._steps(batches, reporter)
                self.saver.wait()
            finally:
                batches.close()
                reporter.close()
                self.saver.close()
        return end

    def validate(self) -> dict[str, float]:
        """Loss over the fixed validation text, in nats a token and bits a byte; nothing without a validation split."""
        stream = self.corpus.validation
        context = self.config.model.context
        if stream is None or len(stream) <= context:
            return {}
        starts = validation_starts(
            len(stream), context, self.config.validation_tokens,
            rank=self.world.rank, ranks=self.world.ranks, micro_batch=self.micro_batch,
        )  # fmt: skip
        reader = Batches(stream, context=context, windows=1, seed=0, eot_id=self.batches.eot_id, flat=self.flat)
        spelled = np.array([len(b) for b in self.tokenizer.token_bytes])
        sums = torch.zeros(3, dtype=torch.float64)
        self.shared.eval()
        with torch.no_grad():
            for i in range(0, len(starts), self.micro_batch):
                batch = reader.read(starts[i : i + self.micro_batch])
                counted = batch.targets[batch.targets >= 0].numpy()
                sums[0] += self._loss(batch, self.shared).double().cpu() * len(counted)
                sums[1:] += torch.tensor([len(counted), spelled[counted].sum()], dtype=torch.float64)
        self.shared.train()
        nats, tokens, text_bytes = self.world.sum(sums).tolist()
        return {"val_loss": nats / tokens, "bits_per_byte": nats / (math.log(2) * text_bytes)}

    def save(self) -> None:
        """Write a checkpoint of this moment, while training goes on, and remove those no longer kept."""
        self.at.note_best()
        manifest = self.corpus.manifest
        facts = Facts(
            step=self.at.step,
            tokens=self.at.step * self.config.batch_tokens,
            seed=self.config.seed,
            corpus_sha256=manifest.sha256,
            tokenizer_sha256=manifest.tokenizer_sha256,
            config=self.config,
            best_step=self.at.best_step,
            best_loss=self.at.best_loss,
        )
        self.saver.save(facts, self._parts())

    def _steps(self, batches: Prefetched[list[Batch]], reporter: Reporter) -> End:
        agreement = Agreement(self.world)
        self.shared.train()
        saved = first = self.at.step
        for micro_batches in batches:
            if self.at.step >= self.config.steps or agreement.exchange(self._stop["asked"]):
                break
            loss, norm, rate = self._step(micro_batches)
            self.at.step += 1
            if self.compiled is not None and self.at.step == first + 1:
                self.compiled.prove()
            if self.at.step % self.config.log_every == 0 or self.at.step in (1, self.config.steps):
                reporter.step(loss, norm, rate)
                if self.guard.skipped.item() >= self.config.skip_limit:
                    return End.DIVERGED
            if self.at.step % self.config.validate_every == 0 or self.at.step == self.config.steps:
                reporter.validation(self.validate())
            if self.examiner is not None and self.examiner.due(self.at.step, last=self.at.step == self.config.steps):
                reporter.examination(self.examiner.evaluate(self.model))
            if self.at.step % self.config.checkpoint_every == 0:
                self.save()
                saved = self.at.step
        if saved != self.at.step or not self.at.step:
            self.save()
        return End.FINISHED if self.at.step >= self.config.steps else End.STOPPED

    def _step(self, micro_batches: list[Batch]) -> tuple[Tensor, Tensor, float]:
        """One optimizer step: mean loss of this rank's windows, gradient norm, learning rate. Nothing here waits for the device."""
        self.optimizer.zero_grad()
        wide = torch.float64 if self.config.precision == "fp64" else torch.float32
        total = torch.zeros((), dtype=wide, device=self.world.device)
        network = self.shared if self.compiled is None else self.compiled.network
        for position, batch in enumerate(micro_batches):
            if self.config.model.dropout:
                torch.manual_seed(self._dropout_seed(self.world.rank * len(micro_batches) + position))
            with accumulating(self.shared, last=position == len(micro_batches) - 1):
                loss = self._loss(batch, network) / len(micro_batches)
                loss.backward()  # type: ignore[no-untyped-call]
            total = total + loss.detach()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip or math.inf, foreach=True)
        if isinstance(norm, DTensor):
            norm = norm.full_tensor()
        scale = learning_rate_at(self.config, self.at.step)
        self.optimizer.step(scale, self.guard.judge(norm))
        return total, norm, scale * self.config.learning_rate

    def _dropout_seed(self, place: int) -> int:
        """Of the micro-batch at that place of the global batch: other ranks draw the same masks, another micro-batch size does not."""
        return hash((self.config.seed, self.at.step, place)) & 0x7FFF_FFFF_FFFF_FFFF

    def _loss(self, batch: Batch, network: nn.Module) -> Tensor:
        """Of a micro-batch. Validation takes the network uncompiled: a second graph would be a recompilation."""
        batch = batch.to(self.world.device)
        documents = Documents.of_batch(batch.documents, self.config.model.context)
        with torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            loss: Tensor = network(batch.inputs, batch.targets, documents)
        return loss

    def _micro_batches(self, step: int) -> list[Batch]:
        return self.batches.micro_batches(step, rank=self.world.rank, ranks=self.world.ranks, micro_batch=self.micro_batch)

    def _parts(self) -> dict[str, State]:
        """The tensors of a checkpoint."""
        guard = {f"guard.{name}": value for name, value in self.guard.state().items()}
        weights = {name: weight.detach() for name, weight in self.model.named_parameters()}
        return {"model": weights, "optimizer": {**guard, **self.optimizer.state()}}
