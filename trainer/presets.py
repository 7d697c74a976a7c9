"""Recipes for GPT-2's four sizes and for a laptop. A flag can change each setting.

The paper gives shapes, context, vocabulary and batch (trainer/paper.py) but no learning rate, schedule, optimizer or number of
steps. These come from GPT-3's table 2.1 and section B (AdamW 0.9/0.95, weight decay 0.1, clipping 1.0, cosine to a tenth) for the
nearest size.
"""

from collections.abc import Callable

from trainer.config import ModelConfig, TrainConfig

__all__ = ["EPOCH_TOKENS", "PRESETS", "RECIPES", "gpt2_large", "gpt2_medium", "gpt2_small", "gpt2_xl", "modern", "tiny"]

EPOCH_TOKENS = 10_000_000_000
"""Tokens in about one epoch over WebText: 40 GB of text at 4.4 bytes per token. It sets `steps` of the four sizes."""


def tiny() -> TrainConfig:
    """GPT-2's architecture, small enough for two CPU cores: for laptops, tests and `make demo`.

    webtext-train train tiny --data corpus/tokens --out runs/tiny
    """
    return TrainConfig(
        preset="tiny",
        model=ModelConfig(layers=2, heads=4, width=128, context=128),
        steps=250,
        batch_tokens=8 * 128,
        learning_rate=3e-3,
        warmup_steps=20,
        micro_batch=8,
        validation_tokens=16_384,
        validate_every=50,
        log_every=10,
        checkpoint_every=100,
        keep=2,
        compile=False,
    )


def gpt2_small() -> TrainConfig:
    """124,439,808 parameters: 12 layers, width 768, 12 heads; the paper's "117M".

    webtext-train train gpt2-small --data corpus/tokens --out runs/124M
    """
    return _gpt2("gpt2-small", ModelConfig(layers=12, heads=12, width=768), learning_rate=6e-4, micro_batch=32)


def gpt2_medium() -> TrainConfig:
    """354,823,168 parameters: 24 layers, width 1024, 16 heads; the paper's "345M".

    webtext-train launch --ranks 8 train gpt2-medium --data corpus/tokens --out runs/355M
    """
    return _gpt2("gpt2-medium", ModelConfig(layers=24, heads=16, width=1024), learning_rate=3e-4, micro_batch=16)


def gpt2_large() -> TrainConfig:
    """774,030,080 parameters: 36 layers, width 1280, 20 heads; the paper's "762M".

    webtext-train launch --ranks 8 train gpt2-large --data corpus/tokens --out runs/774M
    """
    model = ModelConfig(layers=36, heads=20, width=1280)
    return _gpt2("gpt2-large", model, learning_rate=2.5e-4, micro_batch=16)


def gpt2_xl() -> TrainConfig:
    """1,557,611,200 parameters: 48 layers, width 1600, 25 heads; the paper's "1542M".

    webtext-train launch --ranks 8 train gpt2-xl --data corpus/tokens --out runs/1558M
    """
    model = ModelConfig(layers=48, heads=25, width=1600)
    return _gpt2("gpt2-xl", model, learning_rate=2e-4, micro_batch=8)


PRESETS: dict[str, Callable[[], TrainConfig]] = {
    "tiny": tiny,
    "gpt2-small": gpt2_small,
    "gpt2-medium": gpt2_medium,
    "gpt2-large": gpt2_large,
    "gpt2-xl": gpt2_xl,
}


def modern(config: TrainConfig) -> TrainConfig:
    """The recipe `--recipe modern`: the changes that helped in the ablation in docs/log.md. Each has a flag of its own.

    It leaves out ReLU squared, which hurt, and zero-initialized projections, whose effect was within the noise. Muon's best
    learning rate was five times AdamW's, but the preset's learning rate stays: pass --learning-rate.
    """
    return config.with_options(optimizer="muon", schedule="wsd", decay_fraction=0.6, positions="rotary", qk_norm=True, tied=False)


RECIPES: dict[str, Callable[[TrainConfig], TrainConfig]] = {"gpt2": lambda config: config, "modern": modern}


def _gpt2(preset: str, model: ModelConfig, *, learning_rate: float, micro_batch: int) -> TrainConfig:
    """A recipe with the paper's batch of 512 windows of 1,024 tokens. 700 warm-up steps are 367 M tokens; GPT-3 used 375 M."""
    return TrainConfig(
        preset=preset,
        model=model,
        batch_tokens=512 * 1024,
        steps=EPOCH_TOKENS // (512 * 1024),
        learning_rate=learning_rate,
        warmup_steps=700,
        micro_batch=micro_batch,
    )
