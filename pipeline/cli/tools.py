"""The list of commands beside the stages."""

from pipeline.corpus import inspect, join, remove, verify
from pipeline.corpus.tool import Tool
from pipeline.report import card

TOOLS: dict[str, Tool] = {module.TOOL.name: module.TOOL for module in (card, inspect, join, remove, verify)}
"""By name; `python -m pipeline NAME` runs one."""
