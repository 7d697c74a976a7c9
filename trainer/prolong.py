"""More steps for a run that has begun: from its newest checkpoint, or with WSD from before its decay."""

import logging
from collections.abc import Sequence
from pathlib import Path

from tokenizer.errors import InputError
from trainer.checkpoint.folders import checkpoints, set_aside, step_of
from trainer.config import TrainConfig

log = logging.getLogger(__name__)
DECAYED = "decayed"


def grows(config: TrainConfig, before: TrainConfig) -> bool:
    """Whether a recipe is that of a run but for more steps."""
    return config.steps > before.steps and not config.with_options(steps=before.steps).differences(before)


def late_checkpoints(folder: Path, config: TrainConfig, before: TrainConfig) -> list[Path]:
    """Checkpoints that a prolonged run does not go on from: with WSD, those of its decay.

    Raises InputError where WSD's last checkpoint before the decay is gone.
    """
    stable = before.stable_steps
    late = [path for path in checkpoints(folder) if config.schedule == "wsd" and step_of(path) > stable]
    if late and len(late) == len(checkpoints(folder)):
        raise InputError(
            f"{folder}: cannot be prolonged: its decay began at step {stable:,}, and no checkpoint from before is there; start another "
            "--out, with --init-from this run for its weights"
        )
    return late


def prolong(folder: Path, late: Sequence[Path], config: TrainConfig, before: TrainConfig) -> None:
    """Set the late checkpoints of a run's folder aside. The caller holds the folder's lock, and has checked all it will read."""
    if config.schedule != "wsd":
        log.info("%s: %s steps become %s; from here on the cosine is theirs", folder, f"{before.steps:,}", f"{config.steps:,}")
        return
    for path in late:
        set_aside(path, DECAYED)
    if late:
        log.info(
            "%s: %s steps become %s; going on from before the decay, whose checkpoints are kept as %s_step_…",
            folder, f"{before.steps:,}", f"{config.steps:,}", DECAYED,
        )  # fmt: skip
