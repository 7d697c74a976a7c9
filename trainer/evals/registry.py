"""The list of tasks, in the order of the report."""

from trainer.config import InputError
from trainer.evals import (
    childrens_books,
    compression,
    coqa,
    held_out,
    hellaswag,
    lambada,
    natural_questions,
    one_billion_words,
    penn_treebank,
    summaries,
    translation,
    wikitext,
    winograd,
)
from trainer.evals.task import Task

_ALL = (
    *held_out.TASKS,
    lambada.TASK,
    *childrens_books.TASKS,
    winograd.TASK,
    *wikitext.TASKS,
    penn_treebank.TASK,
    *compression.TASKS,
    one_billion_words.TASK,
    natural_questions.TASK,
    coqa.TASK,
    summaries.TASK,
    *translation.TASKS,
    hellaswag.TASK,
)
TASKS: dict[str, Task] = {task.name: task for task in _ALL}
"""By name; `--tasks NAME…` chooses."""


def chosen(names: list[str]) -> list[Task]:
    """The tasks of the names, `all` for every one. Raises InputError for a name that nobody knows."""
    if "all" in names:
        return list(TASKS.values())
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        raise InputError(f"--tasks {' '.join(unknown)}: no such task; there are {', '.join(TASKS)}, or all")
    return [TASKS[name] for name in TASKS if name in names]


def where() -> str:
    """What each task needs, as `--where` prints it."""
    blocks = []
    for task in TASKS.values():
        lines = [f"{task.name}: {task.text}"]
        for source in task.sources:
            size = f"{source.bytes:,} bytes" if source.bytes else "size not pinned"
            lines += [f"    {source.names[0]}  {size}, sha256 {source.sha256 or 'not pinned'}", f"    {source.address}"]
            lines += [f"    {text}" for text in (source.archive, source.note) if text]
        if task.reads_tokens:
            lines.append("    a folder of token shards, as the pipeline's stage `tokens` writes it")
        blocks.append("\n".join(lines))
    return "\n".join(blocks) + "\n"
