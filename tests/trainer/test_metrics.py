"""The log is JSON for every reader, and utilization is relative to the right card."""

import json
import math
import os
from pathlib import Path

import orjson
import pytest

from tokenizer.errors import InputError
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


@pytest.mark.parametrize(
    "line",
    [b"[]", b"7", b"null", b"oops", b'"step"', b'{"step": "7"}', b'{"step": -1}', b'{"step": 1.5}', b'{"step": null}',
     b'{"step": true}', b'{"device": 7}', b'{"device": []}', b"\xff\xfe", b"[" * 99_999, b"a" * (2 << 20), b""],
)  # fmt: skip
def test_log_of_another_content_is_refused_in_one_line_and_kept(tmp_path: Path, line: bytes) -> None:
    content = b'{"step": 1}\n' + line + b'\n{"step": 2}\n'
    (tmp_path / "log.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=r"log\.jsonl: not a training log \(.*\); correct the file") as refused:
        Log(tmp_path, 2)
    assert "\n" not in str(refused.value)
    assert (tmp_path / "log.jsonl").read_bytes() == content


@pytest.mark.parametrize("kind", ["FIFO", "folder", "device", "link out", "link to itself"])
def test_other_kind_of_file_than_a_log_is_refused_unopened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "log.jsonl"
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"device": "/dev/zero", "link out": "/etc/hostname", "link to itself": path.name}[kind])
    with pytest.raises(InputError, match=r"log\.jsonl: not a training log"):
        Log(tmp_path, 2)


@pytest.mark.parametrize("torn", [b"", b'{"st', b'{"step": 2}', b"\0" * 512])
def test_torn_last_line_is_left_out(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / "log.jsonl").write_bytes(b'{"device": "CPU"}\n{"step": 1}\n' + torn)
    log = Log(tmp_path, 2)
    log.close()
    assert log.device == "CPU"
    assert read_lines(tmp_path / "log.jsonl") == [{"device": "CPU"}, {"step": 1}]
