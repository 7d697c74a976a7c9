"""`webtext remove`: a corpus without some pages, sites, submissions, documents or passages, as a new folder or in place."""

import argparse
import logging
from collections.abc import Sequence

import orjson

from pipeline.corpus import joined_removal, next_corpus, trace
from pipeline.corpus.checking import check_corpus, check_files
from pipeline.corpus.folder import DATA_STAGES, CorpusFolder, stage_folders
from pipeline.corpus.matching import Matched, Requests, entry_list, match
from pipeline.corpus.next_folder import RemovedDocument
from pipeline.corpus.removal_report import Signature, document_rows, linked_elsewhere, readers_of, report, unmatched
from pipeline.corpus.tool import Tool
from pipeline.storage import files, takedown_list
from pipeline.storage.manifest import NAME
from pipeline.storage.next_version import check_free
from pipeline.storage.takedown_list import DOCUMENT, SITE, SUBMISSION, TEXT, URL, Entry
from tokenizer.errors import InputError

logger = logging.getLogger(__name__)

REMOVED = "removed.jsonl"
FLAGS = {URL: "--urls", SITE: "--sites", SUBMISSION: "--submission-ids", DOCUMENT: "--document-ids"}


def urls_with_same_text(corpus: CorpusFolder, removed: Sequence[RemovedDocument]) -> list[str]:
    """Addresses of other documents that have exactly the text of a removed one."""
    urls = {document.url for document in removed}
    ids = sorted({document.document_id for document in removed})
    rows = trace.rows_where(corpus.paths("documents", "documents"), "document_id", ids, ["document_id", "url"])
    return sorted(row["url"] for row in rows if row["url"] not in urls)


def _flags(parser: argparse.ArgumentParser) -> None:
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--output", metavar="DIR", help="folder of the next version")
    place.add_argument("--replace", action="store_true", help="put the next version in the place of the present one")
    parser.add_argument(
        "--list", dest="lists", nargs="*", default=[], metavar="FILE", help="take-down lists, as --takedown takes"
    )
    parser.add_argument("--urls", nargs="*", default=[], metavar="URL", help="pages, in any spelling of their addresses")
    parser.add_argument("--sites", nargs="*", default=[], metavar="SITE", help="whole sites, with their subdomains")
    parser.add_argument(
        "--submission-ids", nargs="*", default=[], metavar="ID", help="pages that these Reddit submissions link to"
    )
    parser.add_argument(
        "--document-ids", nargs="*", default=[], metavar="ID", help="documents by id: every page that has the text"
    )
    parser.add_argument(
        "--keep-pages", action="store_true", help="leave the pages' index and WARC files as they are: they keep the text"
    )
    parser.add_argument("--approved-by", default="", metavar="NAME", help="name that the report bears")
    parser.add_argument("--date", default="", metavar="DAY", help="day that the report bears (default: today, UTC)")
    parser.add_argument(
        "--joined", nargs="*", default=[], metavar="DIR", help="joined datasets, to name those that hold its shards"
    )
    parser.add_argument("--runs", nargs="*", default=[], metavar="DIR", help="training runs, to name checkpoints trained on it")


def requested(arguments: argparse.Namespace) -> list[Entry]:
    """The entries of all lists and flags. Lines of several lists get numbers of their own."""
    typed = entry_list(arguments.urls, arguments.sites, arguments.submission_ids, arguments.document_ids)
    listed: list[Entry] = []
    for path in arguments.lists:
        first = max((entry.line for entry in listed), default=0)
        found = takedown_list.entries(path)
        listed += [Entry(first + entry.line, entry.text, entry.kind, entry.value, entry.date, entry.reference) for entry in found]
    return [*typed, *listed]


def _work(arguments: argparse.Namespace) -> None:
    entries = requested(arguments)
    if not entries and not arguments.lists:
        raise InputError("nothing is asked for: name pages by --list, --urls, --sites, --submission-ids or --document-ids")
    if files.exists(files.join(arguments.corpus, NAME)):
        joined_removal.remove(arguments.corpus, None if arguments.replace else arguments.output, entries)
        return
    if arguments.output is not None:
        check_free(arguments.output, (REMOVED, next_corpus.REPORTS, *DATA_STAGES))  # a killed command leaves these
    with next_corpus.locked(arguments.corpus, arguments.output):
        _remove(arguments, entries)


def _remove(arguments: argparse.Namespace, entries: Sequence[Entry]) -> None:
    if arguments.replace and next_corpus.finish(arguments.corpus):
        logger.info("remove: finished an earlier removal that was interrupted")
    corpus = CorpusFolder.open(stage_folders(arguments.corpus))
    _check(corpus, arguments)
    matched = match(corpus, Requests.of(corpus, entries))
    for entry in unmatched(entries, matched.counts):
        logger.warning("remove: %s matches no document", shown(entry))
    if not (matched.documents or matched.page_keys):
        if arguments.lists and arguments.replace:
            logger.info("remove: nothing to remove: no page of %s is listed", arguments.corpus)
            return
        raise InputError("nothing to remove: no document matches; `webtext inspect` shows what the corpus holds")
    _write(corpus, arguments, entries, matched)


def shown(entry: Entry) -> str:
    """An entry as the user gave it: the flag and the value, or the line of the list."""
    if entry.line < 0:
        return f"{FLAGS[entry.kind]} {entry.text}"
    reference = f" ({entry.reference})" if entry.reference else ""
    return f"line {entry.line}{reference}: {entry.kind} {entry.text[:80] if entry.kind != TEXT else 'of ' + entry.detail}"


def _check(corpus: CorpusFolder, arguments: argparse.Namespace) -> None:
    """Raise InputError unless the corpus is whole and the output is free: a rewritten file would hide that its source was damaged."""
    if "documents" not in corpus.folders and not (arguments.replace and "pages" in corpus.folders):
        raise InputError(f"{arguments.corpus}: no documents there yet; run the stage 'documents' first")
    if arguments.output is not None and any(files.exists(files.join(arguments.output, name, NAME)) for name in DATA_STAGES):
        raise InputError(f"{arguments.output}: holds a corpus already; choose another --output")
    folders = list(corpus.folders.values())
    check_files("remove", folders)
    check_corpus("remove", folders)


def _write(corpus: CorpusFolder, arguments: argparse.Namespace, entries: Sequence[Entry], matched: Matched) -> None:
    readers = readers_of(corpus, matched, arguments.joined, arguments.runs)
    same_text = urls_with_same_text(corpus, matched.documents)
    folders = next_corpus.next_folders(corpus, arguments.output, keep_pages=arguments.keep_pages)
    root = arguments.corpus if arguments.output is None else arguments.output
    name = f"{1 + len(files.names(files.join(root, next_corpus.REPORTS))):04d}.json"
    if arguments.output is not None:
        lines = b"".join(orjson.dumps(row) + b"\n" for row in document_rows(corpus, matched))
        files.publish_bytes(files.join(arguments.output, REMOVED), lines)
    next_corpus.write_next(corpus, folders, matched)
    linked = linked_elsewhere(folders) if arguments.output is None else []
    content = report(
        corpus,
        entries,
        matched,
        folders,
        Signature(arguments.approved_by, arguments.date),
        {**readers, "linked_elsewhere": linked},
    )
    if arguments.output is None:
        next_corpus.commit(arguments.corpus, list(folders), name, content)
    else:
        files.publish_bytes(files.join(arguments.output, next_corpus.REPORTS, name), content)
    counts = ", ".join(
        f"{folder.written} of {len(folder.manifest.files)} files of {stage}"
        for stage, folder in folders.items()
        if folder.written
    )
    texts = len({document.document_id for document in matched.documents})
    logger.info(
        "remove: removed %d pages with %d distinct texts; rewrote %s; report: %s",
        *(len(matched.page_keys), texts, counts, files.join(root, next_corpus.REPORTS, name)),
    )
    for path in linked:
        logger.warning("remove: %s had other names (hard links), which keep the text; join again, or remove them", path)
    for row in readers["checkpoints_unknown"]:
        logger.warning(
            "remove: %s was trained on shards that are neither the corpus' own nor in --joined: look for the removed documents there",
            row["checkpoint"],
        )
    for url in same_text:
        logger.warning("remove: %s has the same text and is kept; --document-ids removes every page with a text", url)


TOOL = Tool("remove", _flags, _work)
