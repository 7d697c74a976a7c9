"""Choosing FlashAttention: a package that is missing, broken or made for another GPU never ends training unasked."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn.attention import list_flash_attention_impls

from tokenizer.errors import InputError
from trainer.flash_attention import CHOICES, PACKAGES, activate_flash_attention

FAULTS = {
    "import": "raise ImportError('undefined symbol: _ZN3c10')",
    "library": "raise OSError('libcudart.so.12: cannot open shared object file')",
    "runtime": "raise RuntimeError('built for\\nanother torch')",
    "system": "raise SystemError('bad')",
    "attribute": "import os; os.no_such_name",
    "empty": "",
}
MODULES = {"fa3": "flash_attn_interface.py", "fa4": "flash_attn/cute/__init__.py"}


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Function that makes torch report a GPU of this major compute capability."""
    return lambda major: monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (major, 0))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Function that puts a package with this code on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("flash_attn")]:
        monkeypatch.delitem(sys.modules, name)

    def put(choice: str, code: str) -> None:
        path = tmp_path / MODULES[choice]
        path.parent.mkdir(parents=True, exist_ok=True)
        for parent in path.relative_to(tmp_path).parents:
            if parent.name:
                (tmp_path / parent / "__init__.py").touch()
        path.write_text(code)

    return put


def test_torch_knows_the_packages() -> None:
    assert {package.name for package in PACKAGES.values()} <= set(list_flash_attention_impls())
    assert CHOICES == ("auto", "fa3", "fa4", "off")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_package_costs_one_line(
    gpu: Callable[[int], None], install: Callable[[str, str], None], caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    gpu(9)
    install("fa3", FAULTS[fault])
    assert activate_flash_attention() is None
    (record,) = caplog.records
    assert "flash_attn_interface is installed but broken" in record.getMessage()
    assert "\n" not in record.getMessage()


@pytest.mark.parametrize("choice", ["fa3", "fa4"])
def test_a_package_asked_for_by_name_must_work(
    gpu: Callable[[int], None], install: Callable[[str, str], None], choice: str
) -> None:
    gpu(8)
    with pytest.raises(InputError, match="compute capability is 8"):
        activate_flash_attention(choice)
    gpu(9)
    with pytest.raises(InputError, match=rf"--flash-attention {choice}: the module .* is not installed"):
        activate_flash_attention(choice)
    install(choice, FAULTS["library"])
    with pytest.raises(InputError, match=r"installed but broken .*libcudart"):
        activate_flash_attention(choice)


def test_nothing_is_imported_or_said_unasked(
    gpu: Callable[[int], None], install: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    install("fa4", FAULTS["system"])
    for major in (7, 8, 9, 10, 12):
        gpu(major)
        assert activate_flash_attention() is None
        assert activate_flash_attention("off") is None
    assert not caplog.records
    assert not [name for name in sys.modules if name.startswith("flash_attn")]
