"""The report during a run: rendered on each request, with one line per running stage."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.engine.parts import WORK_FOLDER
from pipeline.report.page_html import style
from pipeline.storage import files
from pipeline.storage.manifest import NAME
from tokenizer.errors import InputError
from tokenizer.labels import html


def live_page(folders: Mapping[str, str], make: Callable[[], str]) -> str:
    """The report so far, below one line per running stage; only these lines before the first stage has finished."""
    lines = "".join(f"<p>{html(line)}</p>" for name, folder in folders.items() if (line := progress_text(name, folder)))
    running = f'<section aria-label="Running stages">{lines}</section>' if lines else ""
    try:
        return make().replace('<main id="content" tabindex="-1">', f'<main id="content" tabindex="-1">{running}', 1)
    except InputError as error:
        body = running or f"<p>{html(str(error))}</p>"
        head = f'<html lang="en"><head><meta charset="utf-8"><title>Corpus report</title><style>{style()}</style></head>'
        return f"<!DOCTYPE html>{head}<body><main><h1>No stage has finished yet</h1>{body}</main></body></html>"


def progress_text(name: str, folder: str) -> str | None:
    """`pages: running, fetch, 3 parts done, 1,200 items done in the others`; None if the stage is done, not started or not local."""
    work = Path(folder, WORK_FOLDER)
    if not files.is_local(folder) or files.exists(files.join(folder, NAME)) or not work.is_dir():
        return None
    phases = sorted((p for p in work.glob("*/*") if p.is_dir()), key=lambda p: (p.stat().st_mtime_ns, p.name))
    if not phases:
        return f"{name}: running"
    done = {p.name.removesuffix(".receipt.json") for p in phases[-1].glob("*.receipt.json")}
    items = sum(_read_count(p) for p in phases[-1].glob("*.progress") if p.stem not in done)
    phase = "" if phases[-1].name == "main" else f"{phases[-1].name}, "
    return f"{name}: running, {phase}{len(done):,} parts done, {items:,} items done in the others"


def _read_count(path: Path) -> int:
    try:
        return int(path.read_text() or 0)
    except (OSError, ValueError):  # the file is being written, or was just removed
        return 0
