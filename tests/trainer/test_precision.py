"""Which number format a run takes on a CPU."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trainer import cli

Command = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("amx", "avx512_bf16", "precision", "resolved", "warns"),
    [
        (True, True, "auto", "bf16", False),
        (True, False, "auto", "bf16", False),
        (False, True, "auto", "fp32", False),
        (False, False, "auto", "fp32", False),
        (False, True, "bf16", "bf16", True),
        (True, True, "bf16", "bf16", False),
        (False, False, "fp32", "fp32", False),
    ],
)
def test_bf16_is_chosen_for_a_cpu_with_amx_alone(
    amx: bool, avx512_bf16: bool, precision: str, resolved: str, warns: bool,
    small_run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    assert cli.main(small_run("run", "--steps=1", "--device=cpu", f"--precision={precision}")) == 0
    assert json.loads((tmp_path / "run/config.json").read_text())["config"]["precision"] == resolved
    assert ("multiplies bf16 no faster than fp32" in capsys.readouterr().err) == warns
