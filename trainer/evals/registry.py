"""Registry of evaluation tasks: every task by its name, in the order of the report."""

import pkgutil
from collections.abc import Iterable
from importlib import import_module

from tokenizer.errors import InputError
from trainer.evals import tasks as package
from trainer.evals.task import Task

MODULES = (
    "held_out",
    "lambada",
    "childrens_books",
    "winograd",
    "wikitext",
    "penn_treebank",
    "compression",
    "one_billion_words",
    "natural_questions",
    "coqa",
    "summaries",
    "translation",
    "hellaswag",
)
"""Modules of `trainer.evals.tasks`, in the order of the report. A new task is a module that defines `TASKS`, and a line here."""


def load(modules: Iterable[str]) -> dict[str, Task]:
    """Import the modules and return their tasks by name.

    Raises RuntimeError if a module of the folder is not listed, a listed one does not exist, or two tasks share a name.
    """
    names, existing = list(modules), {module.name for module in pkgutil.iter_modules(package.__path__)}
    if sorted(names) != sorted(existing):
        wrong = ", ".join(sorted({*names} ^ existing)) or "a module is listed twice"
        raise RuntimeError(f"registry.MODULES must list each module of trainer/evals/tasks once: {wrong}")
    tasks = [task for name in names for task in import_module(f"{package.__name__}.{name}").TASKS]
    by_name = {task.name: task for task in tasks}
    if len(by_name) < len(tasks):
        raise RuntimeError(f"evaluation tasks need distinct names: {', '.join(task.name for task in tasks)}")
    return by_name


TASKS: dict[str, Task] = load(MODULES)
"""Every task by name. `--tasks`, `--where` and their help read it."""


def select(names: list[str]) -> list[Task]:
    """Return the named tasks in the order of the report; `all` selects every task. Raises InputError for an unknown name."""
    if "all" in names:
        return list(TASKS.values())
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        raise InputError(f"--tasks {' '.join(unknown)}: no such task; there are {', '.join(TASKS)}, or all")
    return [TASKS[name] for name in TASKS if name in names]


def where() -> str:
    """Return the text of `--where`: the files that each task needs and where they are published."""
    blocks = []
    for task in TASKS.values():
        lines = [f"{task.name}: {task.summary}"]
        for file in task.files:
            size = f"{file.bytes:,} bytes" if file.bytes else "size not pinned"
            lines += [f"    {file.names[0]}  {size}, sha256 {file.sha256 or 'not pinned'}", f"    {file.address}"]
            lines += [f"    {text}" for text in (file.archive, file.note) if text]
        if task.reads_tokens:
            lines.append("    a folder of token shards, as `webtext tokens` writes it")
        blocks.append("\n".join(lines))
    return "\n".join(blocks) + "\n"
