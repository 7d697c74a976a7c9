"""The cluster examples use existing flags and presets."""

import re
from pathlib import Path

import pytest

from trainer.cli import _parser

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["slurm/train.sbatch", "kubernetes/train.yaml"])
def test_the_training_command_of_an_example_parses(name: str) -> None:
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    words = re.sub(r"\n\s*(- )?", " ", text[text.rindex("trainer") :].split("env:")[0]).replace('"', "").split()
    arguments = _parser().parse_args([word for word in words[1:] if word != "-"])
    assert arguments.preset.startswith("gpt2-")
