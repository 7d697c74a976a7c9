"""The list of stages, in the order of the data."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from pipeline.corpus.folder import STAGE_NAMES
from pipeline.engine.stage import Stage

RUN = tuple(name for name in STAGE_NAMES if name != "overlap")
"""The stages of `python -m pipeline run`: `overlap` is not among them, since it needs evaluation sets."""


class _Stages(Mapping[str, Stage[Any]]):
    """A stage is imported when it is asked for: together they take longer to import than Beam."""

    def __getitem__(self, name: str) -> Stage[Any]:
        if name not in STAGE_NAMES:
            raise KeyError(name)
        stage: Stage[Any] = import_module(f"pipeline.{name}.stage").STAGE
        return stage

    def __iter__(self) -> Iterator[str]:
        return iter(STAGE_NAMES)

    def __len__(self) -> int:
        return len(STAGE_NAMES)


STAGES: Mapping[str, Stage[Any]] = _Stages()
"""By name; `python -m pipeline NAME` runs one."""
