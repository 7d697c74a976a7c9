"""`webtext export`: write the unique documents, or the tokens, of a corpus in a format that other tools read."""

import argparse
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import orjson

from pipeline.corpus.export_text import TEXT_FORMATS, ExportedFile, dataset_card, export_documents
from pipeline.corpus.export_tokens import TOKEN_FORMATS, check_local, export_tokens
from pipeline.corpus.folder import CorpusFolder, stage_folders
from pipeline.corpus.tool import Tool
from pipeline.engine.progress import counted
from pipeline.storage import files
from pipeline.storage.document_shards import document_shards, may_repeat_texts
from pipeline.storage.manifest import StageManifest, Text, load_stage
from tokenizer.errors import InputError
from tokenizer.folder_lock import LOCK, folder_lock
from tokenizer.typed_json import decode
from tokenizer.untrusted import MAX_JSON_BYTES, check_file

INDEX = "export.json"
"""Written last: what was exported, in which format, and size and sha256 of each file."""

STARTED = ".export.json"
"""Written first: the request. A folder with this file and no INDEX holds an export that did not finish."""

SOURCES = ("dedup", "documents", "overlap")


def _flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        required=True,
        choices=[*TEXT_FORMATS, *TOKEN_FORMATS],
        help="documents: parquet, jsonl.zst, txt, hf (Parquet with a README for Hugging Face's hub); "
        "tokens: nanogpt (train.bin, val.bin), llmc, megatron",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="new folder, or one that the same export began")
    parser.add_argument(
        "--stage",
        choices=SOURCES,
        help="whose documents: the unique ones of dedup, all of documents, or those that overlap kept "
        "(default: dedup if it has run, else documents)",
    )


def _work(arguments: argparse.Namespace) -> None:
    stage = _source(arguments)
    folder = files.join(arguments.corpus, stage)
    if arguments.format in TOKEN_FORMATS:
        check_local(arguments.format, folder, arguments.output)
    manifest = load_stage(folder, stage)
    request = {"format": arguments.format, "stage": stage, "manifest_sha256": manifest.sha256}
    with folder_lock(arguments.output) if files.is_local(arguments.output) else nullcontext():
        if _finished(arguments.output, request):
            sys.stdout.write(f"{arguments.output}: up to date\n")
            return
        files.publish_bytes(files.join(arguments.output, STARTED), orjson.dumps(request))
        files.remove_leftovers(arguments.output)
        exported = _export(arguments.format, folder, manifest, arguments.output)
        index = orjson.dumps(request | {"files": [asdict(file) for file in exported]}, option=orjson.OPT_INDENT_2)
        files.publish_bytes(files.join(arguments.output, INDEX), index)
        files.remove(files.join(arguments.output, STARTED))
    unit = "tokens" if stage == "tokens" else "documents"
    size = sum(file.bytes for file in exported)
    sys.stdout.write(
        f"{arguments.output}: {sum(file.rows for file in exported):,} {unit} of '{stage}' in {len(exported):,} files"
        f" ({size:,} bytes)\n"
    )


def _source(arguments: argparse.Namespace) -> str:
    """The stage to export."""
    if arguments.format in TOKEN_FORMATS:
        if arguments.stage:
            raise InputError(f"--stage {arguments.stage}: --format {arguments.format} exports tokens; leave --stage out")
        return "tokens"
    if arguments.stage:
        return str(arguments.stage)
    finished = CorpusFolder.open(stage_folders(arguments.corpus)).manifests
    return "dedup" if "dedup" in finished else "documents"


def _export(format_name: str, folder: str, manifest: StageManifest, output: str) -> list[ExportedFile]:
    if format_name in TOKEN_FORMATS:
        return export_tokens(format_name, folder, output)
    shards = document_shards(folder)
    with counted("export", sum(shard.rows for shard in shards), "documents") as advance:
        exported = export_documents(format_name, shards, output, advance)
    if format_name == "hf":
        kind = "documents" if may_repeat_texts(folder) else "unique documents"
        card = dataset_card("WebText", sum(file.rows for file in exported), kind=kind)
        digest = files.publish_bytes(files.join(output, "README.md"), card)
        exported.append(ExportedFile("README.md", 0, digest.bytes, digest.sha256))
    return exported


def _finished(output: str, request: dict[str, Any]) -> bool:
    """Whether the folder holds this very export. Raises InputError where it holds anything else."""
    for name in (INDEX, STARTED):
        path = files.join(output, name)
        if not files.exists(path):
            continue
        found = _parsed(path)
        if msgspec.structs.asdict(found) != request:
            raise InputError(
                f"{output}: holds an export of '{found.stage}' as {found.format}, of this or another corpus; "
                "choose another --output or remove the folder"
            )
        return name == INDEX
    if others := _names(output):
        raise InputError(f"{output}: holds other files ({', '.join(others[:3])}); choose a new folder as --output")
    return False


class _Request(msgspec.Struct):
    """What was exported; in the index, the files follow."""

    format: Text
    stage: Text
    manifest_sha256: Text


def _parsed(path: str) -> _Request:
    try:
        if files.is_local(path):
            check_file(Path(path).parent, Path(path).name)
        return decode(files.read_bytes(path, MAX_JSON_BYTES), _Request)
    except ValueError as error:
        raise InputError(f"{path}: not the index of an export ({error}); remove the folder, then run again") from error


def _names(output: str) -> list[str]:
    """Names in the folder, without the lock and what a killed export wrote aside."""
    if not files.is_local(output):
        return [files.base_name(path) for path in files.listing(output)]
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{output}: is a file; choose a new folder as --output")
    names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    return [name for name in names if name != LOCK and not (name.startswith(f".{STARTED}") and name.endswith(files.ASIDE_SUFFIX))]


TOOL = Tool("export", _flags, _work)
