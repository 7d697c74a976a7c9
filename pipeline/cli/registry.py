"""The list of stages, in the order of the data."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from pipeline.engine.stage import Stage

NAMES = ("links", "pages", "documents", "dedup", "vocabulary", "tokens", "overlap", "report")

RUN: tuple[str, ...] = ("links", "pages", "documents", "dedup", "vocabulary", "tokens", "report")
"""Those that `python -m pipeline run` does."""


class _Stages(Mapping[str, Stage[Any]]):
    """A stage is imported when it is asked for: together they take longer to import than Beam."""

    def __getitem__(self, name: str) -> Stage[Any]:
        if name not in NAMES:
            raise KeyError(name)
        stage: Stage[Any] = import_module(f"pipeline.{name}.stage").STAGE
        return stage

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


STAGES: Mapping[str, Stage[Any]] = _Stages()
"""By name; `python -m pipeline NAME` runs one."""
