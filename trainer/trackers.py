"""TensorBoard and Weights & Biases as additional outputs of the log. Both packages are optional and imported on use."""

import logging
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from trainer.config import InputError

log = logging.getLogger(__name__)


class Tracker(Protocol):
    """Additional output for the numbers of a step."""

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Write the numbers of a step, by name."""

    def close(self) -> None:
        """Write what is buffered and close."""


class TensorBoard:
    """Event files in the run's `tensorboard/`. Events after `step`, which a killed run may have left, are hidden."""

    def __init__(self, run: Path, step: int) -> None:
        _require("tensorboard", "--tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1 if step else None)

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Add a point to each curve."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


class WeightsAndBiases:
    """A W&B run with the name of the run's folder. W&B's environment variables choose between its service and offline mode."""

    def __init__(self, run: Path, project: str, config: dict[str, Any]) -> None:
        wandb = _require("wandb", "--wandb")
        self._run = wandb.init(project=project, name=run.name, id=run.name, dir=str(run), config=config, resume="allow")

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Add a point to each curve."""
        self._run.log(dict(numbers), step=step)

    def close(self) -> None:
        """Send what is buffered and finish the W&B run."""
        self._run.finish()


def require_packages(*, tensorboard: bool, wandb: str | None) -> None:
    """Raise InputError if the package of a requested tracker is not installed."""
    if tensorboard:
        _require("tensorboard", "--tensorboard")
    if wandb:
        _require("wandb", "--wandb")


def _require(package: str, flag: str) -> Any:
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{flag}: the package {package} is not installed; run `pip install {package}`, or omit {flag}"
        ) from error
