"""GPT-2 and the `webtext-train` command. `trainer.load(path)` gives a trained model to sample from."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.trained import TrainedModel

__all__ = ["load"]


def load(path: "str | Path", device: str = "cpu") -> "TrainedModel":
    """The trained model of a run, a checkpoint or a Hugging Face GPT-2 folder; a run stands for its newest checkpoint.

    Raises tokenizer.errors.InputError for any other folder.
    """
    from trainer.trained import TrainedModel  # torch is imported when it is needed

    return TrainedModel.load(path, device)
