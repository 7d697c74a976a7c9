"""`pipeline remove`: the next version of a corpus without some pages, sites, submissions or documents."""

import argparse
import logging
from collections.abc import Iterator, Sequence

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus import trace
from pipeline.corpus.folder import DATA_STAGES, Corpus
from pipeline.corpus.inspect import document_ids
from pipeline.corpus.next_folder import Gone, NextFolder
from pipeline.corpus.removal import next_dedup, next_documents
from pipeline.corpus.remove_tokens import next_tokens
from pipeline.corpus.tool import Tool
from pipeline.storage import files
from pipeline.storage.document_shards import kept_rows
from pipeline.storage.files import InputError
from pipeline.storage.manifest import NAME
from pipeline.storage.verification import check_folder

logger = logging.getLogger(__name__)

REMOVED = "removed.jsonl"
NEXT = ("documents", "dedup", "tokens")
"""The stages that hold texts or what was made of them, in the order of the data."""
COLUMNS = ["document_id", "dedup_key", "url", "domain", "language", "text"]


def find(corpus: Corpus, keys: set[str], sites: Sequence[str], ids: set[bytes]) -> list[Gone]:
    """The documents of those dedup keys, of those sites (with their subdomains), or of those ids."""
    gone: list[Gone] = []
    kept_lists = corpus.paths("dedup", "keep")
    for number, path in enumerate(corpus.paths("documents", "documents")):
        kept = set(kept_rows(kept_lists[number]).tolist()) if kept_lists else None
        gone += [_gone(number, row, found, kept) for row, found in _hits(path, keys, sites, ids)]
    return gone


def _hits(path: str, keys: set[str], sites: Sequence[str], ids: set[bytes]) -> Iterator[tuple[int, trace.Row]]:
    start = 0
    for batch in files.record_batches(path, COLUMNS, rows=1024):
        named = pc.is_in(batch.column("dedup_key"), value_set=pa.array(sorted(keys), pa.string()))
        known = pc.is_in(batch.column("document_id"), value_set=pa.array(sorted(ids), pa.binary(16)))
        found = pc.or_(named, known)
        for site in sites:
            domains = batch.column("domain")
            found = pc.or_(found, pc.or_(pc.equal(domains, site), pc.ends_with(domains, f".{site}")))
        for row in np.flatnonzero(found.to_numpy(zero_copy_only=False)):
            yield start + int(row), batch.slice(row, 1).to_pylist()[0]
        start += batch.num_rows


def _gone(shard: int, row: int, found: trace.Row, kept: set[int] | None) -> Gone:
    size = len(found["text"].encode())
    return Gone(shard, row, found["document_id"], found["url"], found["language"], size, kept is None or row in kept)


def write_next(corpus: Corpus, output: str, gone: Sequence[Gone]) -> dict[str, int]:
    """Write the next version into `output`; the files written anew, by stage."""
    written: dict[str, int] = {}
    for stage in NEXT:
        if stage not in corpus.folders:
            continue
        folder = NextFolder(corpus.folders[stage], files.join(output, stage), corpus.manifests[stage])
        if stage == "documents":
            next_documents(folder, gone)
        elif stage == "dedup":
            next_dedup(folder, gone, files.join(output, "documents"))
        else:
            next_tokens(folder, gone, files.join(output, "dedup"))
        written[stage] = folder.written
    return written


def listed(corpus: Corpus, gone: Sequence[Gone]) -> bytes:
    """What went, a JSON line a document: address, id, file and row, and its place among the tokens."""
    spans = {span.document_id: span for span in trace.spans_of(corpus, {one.document_id for one in gone if one.kept})}
    names = [entry.name for entry in corpus.manifests["documents"].of_kind("documents")]
    lines = []
    for one in gone:
        line: dict[str, object] = {
            "url": one.url,
            "document_id": one.document_id.hex(),
            "file": f"documents/{names[one.shard]}",
            "row": one.row,
        }
        if one.kept and (span := spans.get(one.document_id)):
            line |= {"shard": f"tokens/{span.shard}", "split": span.split, "start": span.start, "tokens": span.tokens}
        lines.append(orjson.dumps(line) + b"\n")
    return b"".join(lines)


def elsewhere(corpus: Corpus, gone: Sequence[Gone]) -> list[str]:
    """Addresses that were not named whose documents have the very text of a removed one."""
    urls = {one.url for one in gone}
    same = trace.rows_where(
        corpus.paths("documents", "documents"), "document_id", sorted({one.document_id for one in gone}), ["document_id", "url"]
    )
    return sorted(row["url"] for row in same if row["url"] not in urls)


def _flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the next version")
    parser.add_argument("--urls", nargs="*", default=[], metavar="URL", help="pages, in any spelling of their addresses")
    parser.add_argument("--sites", nargs="*", default=[], metavar="SITE", help="whole sites, with their subdomains")
    parser.add_argument("--submission_ids", nargs="*", default=[], metavar="ID", help="what these Reddit submissions name")
    parser.add_argument("--document_ids", nargs="*", default=[], metavar="ID", help="documents: every page that has the text")


def _work(arguments: argparse.Namespace) -> None:
    corpus = Corpus.open({name: files.join(arguments.corpus, name) for name in DATA_STAGES})
    if "documents" not in corpus.folders:
        raise InputError(f"{arguments.corpus}: no documents there yet; run the stage 'documents' first")
    if any(files.exists(files.join(arguments.output, name, NAME)) for name in DATA_STAGES):
        raise InputError(f"{arguments.output}: holds a corpus already; choose another --output")
    for name in NEXT:
        if name in corpus.folders:
            check_folder(corpus.folders[name])  # or a damaged file would be written anew with a hash that says it is whole
    keys = {trace.key_of(url) for url in arguments.urls} | set(trace.keys_of_submissions(corpus, arguments.submission_ids))
    gone = find(corpus, keys, [site.lower() for site in arguments.sites], set(document_ids(arguments.document_ids)))
    if not gone:
        raise InputError("none of that is in the corpus: there is nothing to remove (pipeline inspect finds what is)")
    files.publish_bytes(files.join(arguments.output, REMOVED), listed(corpus, gone))
    written = write_next(corpus, arguments.output, gone)
    anew = ", ".join(f"{items} of {len(corpus.manifests[stage].files)} files of {stage}" for stage, items in written.items())
    logger.info("remove: %d documents, of %d pages; written anew: %s", len({g.document_id for g in gone}), len(gone), anew)
    for url in elsewhere(corpus, gone):
        logger.warning("remove: %s has the same text and stays; --document_ids takes all pages of a text", url)


TOOL = Tool(
    "remove", "the next version of documents and token shards without some pages, and the list of what went", _flags, _work
)
