"""The list of stages, in the order of the data."""

from pipeline.jobs import dedup, documents, links, overlap, pages, report, tokens, vocabulary
from pipeline.stage import Stage

STAGES: dict[str, Stage] = {
    module.STAGE.name: module.STAGE for module in (links, pages, documents, dedup, vocabulary, tokens, overlap, report)
}
"""By name; `python -m pipeline NAME` runs one."""

RUN: tuple[str, ...] = ("links", "pages", "documents", "dedup", "vocabulary", "tokens", "report")
"""Those that `python -m pipeline run` does."""
