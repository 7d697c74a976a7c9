"""A trained model for other programs: what `trainer.load(path)` gives."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tokenizer.codec import Tokenizer
from trainer.checkpoint.load import load_model
from trainer.config import TrainConfig
from trainer.generate import generate
from trainer.model import GPT


@dataclass(frozen=True, slots=True, repr=False)
class TrainedModel:
    """A network in evaluation mode and fp32, with its tokenizer and recipe. `path` is where it was loaded from."""

    model: GPT
    tokenizer: Tokenizer
    config: TrainConfig
    path: Path

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> Self:
        """The model of a run, a checkpoint or a Hugging Face GPT-2 folder. Raises InputError for any other folder."""
        if not isinstance(path, str | Path):
            raise TypeError(f"path: a {type(path).__name__}; give the folder of a run, a checkpoint or an export")
        model, tokenizer, config = load_model(path, device)
        return cls(model, tokenizer, config, Path(path))

    def sample(
        self,
        prompt: str = "",
        tokens: int = 100,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
    ) -> str:
        """What follows the prompt: at most `tokens` tokens, fewer where the text ends. The empty prompt begins a new document.

        A prompt that is too long for the context counts by its last tokens. Equal arguments give equal text. Raises ValueError for a
        number out of range.
        """
        if not isinstance(prompt, str):
            raise TypeError(f"prompt: a {type(prompt).__name__}; give a str")
        room = self.model.config.context - tokens
        if tokens < 1 or room < 1:
            raise ValueError(f"tokens {tokens}: must be from 1 to {self.model.config.context - 1}, below the model's context")
        ids = self.tokenizer.encode(prompt)[-room:] or [self.tokenizer.eot_id]
        (new,) = generate(self.model, [ids], tokens, temperature, top_k, top_p, seed, self.tokenizer.eot_id)
        return self.tokenizer.decode(new)

    def __repr__(self) -> str:
        shape = self.model.config
        return (
            f"<TrainedModel {self.path}: {sum(p.numel() for p in self.model.parameters()):,} parameters, {shape.layers} layers of "
            f"{shape.width}, context {shape.context}, vocabulary {self.tokenizer.vocab_size:,}>"
        )
