"""Which number format a run takes on a CPU."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trainer import cli, train

Command = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("amx", "avx512_bf16", "amd", "precision", "resolved", "warns"),
    [
        (True, True, False, "auto", "bf16", False),
        (True, False, False, "auto", "bf16", False),
        (False, True, False, "auto", "fp32", False),
        (False, True, True, "auto", "bf16", False),
        (False, False, True, "auto", "fp32", False),
        (False, False, False, "auto", "fp32", False),
        (False, True, False, "bf16", "bf16", True),
        (False, True, True, "bf16", "bf16", False),
        (True, True, False, "bf16", "bf16", False),
        (False, False, False, "fp32", "fp32", False),
    ],
)
def test_bf16_is_chosen_for_a_cpu_that_multiplies_it_faster(
    amx: bool, avx512_bf16: bool, amd: bool, precision: str, resolved: str, warns: bool,
    small_run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(train, "_is_amd", lambda: amd)
    assert cli.main(small_run("run", "--steps=1", "--device=cpu", f"--precision={precision}")) == 0
    assert json.loads((tmp_path / "run/config.json").read_text())["config"]["precision"] == resolved
    assert ("multiplies bf16 no faster than fp32" in capsys.readouterr().err) == warns


@pytest.mark.parametrize(("vendor", "amd"), [("AuthenticAMD", True), ("GenuineIntel", False), ("ARM", False)])
def test_the_maker_of_the_cpu_is_read_from_linux(vendor: str, amd: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    described = f"processor\t: 0\nvendor_id\t: {vendor}\nmodel name\t: a processor\n\nprocessor\t: 1\n"
    monkeypatch.setattr(Path, "read_text", lambda _self: described)
    assert train._is_amd() is amd


def test_a_system_without_such_a_file_has_no_amd(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_self: Path) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert not train._is_amd()
