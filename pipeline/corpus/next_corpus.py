"""The next version of a corpus without some pages: every stage that holds them, written beside or in the place of the present one.

In place, each stage is written aside; once all are complete, a journal in the corpus folder says so, and one stage after another is
switched to. After a crash the next removal finishes the switches first, or finds the corpus as it was.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import orjson

from pipeline.corpus.folder import DATA_STAGES, CorpusFolder, stage_folders
from pipeline.corpus.matching import Matched, encoded_documents
from pipeline.corpus.next_folder import NextFolder
from pipeline.corpus.page_removal import RemovedPages, next_pages
from pipeline.corpus.removal import next_dedup, next_documents, next_overlap, next_tokens, next_vocabulary
from pipeline.engine.progress import counted
from pipeline.storage import files
from pipeline.storage.next_version import REMOVAL_ASIDE, switch
from tokenizer.errors import InputError
from tokenizer.folder_lock import folder_lock
from tokenizer.typed_json import decode
from tokenizer.untrusted import MAX_JSON_BYTES, inner_name

JOURNAL = ".removal.json"
"""Present while stages are switched: the stages, and the bytes of the report to publish at the end."""


REPORTS = "removals"
"""The folder of a corpus with the reports of all removals."""


class _Journal(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of the journal."""

    stages: list[str]
    report: str
    content: str


def next_folders(corpus: CorpusFolder, output: str | None, *, keep_pages: bool) -> dict[str, NextFolder]:
    """Where the next version of each stage goes: below `output`, or aside in the stage's own folder for None."""
    names = [name for name in DATA_STAGES if name in corpus.folders]
    if output is None:
        names = [name for name in names if name != "links"]
    if keep_pages:
        names = [name for name in names if name not in ("links", "pages")]
    folders: dict[str, NextFolder] = {}
    for name in names:
        source = corpus.folders[name]
        target = files.join(output, name) if output is not None else files.join(source, REMOVAL_ASIDE)
        folders[name] = NextFolder(source, target, corpus.manifests[name], source if output is None else target)
    return folders


def write_next(corpus: CorpusFolder, folders: Mapping[str, NextFolder], matched: Matched) -> None:
    """Write the next version of every stage among `folders`, in the order of the data; show the progress in files."""
    with counted("remove write", sum(len(folder.manifest.files) for folder in folders.values()), "files") as advance:
        for folder in folders.values():
            folder.advance = advance
        _write_stages(corpus, folders, matched)


def _write_stages(corpus: CorpusFolder, folders: Mapping[str, NextFolder], matched: Matched) -> None:
    removed = matched.documents
    urls = {document.url for document in removed}
    if "links" in folders:
        _carry_all(folders["links"])
    pages = RemovedPages()
    if "pages" in folders:
        pages = next_pages(folders["pages"], matched.page_keys, _present(folders, "links"))
    if "documents" in folders:
        next_documents(folders["documents"], removed, pages)
    if "dedup" in folders:
        next_dedup(folders["dedup"], removed, encoded_documents(folders["dedup"].source, urls), folders["documents"])
    if "overlap" in folders:
        encoded = encoded_documents(folders["overlap"].source, urls)
        next_overlap(folders["overlap"], removed, encoded, folders["dedup"])
    if "vocabulary" in folders:
        next_vocabulary(folders["vocabulary"], folders["dedup"])
    if "tokens" in folders:
        read = encoded_stage(corpus)
        inputs = {"dedup": folders[read], **_present(folders, "vocabulary")}
        next_tokens(folders["tokens"], dict(encoded_documents(folders[read].source, urls)), inputs)


def encoded_stage(corpus: CorpusFolder) -> str:
    """The stage whose documents the token shards hold: `overlap` where tokens were made after --remove-overlapping."""
    path = corpus.manifests["tokens"].inputs["dedup"].path
    name = files.base_name(path)
    return name if name in ("dedup", "overlap") and name in corpus.folders else "dedup"


def _present(folders: Mapping[str, NextFolder], name: str) -> dict[str, NextFolder]:
    return {name: folders[name]} if name in folders else {}


def _carry_all(folder: NextFolder) -> None:
    for entry in folder.manifest.files:
        folder.carry(entry)
    folder.close(folder.manifest.books, folder.manifest.counters, {}, folder.manifest.dataset)


@contextmanager
def locked(corpus: str, output: str | None) -> Iterator[None]:
    """Hold the locks of all stages' folders and of `output`: no run and no other removal may write there meanwhile.

    Without them a second removal would take the next versions that the first one writes for a killed command's, and remove them.
    """
    places = [folder for folder in stage_folders(corpus).values() if files.is_local(folder) and Path(folder).is_dir()]
    places += [output] if output is not None and files.is_local(output) else []
    with ExitStack() as stack:
        for folder in places:
            stack.enter_context(folder_lock(folder))
        yield


def commit(corpus: str, stages: Sequence[str], report_name: str, report: bytes) -> None:
    """Switch all stages of a corpus to their next versions, and publish the report."""
    journal = {"stages": list(stages), "report": report_name, "content": report.decode()}
    files.publish_bytes(files.join(corpus, JOURNAL), orjson.dumps(journal))
    finish(corpus)


def finish(corpus: str) -> bool:
    """Finish a removal that had begun to switch; returns whether there was one. What had not begun to is removed."""
    path = files.join(corpus, JOURNAL)
    if not files.exists(path):
        for name in DATA_STAGES:
            files.remove_folder(files.join(corpus, name, REMOVAL_ASIDE))
        return False
    try:
        journal = decode(files.read_bytes(path, MAX_JSON_BYTES), _Journal)
    except ValueError as error:
        raise InputError(f"{path}: not the journal of a removal ({error}); remove it and run the removal again") from error
    for stage in journal.stages:
        if stage in DATA_STAGES:
            switch(files.join(corpus, stage), REMOVAL_ASIDE)
    files.publish_bytes(files.join(corpus, REPORTS, inner_name(journal.report)), journal.content.encode())
    files.remove(path)
    return True
