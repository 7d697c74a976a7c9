"""The list of stages, in the order of the data."""

from pipeline.jobs import links
from pipeline.stage import Stage

STAGES: dict[str, Stage] = {stage.name: stage for stage in (links.STAGE,)}
"""By name; `python -m pipeline NAME` runs one."""

RUN: tuple[str, ...] = ()
"""Those that `python -m pipeline run` does."""
