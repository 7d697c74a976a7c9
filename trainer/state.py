"""State of a training run that changes from step to step, and why a run stops."""

import math
from dataclasses import dataclass
from enum import Enum


class StopReason(Enum):
    """Why a run stopped."""

    FINISHED = "finished"
    SIGNAL = "stopped by a signal"
    DIVERGED = "too many steps skipped in a row"


@dataclass(slots=True)
class TrainerState:
    """Progress of a run: what a checkpoint stores besides tensors and settings.

    `last_validation` is the step and the loss of the latest validation of this process.
    """

    step: int = 0
    best_step: int | None = None
    best_loss: float | None = None
    last_validation: tuple[int, float] | None = None

    def update_best(self) -> None:
        """Record the current step as the best one if its validation loss is the lowest so far. NaN and infinity are never best."""
        if self.last_validation is not None and self.last_validation[0] == self.step:
            loss = self.last_validation[1]
            if math.isfinite(loss) and (self.best_loss is None or loss < self.best_loss):
                self.best_step, self.best_loss = self.step, loss
