import math
from pathlib import Path

import pytest
from evals_stubs import headline, memorizing_texts, run_task, uniform


@pytest.mark.parametrize("task", ["enwik8", "text8"])
def test_bits_by_hand(task: str, tmp_path: Path) -> None:
    path = tmp_path / task
    path.write_text("the caf\N{LATIN SMALL LETTER E WITH ACUTE} of anarchism")
    assert headline(run_task(task, uniform(), path)).value == pytest.approx(math.log2(257))
    assert headline(run_task(task, memorizing_texts(path.read_text()), path)).value == pytest.approx(0.0, abs=1e-9)
    assert headline(run_task(task, memorizing_texts(path.read_text(), sign=-1), path)).value > 100
