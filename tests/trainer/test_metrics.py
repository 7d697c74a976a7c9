"""The log is JSON for every reader, and no loss that is not finite is best."""

import json
import math
import os
from pathlib import Path

import orjson
import pytest

from tokenizer.errors import InputError
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
