"""The commands: stages in the order of the data, and tools for a finished corpus. Both are registered here and nowhere else.

This module imports no stage, so that help and completion answer at once.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from pipeline.corpus.tool import Tool
    from pipeline.engine.stage import Stage

T = TypeVar("T")

STAGE_TEXTS = {
    "links": "links of Reddit submissions that pass the paper's rules, one per page",
    "pages": "fetch the links politely: pages into WARC files, failures by reason",
    "documents": "extract the main text of every page, clean it, keep the chosen languages",
    "dedup": "keep one of each set of documents that are the same or nearly so",
    "vocabulary": "unique documents to a byte-level BPE vocabulary of 50,257 entries",
    "tokens": "unique documents to Arrow token shards, split into train, validation and test",
    "overlap": "how much of evaluation sets the corpus holds, exactly; and a corpus without it",
    "report": "the corpus, its training runs and evaluation as one HTML page",
}
"""What each stage does, in a line, in the order of the data."""

RUN = tuple(name for name in STAGE_TEXTS if name != "overlap")
"""Stages of `webtext run`: all but `overlap`, which needs evaluation sets."""

WHOLE_TEXTS = {
    "run": "all stages but overlap, into one corpus folder; finished stages are skipped",
    "vary": "a variant of a finished corpus: what does not depend on the change is taken over, nothing is fetched",
    "recipe": "list the shipped recipes, or show the settings that a run would have, each with its source",
}
"""The commands that concern all stages."""

_TOOLS = {
    "status": ("pipeline.corpus.status", "what each stage holds, and whether it is stale, unfinished or running"),
    "inspect": ("pipeline.corpus.inspect", "trace pages, documents, submissions and tokens; find near copies of a text"),
    "coverage": (
        "pipeline.corpus.coverage",
        "how many links an archive's index has captures of, how near, and what reading them costs",
    ),
    "verify": (
        "pipeline.corpus.verify",
        "compare every file with its manifest, and every manifest with those that it follows from",
    ),
    "export": ("pipeline.corpus.export", "write the unique documents or the tokens in a format that other tools read"),
    "join": ("pipeline.corpus.join", "join the token shards of several months into one dataset, by links, not copies"),
    "remove": ("pipeline.corpus.remove", "take pages, sites, documents or texts out of a corpus, by a list; report what went"),
    "card": ("pipeline.report.card", "write README.md and SHA256SUMS of the corpus as a Hugging Face dataset"),
}
TOOL_TEXTS = {name: text for name, (_, text) in _TOOLS.items()}
"""What each tool does, in a line."""

TOKENIZER = "tokenizer"
COMPLETION = "completion"
OTHER_TEXTS = {
    TOKENIZER: "train, evaluate, export and import tokenizers and token shards by themselves",
    COMPLETION: "print the completion of these commands for bash, zsh or fish",
}
"""The commands that know no corpus."""

COMMANDS = (*STAGE_TEXTS, *WHOLE_TEXTS, *TOOL_TEXTS, *OTHER_TEXTS)
"""Every command word."""


class _Commands(Mapping[str, T], Generic[T]):
    """Commands by name. A module is imported when its command is looked up."""

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


STAGES: "Mapping[str, Stage[Any]]" = _Commands({name: f"pipeline.{name}.stage" for name in STAGE_TEXTS}, "STAGE")
TOOLS: "Mapping[str, Tool]" = _Commands({name: module for name, (module, _) in _TOOLS.items()}, "TOOL")
