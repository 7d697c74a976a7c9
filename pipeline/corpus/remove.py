"""`webtext remove`: the next version of a corpus without some pages, sites, submissions or documents."""

import argparse
import logging
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus import trace
from pipeline.corpus.folder import DATA_STAGES, CorpusFolder, stage_folders
from pipeline.corpus.next_folder import NextFolder, RemovedDocument
from pipeline.corpus.removal import next_dedup, next_documents, next_tokens
from pipeline.corpus.token_spans import spans_of_documents
from pipeline.corpus.tool import Tool
from pipeline.storage import files
from pipeline.storage.document_shards import kept_rows
from pipeline.storage.manifest import NAME
from pipeline.storage.next_version import check_foreign
from pipeline.storage.verification import check_folder
from pipeline.urls import canonical_host
from tokenizer.errors import InputError

logger = logging.getLogger(__name__)

REMOVED = "removed.jsonl"
NEXT = ("documents", "dedup", "tokens")
"""Stages that hold texts or data derived from them, in the order of the data."""
COLUMNS = ["document_id", "dedup_key", "url", "domain", "language", "text"]


def find_documents(corpus: CorpusFolder, keys: set[str], sites: Sequence[str], ids: set[bytes]) -> list[RemovedDocument]:
    """The documents with one of these dedup keys, on one of these sites (subdomains included), or with one of these ids."""
    documents: list[RemovedDocument] = []
    keep_lists = corpus.paths("dedup", "keep")
    for number, path in enumerate(corpus.paths("documents", "documents")):
        kept = set(kept_rows(keep_lists[number]).tolist()) if keep_lists else None
        documents += [_removed_document(number, row, values, kept) for row, values in _hits(path, keys, sites, ids)]
    return documents


def _hits(path: str, keys: set[str], sites: Sequence[str], ids: set[bytes]) -> Iterator[tuple[int, trace.ParquetRow]]:
    """The number and the values of each row to remove."""
    start = 0
    for batch in files.record_batches(path, COLUMNS, rows=1024):
        key_hits = pc.is_in(batch.column("dedup_key"), value_set=pa.array(sorted(keys), pa.string()))
        id_hits = pc.is_in(batch.column("document_id"), value_set=pa.array(sorted(ids), pa.binary(16)))
        hits = pc.or_(key_hits, id_hits)
        for site in sites:
            hits = pc.or_(hits, pc.match_substring_regex(batch.column("dedup_key"), _on_site(site)))
        for row in np.flatnonzero(hits.to_numpy(zero_copy_only=False)):
            yield start + int(row), batch.slice(row, 1).to_pylist()[0]
        start += batch.num_rows


def _on_site(site: str) -> str:
    """A pattern of the dedup keys of a site and its subdomains."""
    return rf"^https?://(?:[^/?]*\.)?{re.escape(site)}(?::\d+)?(?:[/?]|$)"


def keys_that_led_to(corpus: CorpusFolder, keys: set[str], sites: Sequence[str]) -> dict[str, set[str]]:
    """The dedup keys of pages whose final address, or an address that redirected to it, has one of the keys or is on a site.

    Each with the keys of these addresses.
    """
    on_site = re.compile("|".join(map(_on_site, sites)) or "(?!)")
    found: dict[str, set[str]] = {}
    for path in corpus.paths("pages", "pages"):
        for batch in files.record_batches(path, rows=1024):
            for row in batch.to_pylist():
                addresses = {trace.key_of(url) for url in (row["final_url"], *(row.get("redirects") or ()))}
                if not addresses.isdisjoint(keys) or any(map(on_site.match, addresses)):
                    found[row["dedup_key"]] = addresses
    return found


def _removed_document(shard: int, row: int, values: trace.ParquetRow, kept: set[int] | None) -> RemovedDocument:
    text_bytes = len(values["text"].encode())
    is_kept = kept is None or row in kept
    return RemovedDocument(shard, row, values["document_id"], values["url"], values["language"], text_bytes, is_kept)


def write_next(corpus: CorpusFolder, output: str, removed: Sequence[RemovedDocument]) -> dict[str, int]:
    """Write the next version into `output`; returns the number of rewritten files per stage."""
    rewritten: dict[str, int] = {}
    for stage in NEXT:
        if stage not in corpus.folders:
            continue
        folder = NextFolder(corpus.folders[stage], files.join(output, stage), corpus.manifests[stage])
        if stage == "documents":
            next_documents(folder, removed)
        elif stage == "dedup":
            next_dedup(folder, removed, files.join(output, "documents"))
        else:
            next_tokens(folder, removed, files.join(output, "dedup"))
        rewritten[stage] = folder.written
    return rewritten


def removal_list(corpus: CorpusFolder, removed: Sequence[RemovedDocument]) -> bytes:
    """The removed documents as JSON lines: address, id, file and row, and the position among the tokens."""
    spans = {span.document_id: span for span in spans_of_documents(corpus, {d.document_id for d in removed if d.kept})}
    names = [entry.name for entry in corpus.manifests["documents"].of_kind("documents")]
    lines = []
    for document in removed:
        line: dict[str, object] = {
            "url": document.url,
            "document_id": document.document_id.hex(),
            "file": f"documents/{names[document.shard]}",
            "row": document.row,
        }
        if document.kept and (span := spans.get(document.document_id)):
            line |= {"shard": f"tokens/{span.shard}", "split": span.split, "start": span.start, "tokens": span.tokens}
        lines.append(orjson.dumps(line) + b"\n")
    return b"".join(lines)


def urls_with_same_text(corpus: CorpusFolder, removed: Sequence[RemovedDocument]) -> list[str]:
    """Addresses of other documents that have exactly the text of a removed one."""
    urls = {document.url for document in removed}
    ids = sorted({document.document_id for document in removed})
    rows = trace.rows_where(corpus.paths("documents", "documents"), "document_id", ids, ["document_id", "url"])
    return sorted(row["url"] for row in rows if row["url"] not in urls)


def _flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the next version")
    parser.add_argument("--urls", nargs="*", default=[], metavar="URL", help="pages, in any spelling of their addresses")
    parser.add_argument("--sites", nargs="*", default=[], metavar="SITE", help="whole sites, with their subdomains")
    parser.add_argument(
        "--submission-ids", nargs="*", default=[], metavar="ID", help="pages that these Reddit submissions link to"
    )
    parser.add_argument(
        "--document-ids", nargs="*", default=[], metavar="ID", help="documents by id: every page that has the text"
    )


def _work(arguments: argparse.Namespace) -> None:
    corpus = CorpusFolder.open(stage_folders(arguments.corpus))
    if "documents" not in corpus.folders:
        raise InputError(f"{arguments.corpus}: no documents there yet; run the stage 'documents' first")
    if any(files.exists(files.join(arguments.output, name, NAME)) for name in DATA_STAGES):
        raise InputError(f"{arguments.output}: holds a corpus already; choose another --output")
    check_foreign(arguments.output, (REMOVED, *NEXT))  # a killed command leaves these
    for name in NEXT:
        if name in corpus.folders:
            check_folder(corpus.folders[name])  # a rewritten file gets a new sha256, which would hide that its source was damaged
    keys = {trace.key_of(url) for url in arguments.urls} | set(trace.keys_of_submissions(corpus, arguments.submission_ids))
    sites = [_site(site) for site in arguments.sites]
    led_to = keys_that_led_to(corpus, keys, sites)
    removed = find_documents(corpus, keys | led_to.keys(), sites, set(trace.parse_document_ids(arguments.document_ids)))
    if not removed:
        raise InputError("nothing to remove: no document matches; `webtext inspect` shows what the corpus holds")
    for value in _idle_values(arguments, removed, led_to):
        logger.warning("remove: %s matches no document", value)
    files.publish_bytes(files.join(arguments.output, REMOVED), removal_list(corpus, removed))
    rewritten = write_next(corpus, arguments.output, removed)
    counts = ", ".join(f"{count} of {len(corpus.manifests[stage].files)} files of {stage}" for stage, count in rewritten.items())
    texts = len({document.document_id for document in removed})
    logger.info("remove: removed %d pages with %d distinct texts; rewrote %s", len(removed), texts, counts)
    for url in urls_with_same_text(corpus, removed):
        logger.warning("remove: %s has the same text and is kept; --document-ids removes every page with a text", url)


def _idle_values(
    arguments: argparse.Namespace, removed: Sequence[RemovedDocument], led_to: Mapping[str, set[str]]
) -> Iterator[str]:
    """The values of the flags that match none of the removed documents."""
    own = {trace.key_of(document.url) for document in removed}
    addresses = own.union(*(led_to.get(key, set()) for key in own))
    ids = {document.document_id for document in removed}
    yield from (f"--urls {url}" for url in arguments.urls if trace.key_of(url) not in addresses)
    for site in arguments.sites:
        if not any(map(re.compile(_on_site(_site(site))).match, addresses)):
            yield f"--sites {site}"
    yield from (f"--document-ids {text}" for text in arguments.document_ids if bytes.fromhex(text) not in ids)


def _site(name: str) -> str:
    try:
        return canonical_host(name)
    except ValueError as error:
        raise InputError(f"--sites {name}: not a host ({error})") from error


TOOL = Tool("remove", _flags, _work)
