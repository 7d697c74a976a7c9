"""FlashAttention newer than torch's own, where its package is installed and works.

Untested with a GPU: none was available (docs/measurements.md). What a broken package does is tested without one.
"""

import logging
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch.nn.attention import activate_flash_attention_impl

from tokenizer.errors import InputError

log = logging.getLogger(__name__)

AUTOMATIC, OFF = "auto", "off"


@dataclass(frozen=True, slots=True)
class FlashPackage:
    """A release of FlashAttention: torch's name for it, the module that provides it, the GPUs' compute capabilities (major)."""

    name: str
    module: str
    capabilities: tuple[int, ...]


PACKAGES = {"fa3": FlashPackage("FA3", "flash_attn_interface", (9,)), "fa4": FlashPackage("FA4", "flash_attn.cute", (9, 10))}
CHOICES = (AUTOMATIC, *PACKAGES, OFF)
"""Values of --flash-attention. `auto` takes FA3 where it can; FA4 is used only when asked for."""


def activate_flash_attention(choice: str = AUTOMATIC) -> str | None:
    """Activate a package for attention on this process's GPU. Returns its name, or None where torch's own attention stays.

    With `auto`, a missing package costs nothing and a broken one a log line. Raises InputError where a package asked for by name
    cannot be used.
    """
    if choice == OFF:
        return None
    package = PACKAGES["fa3" if choice == AUTOMATIC else choice]
    if choice == AUTOMATIC and not (_suits(package) and _is_installed(package)):
        return None
    reason = _activate(package)
    if reason is None:
        return package.name
    if choice != AUTOMATIC:
        raise InputError(
            f"--flash-attention {choice}: {reason}; install or repair the package, or leave the flag out for torch's own attention"
        )
    log.warning("%s; torch's own attention is used", reason)
    return None


def _activate(package: FlashPackage) -> str | None:
    """None if the package is active now, else the reason why it cannot be."""
    if not _suits(package):
        return f"this GPU's compute capability is {torch.cuda.get_device_capability()[0]}, {package.name} needs {package.capabilities}"
    if not _is_installed(package):
        return f"the module {package.module} is not installed"
    try:
        activate_flash_attention_impl(package.name)
    except Exception as error:  # noqa: BLE001 (a broken package raises ImportError, OSError, RuntimeError, SystemError …)
        return f"{package.module} is installed but broken ({' '.join(f'{type(error).__name__}: {error}'.split())})"
    return None


def _suits(package: FlashPackage) -> bool:
    return torch.cuda.get_device_capability()[0] in package.capabilities


def _is_installed(package: FlashPackage) -> bool:
    """Whether the package is there. It is not imported: a broken one would raise."""
    return find_spec(package.module.partition(".")[0]) is not None
