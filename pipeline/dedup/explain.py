"""Explains why a document was removed, or which ones it stands for: cluster, kept document, similarity, difference."""

import difflib
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.records import Duplicate
from pipeline.redaction import redact
from pipeline.storage import files
from pipeline.storage.document_shards import CLUSTER_SCHEMA, CLUSTERS
from pipeline.storage.manifest import input_folder, input_place, load_stage
from tokenizer.errors import InputError
from tokenizer.labels import printable, printable_text

SHOWN_MEMBERS = 20
SHOWN_CONTEXT = 12
RED, GREEN, PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[0m"


def explain(folder: str, document: str, *, colour: bool = False) -> str:
    """The explanation for a document, which is given by its URL, its id in hex, or the beginning of that.

    Raises InputError where the dedup folder has no duplicate of that name, removed or kept.
    """
    duplicates = _duplicates(folder)
    matches = duplicates.filter(_matches(duplicates, redact(document), "document_id", "url"))
    if not matches.num_rows:
        matches = duplicates.filter(_matches(duplicates, redact(document), "kept_id", "kept_url"))
    if not matches.num_rows and (lines := _kept_duplicate(folder, document)):
        return "\n".join(map(printable, lines))
    if not matches.num_rows:
        raise InputError(f"{document}: no removed document of {folder} has this id or URL, and none was removed in favour of it")
    row = matches.slice(0, 1).to_pylist()[0]
    members = duplicates.filter(pc.equal(duplicates.column("cluster"), pa.scalar(row["cluster"], pa.binary(16))))
    texts = _texts(folder, {row["document_id"], row["kept_id"]})
    lines = [
        f"removed     {row['document_id'].hex()}  {row['url']}",
        f"kept        {row['kept_id'].hex()}  {row['kept_url']}",
        f"reason      {row['reason']}, similarity {row['similarity']:.3f}",
        f"cluster     {row['cluster'].hex()}, {members.num_rows} removed",
        *_member_lines(members),
    ]
    shown = _difference(texts.get(row["kept_id"]), texts.get(row["document_id"]), colour=colour)
    return "\n".join([*map(printable, lines), "", *shown])


def _kept_duplicate(folder: str, document: str) -> list[str]:
    """The lines on a document that was kept although another one of its cluster is preferred to it, or on that other one."""
    manifest = load_stage(folder, "dedup")
    names = [files.join(folder, entry.name) for entry in manifest.of_kind(CLUSTERS)]
    table = pa.concat_tables([CLUSTER_SCHEMA.empty_table(), *(files.read_table(name, CLUSTER_SCHEMA.names) for name in names)])
    matches = table.filter(_matches(table, redact(document), "document_id", "url"))
    if not matches.num_rows:
        matches = table.filter(_matches(table, redact(document), "cluster", "url"))
    if not matches.num_rows:
        return []
    row = matches.slice(0, 1).to_pylist()[0]
    members = table.filter(pc.equal(table.column("cluster"), pa.scalar(row["cluster"], pa.binary(16))))
    shown = members.slice(0, SHOWN_MEMBERS).to_pylist()
    more = [f"  … {members.num_rows - SHOWN_MEMBERS} more"] if members.num_rows > SHOWN_MEMBERS else []
    return [
        f"kept        {row['document_id'].hex()}  {row['url']}",
        f"reason      --remove-duplicates {manifest.settings.get('remove_duplicates')} keeps it, although its cluster has another one",
        f"cluster     {row['cluster'].hex()}, its first document, and {members.num_rows} more that were kept",
        *(f"  {member['document_id'].hex()}  {member['url']}" for member in shown),
        *more,
    ]


def difference(kept: str, removed: str, *, colour: bool = False) -> Iterator[str]:
    """The difference of two texts, word by word, for a terminal; long agreement is shortened.

    >>> list(difference("one two", "one three"))
    ['one', '[-two-]', '{+three+}']
    """
    old, new = (re.findall(r"\S+", printable_text(text)) for text in (kept, removed))
    left, right = (f"{RED}[-", f"-]{PLAIN}") if colour else ("[-", "-]")
    more, end = (f"{GREEN}{{+", f"+}}{PLAIN}") if colour else ("{+", "+}")
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            words = old[a:b]
            if len(words) > 2 * SHOWN_CONTEXT:
                gap = f"… {len(words) - 2 * SHOWN_CONTEXT} words …"
                words = [*words[:SHOWN_CONTEXT], gap, *words[-SHOWN_CONTEXT:]]
            yield " ".join(words)
            continue
        if a < b:
            yield left + " ".join(old[a:b]) + right
        if c < d:
            yield more + " ".join(new[c:d]) + end


def _difference(kept: str | None, removed: str | None, *, colour: bool) -> Iterator[str]:
    if kept is None or removed is None:
        yield "(no texts: the documents folder is missing, or the kept document is of an earlier month)"
    else:
        yield from difference(kept, removed, colour=colour)


def _member_lines(members: pa.Table) -> Iterator[str]:
    for row in members.slice(0, SHOWN_MEMBERS).to_pylist():
        yield f"  {row['document_id'].hex()}  {row['reason']:<20}  {row['similarity']:.3f}  {row['url']}"
    if members.num_rows > SHOWN_MEMBERS:
        yield f"  … {members.num_rows - SHOWN_MEMBERS} more"


def _duplicates(folder: str) -> pa.Table:
    entries = load_stage(folder, "dedup").of_kind("duplicates")
    return pa.concat_tables([files.read_table(files.join(folder, entry.name), Duplicate.SCHEMA.names) for entry in entries])


def _matches(table: pa.Table, document: str, identity: str, url: str) -> pa.ChunkedArray:
    hexadecimal = re.fullmatch(r"[0-9a-f]{4,32}", document) is not None
    ids = [hexadecimal and value.hex().startswith(document) for value in table.column(identity).to_pylist()]
    return pc.or_(pa.chunked_array([pa.array(ids, pa.bool_())]), pc.equal(table.column(url), document))


def _texts(folder: str, ids: set[bytes]) -> dict[bytes, str]:
    manifest = load_stage(folder, "dedup")
    texts: dict[bytes, str] = {}
    if "documents" not in manifest.inputs or not files.exists(input_place(folder, manifest.inputs["documents"])):
        return texts
    documents = input_folder(folder, manifest, "documents")
    values = pa.array(sorted(ids), pa.binary(16))
    for entry in load_stage(documents, "documents").of_kind("documents"):
        for batch in files.record_batches(files.join(documents, entry.name), ["document_id", "text"]):
            chosen: list[dict[str, Any]] = batch.filter(pc.is_in(batch.column("document_id"), values)).to_pylist()
            texts |= {row["document_id"]: row["text"] for row in chosen}
        if len(texts) == len(ids):
            break
    return texts
