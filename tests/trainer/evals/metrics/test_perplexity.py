"""Tokenized texts other than WikiText: Penn Treebank and One Billion Word."""

import math
from pathlib import Path

import pytest
from evals_stubs import headline, memorizing_texts, run_task, uniform


@pytest.mark.parametrize(
    ("task", "text", "written"),
    [
        ("ptb", " no it was n't black monday \n but N % of $ N \n", "no it wasn't black monday\nbut N% of $N\n"),
        ("lm1b", 'He said , " no " .\nIt \'s ( not ) so .\n', 'He said, "no".\nIt\'s (not) so.\n'),
    ],
)
def test_perplexity_perfect_adversarial_and_by_hand(task: str, text: str, written: str, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text(text)
    assert headline(run_task(task, memorizing_texts(written), path)).value == pytest.approx(1.0)
    assert headline(run_task(task, memorizing_texts(written, sign=-1), path)).value > 1e30
    units = len(text.split()) + text.count("\n")
    by_hand = math.exp(len(written) * math.log(257) / units)
    assert headline(run_task(task, uniform(), path)).value == pytest.approx(by_hand, rel=1e-5)
