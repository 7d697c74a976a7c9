"""The report of a removal, to be signed and kept: what was asked for and matched, what went, from which files, and who had read it."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from pipeline.corpus.folder import CorpusFolder
from pipeline.corpus.matching import Matched
from pipeline.corpus.next_folder import NextFolder
from pipeline.corpus.token_spans import spans_in_dataset, spans_of_documents
from pipeline.storage import files
from pipeline.storage.manifest import StageManifest, load_stage
from pipeline.storage.takedown_list import TEXT, Entry
from tokenizer.errors import FormatError, InputError
from tokenizer.shards import Manifest as Dataset
from tokenizer.untrusted import read_file

CHECKPOINTS = "checkpoints/step_*/checkpoint.json"


@dataclass(frozen=True, slots=True)
class Signature:
    """Who approved a removal, and the day (ISO 8601) that the report bears; empty: today, in UTC."""

    approved_by: str = ""
    date: str = ""

    @property
    def day(self) -> str:
        """The day of the report."""
        return self.date or datetime.now(UTC).date().isoformat()


def report(
    corpus: CorpusFolder,
    entries: Sequence[Entry],
    matched: Matched,
    folders: Mapping[str, NextFolder],
    signature: Signature,
    readers: Mapping[str, Any],
) -> bytes:
    """The report as canonical JSON, with its own sha256. It names documents by address and id, and holds no text."""
    body = {
        "date": signature.day,
        "approved_by": signature.approved_by,
        "requests": [_request(entry, matched.counts.get(entry.line, 0)) for entry in _first_of_lines(entries)],
        "documents": list(document_rows(corpus, matched)),
        "pages": len(matched.page_keys),
        "files": [
            {"stage": name, "file": file, "old_sha256": old, "new_sha256": new}
            for name, folder in folders.items()
            for file, old, new in folder.replaced
        ],
        "manifests": {
            name: {"old_sha256": folder.manifest.sha256, "new_sha256": StageManifest.load(folder.target).sha256}
            for name, folder in folders.items()
        },
        **readers,
    }
    sha256 = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return orjson.dumps({**body, "sha256": sha256}, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def _request(entry: Entry, pages: int) -> dict[str, Any]:
    shown = entry.detail.partition(" ")[2] if entry.kind == TEXT else entry.text
    return {"date": entry.date, "reference": entry.reference, "kind": entry.kind, "value": shown, "pages": pages}


def document_rows(corpus: CorpusFolder, matched: Matched) -> Iterator[dict[str, Any]]:
    """The removed documents: address, id, file and row, and the position among the tokens."""
    removed = matched.documents
    spans = {span.document_id: span for span in spans_of_documents(corpus, {d.document_id for d in removed if d.kept})}
    names = [entry.name for entry in corpus.manifests["documents"].of_kind("documents")] if removed else []
    for document in removed:
        row: dict[str, Any] = {
            "url": document.url,
            "document_id": document.document_id.hex(),
            "file": f"documents/{names[document.shard]}",
            "row": document.row,
        }
        if document.kept and (span := spans.get(document.document_id)):
            row |= {"shard": f"tokens/{span.shard}", "split": span.split, "start": span.start, "tokens": span.tokens}
        yield row


def readers_of(corpus: CorpusFolder, matched: Matched, joined: Sequence[str], runs: Sequence[str]) -> dict[str, Any]:
    """The datasets of `joined` that hold a removed document, the checkpoints of `runs` trained on one of them or on the corpus' own
    shards, and those trained on other data.

    Documents are looked up by id: a joined dataset may hold shards of an earlier version of the corpus. Nobody can tell what a checkpoint
    has read if its data is neither the corpus' nor in `joined`: these are `checkpoints_unknown`. Raises InputError for a folder of
    --joined that is no joined dataset, and for a run without a checkpoint.
    """
    ids = {document.document_id for document in matched.documents}
    holders, known, trained_on = [], set[str](), dict[str, str]()
    own = [corpus.folders["tokens"]] if "tokens" in corpus.folders else []
    for folder in [*own, *joined]:
        manifest = load_stage(folder, "tokens")
        dataset = _dataset(folder)
        known.add(dataset.sha256)
        if not ids or next(spans_in_dataset(dataset, ids), None) is None:
            continue
        trained_on[dataset.sha256] = folder
        if folder not in own:
            holders.append({"folder": folder, "sha256": manifest.sha256})
    found = list(_checkpoints(runs))
    return {
        "joined": holders,
        "checkpoints": [row | {"trained_on": trained_on[sha256]} for row, sha256 in found if sha256 in trained_on],
        "checkpoints_unknown": [row | {"corpus_sha256": sha256} for row, sha256 in found if sha256 not in known],
    }


def _dataset(folder: str) -> Dataset:
    try:
        return Dataset.load(folder)
    except FormatError as error:
        raise InputError(str(error)) from error


def _checkpoints(runs: Iterable[str]) -> Iterator[tuple[dict[str, Any], str]]:
    """Folder and step of each checkpoint, and the fingerprint of the token shards that it was trained on."""
    for run in runs:
        paths = sorted(Path(run).glob(CHECKPOINTS)) or sorted(Path(run).glob("checkpoint.json"))
        if not paths:
            raise InputError(f"--runs {run}: no checkpoint there; name the folder that `webtext-train train --out` filled")
        for path in paths:
            try:
                found = orjson.loads(read_file(path))
                fingerprint, step = str(found["corpus_sha256"]), int(found["step"])
            except (ValueError, KeyError, TypeError, OverflowError) as error:
                raise InputError(f"{path}: not a checkpoint's record ({error})") from error
            yield {"checkpoint": str(path.parent), "step": step}, fingerprint


def linked_elsewhere(folders: Mapping[str, NextFolder]) -> list[str]:
    """Local files that a removal replaces and that other folders hold by hard links too: their text stays there."""
    found: list[str] = []
    for folder in folders.values():
        for name, _, _ in folder.replaced:
            path = files.join(folder.source, name)
            if files.is_local(path) and Path(path).exists() and Path(path).stat().st_nlink > 1:
                found.append(path)
    return found


def unmatched(entries: Sequence[Entry], counts: Mapping[int, int]) -> list[Entry]:
    """The entries that mean no page. A line of a list may stand for two addresses: it matches if one of them does."""
    return [entry for entry in _first_of_lines(entries) if not counts.get(entry.line)]


def _first_of_lines(entries: Iterable[Entry]) -> list[Entry]:
    """The first entry of each line of the lists: what a person asked for once."""
    found: dict[int, Entry] = {}
    for entry in entries:
        found.setdefault(entry.line, entry)
    return list(found.values())
