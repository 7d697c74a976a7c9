"""Removal from a joined dataset, whose folder holds tokens and document ids alone."""

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

from pipeline.corpus.checking import check_files
from pipeline.corpus.folder import CorpusFolder, stage_folders
from pipeline.corpus.matching import Requests, encoded_documents, match
from pipeline.corpus.next_corpus import encoded_stage
from pipeline.corpus.next_folder import NextFolder
from pipeline.corpus.removal import next_tokens
from pipeline.engine.progress import counted
from pipeline.storage import files
from pipeline.storage.chain import names_folder
from pipeline.storage.manifest import StageManifest, input_place, load_stage
from pipeline.storage.next_version import check_free, next_version
from pipeline.storage.takedown_list import DOCUMENT, TEXT, Entry, fold
from tokenizer.codec import Tokenizer
from tokenizer.errors import FormatError, InputError
from tokenizer.folder_lock import folder_lock
from tokenizer.shards import Manifest as Dataset

logger = logging.getLogger(__name__)


def remove(folder: str, output: str | None, entries: Sequence[Entry]) -> None:
    """Write a joined dataset without what the entries mean, into `output` or in its own place.

    Ids and passages are looked up in the shards; addresses, sites and submissions in the months' own folders, which must be there.
    Raises InputError where such a folder cannot be read, and where nothing matches.
    """
    if output is not None:
        check_free(output)
    manifest = load_stage(folder, "tokens")
    check_files("remove", [folder])
    sizes = listed_documents(folder, manifest, entries)
    if not sizes:
        raise InputError(f"nothing to remove: {folder} holds no document that is asked for")
    writing = counted("remove write", len(manifest.files), "files")
    with _lock(folder), nullcontext() if output is None else _lock(output), writing as advance:
        if output is not None:
            check_free(output)  # again: another command may have filled it meanwhile
            after = next_tokens(NextFolder(folder, output, manifest, advance=advance), sizes, {})
        else:
            with next_version(folder) as aside:
                after = next_tokens(NextFolder(folder, aside, manifest, folder, advance), sizes, {})
    gone = manifest.books.items_out - after.books.items_out
    logger.info("remove: removed %d documents from %s", gone, output or folder)


def _lock(folder: str) -> AbstractContextManager[None]:
    return folder_lock(folder) if files.is_local(folder) else nullcontext()


def listed_documents(folder: str, manifest: StageManifest, entries: Sequence[Entry]) -> dict[bytes, int]:
    """The ids and UTF-8 bytes of the documents of a tokens folder that the entries mean."""
    ids = {bytes.fromhex(entry.value) for entry in entries if entry.kind == DOCUMENT}
    passages = [entry.value for entry in entries if entry.kind == TEXT]
    addressed = [entry for entry in entries if entry.kind not in (DOCUMENT, TEXT)]
    if addressed:
        for corpus in _months(folder, manifest):
            ids |= _ids_in(corpus, addressed)
    return dict(document_sizes(folder, ids, passages))


def _months(folder: str, manifest: StageManifest) -> Iterator[CorpusFolder]:
    """The corpora that the shards come from. Raises InputError for one that cannot be read."""
    months = [entry for name, entry in manifest.inputs.items() if name.startswith("tokens_") and names_folder(entry)]
    places = [input_place(folder, entry) for entry in months] or [folder]
    for place in places:
        root = place.rstrip("/").rpartition("/")[0] or "."
        corpus = CorpusFolder.open(stage_folders(root))
        if "documents" not in corpus.folders or "tokens" not in corpus.folders:
            raise InputError(f"{root}: no documents there, so addresses cannot be looked up; name documents by --document-ids")
        yield corpus


def _ids_in(corpus: CorpusFolder, entries: Iterable[Entry]) -> set[bytes]:
    """The ids in the shards of the documents of a month that the entries mean."""
    matched = match(corpus, Requests.of(corpus, entries))
    urls = {document.url for document in matched.documents}
    return {identity for identity, _ in encoded_documents(corpus.folders[encoded_stage(corpus)], urls)} if urls else set()


def document_sizes(folder: str, ids: Collection[bytes], passages: Sequence[str] = ()) -> Iterator[tuple[bytes, int]]:
    """Id and UTF-8 bytes of the documents of a tokens folder that have one of the ids, or whose text holds one of the passages."""
    if not (ids or passages):
        return
    tokenizer = Tokenizer.load(folder)
    try:
        dataset = Dataset.load(folder)
    except FormatError as error:
        raise InputError(str(error)) from error
    for split in dataset.splits:
        for shard in dataset.open(split, verify=False):
            for key, tokens in shard.documents():
                identity = bytes(key)
                if identity not in ids and not passages:
                    continue
                text = tokenizer.decode([number for number in tokens.tolist() if number != tokenizer.eot_id])
                if identity in ids or any(passage in fold(text) for passage in passages):
                    yield identity, len(text.encode())
