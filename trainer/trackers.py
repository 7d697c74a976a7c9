"""The log's lines in TensorBoard and in Weights & Biases, where they are asked for. Both are optional packages, imported only then."""

import logging
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from trainer.config import InputError

log = logging.getLogger(__name__)


class Tracker(Protocol):
    """Where the numbers of a step go, besides log.jsonl."""

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """The numbers of a step, by name."""

    def close(self) -> None:
        """No more to come."""


class TensorBoard:
    """Event files in the run's `tensorboard/`; what a killed run wrote beyond `step` is hidden."""

    def __init__(self, run: Path, step: int) -> None:
        _require("tensorboard", "--tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1 if step else None)

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """A point on each curve."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush."""
        self._writer.close()


class WeightsAndBiases:
    """A W&B run named as the run's folder; its own environment variables decide between the service and its offline mode."""

    def __init__(self, run: Path, project: str, config: dict[str, Any]) -> None:
        wandb = _require("wandb", "--wandb")
        self._run = wandb.init(project=project, name=run.name, id=run.name, dir=str(run), config=config, resume="allow")

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """A point on each curve."""
        self._run.log(dict(numbers), step=step)

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()


def check(*, tensorboard: bool, wandb: str | None) -> None:
    """Raise InputError, before anything is made, for a package that is asked for and absent."""
    if tensorboard:
        _require("tensorboard", "--tensorboard")
    if wandb:
        _require("wandb", "--wandb")


def _require(package: str, flag: str) -> Any:
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise InputError(f"{flag}: the package {package} is not installed; pip install {package}, or leave {flag} out") from error
