"""More steps for a run that has begun: from its newest checkpoint, or with WSD from before its decay."""

import logging
from pathlib import Path

from tokenizer.errors import InputError
from tokenizer.folder_lock import folder_lock
from trainer.checkpoint.folders import checkpoints, set_aside, step_of
from trainer.config import TrainConfig

log = logging.getLogger(__name__)
DECAYED = "decayed"


def grows(config: TrainConfig, before: TrainConfig) -> bool:
    """Whether a recipe is that of a run but for more steps."""
    return config.steps > before.steps and not config.with_options(steps=before.steps).differences(before)


def prolong(folder: Path, config: TrainConfig, before: TrainConfig) -> None:
    """Prepare a run's folder for more steps: with WSD, checkpoints of its decay are set aside, so that it resumes before them.

    A cosine goes on from where it is, as the cosine of the new number of steps. Raises InputError where WSD's last checkpoint
    before the decay is gone.
    """
    if config.schedule != "wsd":
        log.info("%s: %s steps become %s; from here on the cosine is theirs", folder, f"{before.steps:,}", f"{config.steps:,}")
        return
    stable = before.stable_steps
    late = [path for path in checkpoints(folder) if step_of(path) > stable]
    if not late:
        return
    if len(late) == len(checkpoints(folder)):
        raise InputError(
            f"{folder}: cannot be prolonged: its decay began at step {stable:,}, and no checkpoint from before is there; start another "
            "--out, with --init-from this run for its weights"
        )
    with folder_lock(folder):
        for path in late:
            set_aside(path, DECAYED)
    log.info(
        "%s: %s steps become %s; going on from before the decay, whose checkpoints are kept as %s_step_…",
        folder, f"{before.steps:,}", f"{config.steps:,}", DECAYED,
    )  # fmt: skip
