"""What a training run is: the network, the recipe, and what of it may change when a run goes on."""

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from tokenizer.errors import InputError as InputError
from trainer.paper import CONTEXT_TOKENS, VOCABULARY_TOKENS

ROWS_MULTIPLE = 64
"""The output layer is computed on a multiple of so many rows: 50,304 for 50,257 (measured on CPU: 2.4x in fp32, 1.8x in bf16)."""


PRECISIONS = ("auto", "bf16", "fp32", "fp64")


class SaveError(OSError):
    """A checkpoint could not be written; those before it stand. Commands exit with 74, as for any disk that is full or fails."""


def option(default: Any, text: str, *, choices: tuple[str, ...] = (), free: bool = False) -> Any:
    """A field that is also the flag `--name`. `free` marks what a run may change when it goes on: it alters no batch and no formula."""
    return field(default=default, metadata={"text": text, "choices": choices, "free": free})


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The network's shape; the defaults are GPT-2's smallest."""

    layers: int = option(12, "transformer blocks")
    heads: int = option(12, "attention heads a block")
    width: int = option(768, "width of the residual stream")
    context: int = option(CONTEXT_TOKENS, "tokens a window")
    vocabulary: int = option(VOCABULARY_TOKENS, "classes of the output layer")
    dropout: float = option(0.0, "dropout on embeddings, attention and residuals")
    tied: bool = option(True, "the output layer shares the token embedding")
    activation: str = option("gelu", "of the feed-forward layer; gelu is GPT-2's tanh form", choices=("gelu", "relu2"))
    positions: str = option("learned", "how positions enter", choices=("learned", "rotary"))
    qk_norm: bool = option(False, "normalise queries and keys")
    zero_projections: bool = option(False, "projections into the residual stream start at zero")

    def __post_init__(self) -> None:
        for name in ("layers", "heads", "width", "context", "vocabulary"):
            _require(getattr(self, name) >= 1, f"--{name} {getattr(self, name)}: at least 1")
        _require(self.width % self.heads == 0, f"--width {self.width} is not a multiple of --heads {self.heads}")
        _require(0 <= self.dropout < 1, f"--dropout {self.dropout}: at least 0 and below 1")
        _require(
            self.positions == "learned" or self.head_width % 2 == 0, f"rotary positions need an even head, not {self.head_width}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.width // self.heads

    @property
    def padded_rows(self) -> int:
        """Rows on which the output layer is computed; those beyond `vocabulary` never enter the loss."""
        return -(-self.vocabulary // ROWS_MULTIPLE) * ROWS_MULTIPLE

    @property
    def parameters(self) -> int:
        """Trainable numbers: 12Ld² + 13Ld + Vd + Td + 2d for GPT-2 itself."""
        block = 12 * self.width**2 + 13 * self.width
        embeddings = self.vocabulary * self.width * (1 if self.tied else 2)
        positions = self.context * self.width if self.positions == "learned" else 0
        return self.layers * block + embeddings + positions + 2 * self.width

    def flops_per_sequence(self, tokens: int | None = None) -> int:
        """Of forward and backward over `tokens` (a full context by default), attention counted whole: 6(12Ld² + Vd)T + 12LdT²."""
        count = self.context if tokens is None else tokens
        matrices = 12 * self.layers * self.width**2 + self.vocabulary * self.width
        return 6 * matrices * count + 12 * self.layers * self.width * count**2


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """A recipe: everything that decides the weights, and (`free`) what only decides how fast and how visibly they come."""

    model: ModelConfig = field(default_factory=ModelConfig)
    preset: str = "custom"
    seed: int = option(1, "of weights, order of windows and dropout")
    steps: int = option(10_000, "optimizer steps")
    batch_tokens: int = option(524_288, "tokens a step, over all ranks and micro-batches")
    learning_rate: float = option(6e-4, "peak")
    schedule: str = option("cosine", "wsd is warm-up, stable, linear decay to zero", choices=("cosine", "wsd"))
    warmup_steps: int = option(700, "of linear warm-up")
    final_fraction: float = option(0.1, "the cosine ends at this part of the peak")
    decay_fraction: float = option(0.4, "wsd decays over this last part of the steps")
    optimizer: str = option("adamw", "muon: for the blocks' matrices, AdamW for the rest", choices=("adamw", "muon"))
    momentum: float = option(0.95, "Muon's")
    weight_decay: float = option(0.1, "on matrices and embeddings; biases and norms have none")
    beta1: float = option(0.9, "AdamW's")
    beta2: float = option(0.95, "AdamW's")
    epsilon: float = option(1e-8, "AdamW's")
    clip: float = option(1.0, "largest gradient norm; 0 for no clipping")
    document_mask: bool = option(False, "tokens attend inside their own document; GPT-2 had no such mask")
    precision: str = option("auto", "bf16 is autocast over fp32 weights; auto takes it where it is fast", choices=PRECISIONS)
    spike_sigmas: float = option(6.0, "a gradient norm so far above those before it skips the step; 0 for never")
    skip_limit: int = option(10, "give up after so many skipped steps in a row")
    validation_tokens: int = option(1_048_576, "tokens a validation reads")
    validate_every: int = option(250, "steps between validations", free=True)
    eval_every: int = option(0, "steps between examinations by --eval-tasks; 0 for one after the last step", free=True)
    eval_limit: int = option(500, "examples of a task at each of them; 0 for all", free=True)
    micro_batch: int = option(8, "windows a rank takes at a time; lowered to fit the ranks", free=True)
    compile: bool = option(True, "torch.compile", free=True)
    recompute: bool = option(False, "activation checkpointing: recompute blocks in the backward pass", free=True)
    strategy: str = option("ddp", "how several ranks share the work", choices=("ddp", "fsdp"), free=True)
    loss_rows: int = option(0, "rows of logits at a time; 0 chooses for the device", free=True)
    log_every: int = option(10, "steps between lines of the log", free=True)
    checkpoint_every: int = option(1000, "steps between checkpoints", free=True)
    keep: int = option(3, "newest checkpoints kept, besides the best", free=True)

    def __post_init__(self) -> None:
        for name in (
            "steps",
            "batch_tokens",
            "micro_batch",
            "validate_every",
            "log_every",
            "checkpoint_every",
            "keep",
            "skip_limit",
        ):
            _require(getattr(self, name) >= 1, f"--{name.replace('_', '-')} {getattr(self, name)}: at least 1")
        _require(
            self.batch_tokens % self.model.context == 0,
            f"--batch-tokens {self.batch_tokens} is not a multiple of --context {self.model.context}",
        )
        _require(self.learning_rate > 0, f"--learning-rate {self.learning_rate}: above 0")
        _require(self.warmup_steps >= 0, f"--warmup-steps {self.warmup_steps}: at least 0")
        _require(0 <= self.decay_fraction <= 1, f"--decay-fraction {self.decay_fraction}: between 0 and 1")

    @property
    def batch_windows(self) -> int:
        """Windows a step, over all ranks."""
        return self.batch_tokens // self.model.context

    def with_options(self, **changes: Any) -> Self:
        """The same recipe but for some options of it or of its model, by name."""
        inner = {name: changes.pop(name) for name in list(changes) if name in MODEL_OPTIONS}
        return replace(self, model=replace(self.model, **inner), **changes)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for config.json and checkpoints."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The recipe that `to_json` wrote. Raises ValueError for names that this version does not know."""
        try:
            return cls(**{**values, "model": ModelConfig(**values["model"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a training configuration of this version ({error})") from error

    def differences(self, other: "TrainConfig") -> list[str]:
        """What, not being free, differs: `learning_rate 0.0006, not 0.001`."""
        mine, theirs = _fixed(self), _fixed(other)
        return [f"{name} {mine[name]}, not {theirs[name]}" for name in mine if mine[name] != theirs[name]]


MODEL_OPTIONS = frozenset(item.name for item in fields(ModelConfig))


def _fixed(config: TrainConfig) -> dict[str, Any]:
    own = {item.name: getattr(config, item.name) for item in fields(config) if item.metadata and not item.metadata["free"]}
    return {**asdict(config.model), **own}


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
