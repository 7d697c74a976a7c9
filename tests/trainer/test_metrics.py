"""The log is JSON for every reader, and no loss that is not finite is best."""

import json
import math
from pathlib import Path

import orjson
import pytest

from trainer import finite_json
from trainer.metrics import Log, read_lines
from trainer.state import TrainerState


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_become_null(value: float) -> None:
    nested = {"loss": value, "rows": [{"value": value}, (1.5, value)], "text": "NaN", "count": 3}
    assert orjson.loads(finite_json.dumps(nested)) == {
        "loss": None,
        "rows": [{"value": None}, [1.5, None]],
        "text": "NaN",
        "count": 3,
    }


def test_the_log_of_a_diverged_run_is_json(tmp_path: Path) -> None:
    lines = Log(tmp_path, 0)
    lines.write({"step": 1, "loss": math.nan, "grad_norm": math.inf})
    lines.close()
    assert json.loads((tmp_path / "log.jsonl").read_text(), parse_constant=pytest.fail) == {
        "step": 1,
        "loss": None,
        "grad_norm": None,
    }
    Log(tmp_path, 1).close()  # reopening keeps the line
    assert read_lines(tmp_path / "log.jsonl") == [{"step": 1, "loss": None, "grad_norm": None}]


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ([3.0, 2.0, 2.5], 2),
        ([math.nan, 4.0, 5.0], 2),
        ([math.nan, math.nan], None),
        ([math.inf, 9.0], 2),
        ([3.0, math.nan, -math.inf], 1),
    ],
)
def test_a_loss_that_is_not_finite_is_never_best(losses: list[float], best: int | None) -> None:
    state = TrainerState()
    for state.step, loss in enumerate(losses, start=1):
        state.last_validation = (state.step, loss)
        state.update_best()
    assert state.best_step == best
