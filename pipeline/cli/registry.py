"""The commands: stages in the order of the data, and tools for a finished corpus. Both are registered here and nowhere else."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar

from pipeline.corpus.folder import STAGE_NAMES
from pipeline.corpus.tool import Tool
from pipeline.engine.stage import Stage

T = TypeVar("T")

RUN = tuple(name for name in STAGE_NAMES if name != "overlap")
"""Stages of `python -m pipeline run`: all but `overlap`, which needs evaluation sets."""


class _Commands(Mapping[str, T], Generic[T]):
    """Commands by name. A module is imported when its command is looked up: all of them take longer to import than Beam."""

    def __init__(self, modules: Mapping[str, str], attribute: str) -> None:
        self._modules = modules
        self._attribute = attribute

    def __getitem__(self, name: str) -> T:
        command: T = getattr(import_module(self._modules[name]), self._attribute)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


STAGES: Mapping[str, Stage[Any]] = _Commands({name: f"pipeline.{name}.stage" for name in STAGE_NAMES}, "STAGE")
TOOLS: Mapping[str, Tool] = _Commands(
    {
        "card": "pipeline.report.card",
        "export": "pipeline.corpus.export",
        "inspect": "pipeline.corpus.inspect",
        "join": "pipeline.corpus.join",
        "remove": "pipeline.corpus.remove",
        "status": "pipeline.corpus.status",
        "verify": "pipeline.corpus.verify",
    },
    "TOOL",
)
