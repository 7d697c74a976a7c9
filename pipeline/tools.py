"""The list of commands beside the stages."""

from pipeline.corpus import card, inspect, join, remove, verify
from pipeline.tool import Tool

TOOLS: dict[str, Tool] = {module.TOOL.name: module.TOOL for module in (card, inspect, join, remove, verify)}
"""By name; `python -m pipeline NAME` runs one."""
