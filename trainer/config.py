"""Configuration of a training run: the network's shape and the recipe, whose fields are also command-line flags."""

import math
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from tokenizer.typed_json import convert
from trainer.paper import CONTEXT_TOKENS, VOCABULARY_TOKENS

ROWS_MULTIPLE = 64
"""The output layer is padded to a multiple of this: 50,257 rows to 50,304. On CPU that is 2.4x as fast in fp32, 1.8x in bf16."""

WINDOW_DOUBLINGS = 3
"""How often the attention's window doubles while it grows: it begins at an eighth of the context."""

LARGEST = {"layers": 1 << 12, "heads": 1 << 12, "width": 1 << 17, "context": 1 << 24, "vocabulary": 1 << 20}
"""Bounds of the network's shape, far above any network: a file's numbers must not take all memory."""

PRECISIONS = ("auto", "bf16", "tf32", "fp32", "fp64")


class SaveError(OSError):
    """A checkpoint could not be written; earlier checkpoints are intact. Commands exit with 74, as for any disk error."""


def option(default: Any, text: str, *, choices: tuple[str, ...] = (), free: bool = False) -> Any:
    """A field that is also a flag. `free` fields may change when a run resumes: they affect no batch and no formula."""
    return field(default=default, metadata={"text": text, "choices": choices, "free": free})


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Shape of the network. The defaults are the smallest GPT-2."""

    layers: int = option(12, "transformer blocks")
    heads: int = option(12, "attention heads per block")
    width: int = option(768, "width of the residual stream")
    context: int = option(CONTEXT_TOKENS, "tokens per window")
    vocabulary: int = option(VOCABULARY_TOKENS, "classes of the output layer")
    dropout: float = option(0.0, "dropout on embeddings, attention and residuals")
    tied: bool = option(True, "the output layer shares the token embedding")
    activation: str = option("gelu", "activation of the feed-forward layer; gelu is GPT-2's tanh form", choices=("gelu", "relu2"))
    positions: str = option("learned", "position encoding", choices=("learned", "rotary"))
    qk_norm: bool = option(False, "normalize queries and keys")
    norm: str = option("layer", "normalization; rms has no parameters", choices=("layer", "rms"))
    softcap: float = option(0.0, "bound logits to ± this by tanh; 0: no bound")
    skips: bool = option(False, "each block also reads the embedding, by a learned share")
    value_embeddings: bool = option(False, "the first and the last block add an embedding of its own to each token's values")
    zero_projections: bool = option(False, "initialize projections into the residual stream with zeros")
    bf16_embeddings: bool = option(False, "keep embeddings and their moments in bf16; needs --no-tied")

    def __post_init__(self) -> None:
        for name, most in LARGEST.items():
            value = getattr(self, name)
            _require(value >= 1, f"--{name} {value}: must be at least 1")
            _require(value <= most, f"--{name} {value}: must be at most {most:,}")
        _check_choices(self)
        _require(self.width % self.heads == 0, f"--width {self.width} is not a multiple of --heads {self.heads}")
        _require(0 <= self.softcap < math.inf, f"--softcap {self.softcap}: must be at least 0")
        _require(
            not (self.bf16_embeddings and self.tied), "--bf16-embeddings: the output layer shares the embedding; add --no-tied"
        )
        _require(0 <= self.dropout < 1, f"--dropout {self.dropout}: must be at least 0 and below 1")
        _require(
            self.positions == "learned" or self.head_width % 2 == 0,
            f"--positions rotary needs an even head width; --width / --heads is {self.head_width}",
        )

    def to_json(self) -> dict[str, Any]:
        """Fields as JSON values."""
        return asdict(self)

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.width // self.heads

    @property
    def padded_rows(self) -> int:
        """Rows of the padded output layer. Those beyond `vocabulary` never enter the loss."""
        return -(-self.vocabulary // ROWS_MULTIPLE) * ROWS_MULTIPLE

    @property
    def parameters(self) -> int:
        """Number of trainable parameters: 12Ld² + 13Ld + Vd + Td + 2d for GPT-2."""
        norms = 2 * self.width if self.norm == "layer" else 0
        block = 12 * self.width**2 + 9 * self.width + 2 * norms
        embeddings = self.vocabulary * self.width * (1 if self.tied else 2)
        positions = self.context * self.width if self.positions == "learned" else 0
        values = self.vocabulary * self.width if self.value_embeddings else 0
        return self.layers * (block + self.skips) + embeddings + positions + values + norms

    def flops_per_sequence(self, tokens: int | None = None) -> int:
        """FLOPs of forward and backward over T `tokens` (default: the context), attention unmasked: 6(12Ld² + Vd)T + 12LdT²."""
        count = self.context if tokens is None else tokens
        matrices = 12 * self.layers * self.width**2 + self.vocabulary * self.width
        return 6 * matrices * count + 12 * self.layers * self.width * count**2


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """A recipe: all settings that determine the weights, and (`free`) those that only affect speed and reporting."""

    model: ModelConfig = field(default_factory=ModelConfig)
    preset: str = "custom"
    seed: int = option(1, "seed of weights, window order and dropout")
    steps: int = option(10_000, "optimizer steps")
    batch_tokens: int = option(524_288, "tokens per step, over all ranks and micro-batches")
    learning_rate: float = option(6e-4, "peak learning rate")
    schedule: str = option("cosine", "wsd: warm-up, constant, linear decay to zero", choices=("cosine", "wsd"))
    warmup_steps: int = option(700, "steps of linear warm-up")
    final_fraction: float = option(0.1, "the cosine ends at this fraction of the peak")
    decay_fraction: float = option(0.4, "wsd decays over this last fraction of the steps")
    optimizer: str = option("adamw", "muon: Muon for the blocks' matrices, AdamW for the rest", choices=("adamw", "muon"))
    momentum: float = option(0.95, "momentum of Muon")
    weight_decay: float = option(0.1, "weight decay of matrices and embeddings; biases and norms have none")
    beta1: float = option(0.9, "beta 1 of AdamW")
    beta2: float = option(0.95, "beta 2 of AdamW")
    epsilon: float = option(1e-8, "epsilon of AdamW")
    clip: float = option(1.0, "maximum gradient norm; 0 disables clipping")
    document_mask: bool = option(False, "tokens attend only within their document; GPT-2 had no such mask")
    window_warmup_steps: int = option(
        0, "steps in which the attention's window doubles three times to the whole context; 0: always whole"
    )
    precision: str = option(
        "auto", "bf16 is autocast over fp32 weights; auto: where it is fast; tf32: fp32 with shorter products on a GPU",
        choices=PRECISIONS,
    )  # fmt: skip
    fp32_stream: bool = option(False, "keep the residual stream in fp32 where products are in bf16")
    spike_sigmas: float = option(
        6.0, "skip a step whose gradient norm exceeds the recent mean by this many standard deviations; 0: never"
    )
    skip_limit: int = option(10, "stop after this many skipped steps in a row")
    validation_tokens: int = option(1_048_576, "tokens per validation")
    validate_every: int = option(250, "steps between validations", free=True)
    eval_every: int = option(0, "steps between evaluations by --eval-tasks; 0: only after the last step", free=True)
    eval_limit: int = option(500, "examples per task in each such evaluation; 0: all", free=True)
    micro_batch: int = option(8, "windows per micro-batch on each rank; lowered to divide a rank's share", free=True)
    compile: bool = option(True, "torch.compile", free=True)
    recompute: bool = option(False, "activation checkpointing: recompute blocks in the backward pass", free=True)
    strategy: str = option(
        "auto", "what several ranks divide: ddp, windows; fsdp, the network too; auto: ddp if it fits the GPU",
        choices=("auto", "ddp", "fsdp"), free=True,
    )  # fmt: skip
    gradient_type: str = option(
        "fp32", "type in which fsdp accumulates and exchanges gradients", choices=("fp32", "bf16"), free=True
    )
    loss_rows: int = option(0, "rows of logits computed at a time; 0 chooses for the device", free=True)
    log_every: int = option(10, "steps between lines of the log", free=True)
    checkpoint_every: int = option(1000, "steps between checkpoints", free=True)
    keep: int = option(3, "number of newest checkpoints to keep, besides the best", free=True)

    def __post_init__(self) -> None:
        _check_choices(self)
        for name in (
            "steps",
            "batch_tokens",
            "micro_batch",
            "validate_every",
            "log_every",
            "checkpoint_every",
            "keep",
            "skip_limit",
            "validation_tokens",
        ):
            _require(getattr(self, name) >= 1, f"{_flag(name)} {getattr(self, name)}: must be at least 1")
        _require(
            self.batch_tokens % self.model.context == 0,
            f"--batch-tokens {self.batch_tokens} is not a multiple of --context {self.model.context}",
        )
        for name in ("learning_rate", "epsilon"):
            _require(0 < getattr(self, name) < math.inf, f"{_flag(name)} {getattr(self, name)}: must be above 0")
        for name in (
            "warmup_steps",
            "window_warmup_steps",
            "weight_decay",
            "clip",
            "spike_sigmas",
            "eval_every",
            "eval_limit",
            "loss_rows",
        ):
            _require(0 <= getattr(self, name) < math.inf, f"{_flag(name)} {getattr(self, name)}: must be at least 0")
        for name in ("final_fraction", "decay_fraction"):
            _require(0 <= getattr(self, name) <= 1, f"{_flag(name)} {getattr(self, name)}: must be between 0 and 1")
        for name in ("beta1", "beta2", "momentum"):
            _require(0 <= getattr(self, name) < 1, f"{_flag(name)} {getattr(self, name)}: must be at least 0 and below 1")
        _require(
            self.precision != "fp64" or not self.model.bf16_embeddings,
            "--precision fp64: has no meaning with --bf16-embeddings; use --no-bf16-embeddings",
        )
        _require(0 <= self.seed < 1 << 63, f"--seed {self.seed}: must be at least 0 and below 2^63")

    @property
    def batch_windows(self) -> int:
        """Windows per step, over all ranks."""
        return self.batch_tokens // self.model.context

    def micro_batches(self, ranks: int) -> int:
        """Micro-batches of a rank per step."""
        share = max(1, self.batch_windows // ranks)
        return share // math.gcd(self.micro_batch, share)

    def window_tokens(self, step: int) -> int:
        """Tokens that a token attends to at most in a step (from 0), itself included: an eighth of the context, doubled thrice.

        Each of the three sizes below the context takes a third of `window_warmup_steps`.
        """
        if step >= self.window_warmup_steps:
            return self.model.context
        return max(1, self.model.context >> (WINDOW_DOUBLINGS - WINDOW_DOUBLINGS * step // self.window_warmup_steps))

    @property
    def stable_steps(self) -> int:
        """Steps before the decay of WSD, whose last checkpoint is kept: from there the run can be prolonged. 0 for a cosine."""
        return self.steps - max(1, round(self.decay_fraction * self.steps)) if self.schedule == "wsd" else 0

    def saves_at(self, step: int) -> bool:
        """Whether a checkpoint is due after so many steps."""
        return step % self.checkpoint_every == 0 or step == self.stable_steps

    def with_options(self, **changes: Any) -> Self:
        """Copy of the recipe with changed fields, its own or its model's, by name."""
        inner = {name: changes.pop(name) for name in list(changes) if name in MODEL_OPTIONS}
        return replace(self, model=replace(self.model, **inner), **changes)

    def to_json(self) -> dict[str, Any]:
        """Fields as JSON values, for config.json and checkpoints."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Recipe from the values of `to_json`. Raises ValueError for fields that this version does not know."""
        inner = values.get("model")
        if not isinstance(inner, dict):
            raise ValueError("not a training configuration of this version ('model' is missing)")  # noqa: TRY004 (of a file)
        unknown = sorted({*values, *inner} - MODEL_OPTIONS - {item.name for item in fields(cls)})
        if unknown:
            raise ValueError(f"not a training configuration of this version (it has no {unknown[0]!r})")
        return convert(values, cls)

    def differences(self, other: "TrainConfig") -> list[str]:
        """Fields that differ and are not `free`, as `learning_rate 0.0006, not 0.001`."""
        mine, theirs = _fixed(self), _fixed(other)
        return [f"{name} {mine[name]}, not {theirs[name]}" for name in mine if mine[name] != theirs[name]]


MODEL_OPTIONS = frozenset(item.name for item in fields(ModelConfig))


def _fixed(config: TrainConfig) -> dict[str, Any]:
    own = {item.name: getattr(config, item.name) for item in fields(config) if item.metadata and not item.metadata["free"]}
    return {**asdict(config.model), **own}


def _check_choices(config: ModelConfig | TrainConfig) -> None:
    for item in fields(config):
        choices = item.metadata.get("choices") or ()
        value = getattr(config, item.name)
        _require(not choices or value in choices, f"--{item.name.replace('_', '-')} {value}: must be one of {', '.join(choices)}")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
