"""The log is JSON for every reader, and utilization is relative to the right card."""

import json
import math
from pathlib import Path

import orjson
import pytest

from trainer import finite_json
from trainer.metrics import BF16_TFLOPS, Log, peak_bf16_tflops, read_lines
from trainer.state import TrainerState

DEVICES = {
    "NVIDIA A10": 125,
    "NVIDIA A10G": 70,
    "NVIDIA A100-SXM4-80GB": 312,
    "NVIDIA A100 80GB PCIe": 312,
    "NVIDIA A800-SXM4-80GB": 312,
    "NVIDIA B200": 2250,
    "NVIDIA B300 SXM6 AC": 2250,
    "NVIDIA GB200": 2500,
    "NVIDIA GB300": 2500,
    "NVIDIA GeForce RTX 3090": 71,
    "NVIDIA GeForce RTX 4090": 165,
    "NVIDIA GeForce RTX 5090": 209.5,
    "NVIDIA H100 80GB HBM3": 989,
    "NVIDIA H100 NVL": 835,
    "NVIDIA H100 PCIe": 756,
    "NVIDIA H200": 989,
    "NVIDIA H200 NVL": 835,
    "NVIDIA H800": 989,
    "NVIDIA L4": 121,
    "NVIDIA L40": 181,
    "NVIDIA L40S": 362,
}


@pytest.mark.parametrize("device", DEVICES)
def test_each_card_has_its_own_peak(device: str) -> None:
    assert peak_bf16_tflops(device) == DEVICES[device]


@pytest.mark.parametrize("device", ["CPU", "NVIDIA RTX A1000", "Tesla V100-SXM2-16GB", "NVIDIA L400", "NVIDIA GeForce RTX 30900"])
def test_a_name_that_only_contains_a_known_one_has_no_peak(device: str) -> None:
    assert peak_bf16_tflops(device) is None


def test_every_card_of_the_table_is_tested() -> None:
    assert set(BF16_TFLOPS.values()) == set(DEVICES.values())


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
