"""Documents that resemble a text, found by the signatures that dedup stored. No document's text is read.

The stored signatures equal those of `datasketch.MinHash` bit for bit, so datasketch's LSH index compares them.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasketch import MinHash, MinHashLSH

from pipeline.corpus.folder import CorpusFolder
from pipeline.corpus.trace import ParquetRow, rows_where
from pipeline.dedup import minhash, words
from pipeline.dedup.settings import DedupSettings
from pipeline.dedup.shingles import Shingles, hash_shingles
from pipeline.records import Duplicate
from pipeline.storage import arrays, files
from pipeline.storage.document_shards import kept_rows
from pipeline.storage.verification import check
from tokenizer.errors import InputError
from tokenizer.typed_json import convert

logger = logging.getLogger(__name__)

SCHEME = "affine32"
"""datasketch's name for the permutations that `pipeline.dedup.minhash` computes."""


@dataclass(frozen=True, slots=True)
class Query:
    """A text to look for, and whether it comes from a file."""

    text: str
    from_file: bool


@dataclass(frozen=True, slots=True)
class SignatureIndex:
    """The stored signatures of a corpus: settings of its dedup stage, and one file of each kind per document shard."""

    settings: DedupSettings
    permutations: int
    documents: int
    rows: tuple[str, ...]
    signatures: tuple[str, ...]
    keep_lists: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SimilarDocument:
    """A document that resembles the query. `similarity` estimates the Jaccard similarity of their shingles.

    For a removed document, `removed_as` is its row in the duplicates (None if it was dropped for another reason).
    `submissions` are the ids of the Reddit submissions that link to it.
    """

    similarity: float
    document_id: bytes
    url: str
    kept: bool
    removed_as: ParquetRow | None = None
    submissions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class _Candidate:
    shard: int
    row: int
    similarity: float


def read_query(file_or_text: str) -> Query:
    """The content of the local UTF-8 file of this name; the argument itself if there is no such file.

    Raises InputError for a folder and for a file that cannot be read.
    """
    path = Path(file_or_text)
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except OSError:  # longer than a file name can be
        return Query(file_or_text, from_file=False)
    if is_folder and file_or_text:
        raise InputError(f"{file_or_text}: is a folder; --like takes a text file or a text")
    if not is_file:
        return Query(file_or_text, from_file=False)
    try:
        return Query(path.read_text(encoding="utf-8-sig"), from_file=True)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file_or_text}: cannot be read as UTF-8 text ({error})") from error


def open_index(corpus: CorpusFolder) -> SignatureIndex:
    """The signatures of the corpus. Raises InputError if dedup has not run, wrote no index, or a file has another size."""
    if "dedup" not in corpus.folders:
        raise InputError(
            "the corpus has not been de-duplicated yet, so --like has nothing to search; run the stage 'dedup' first"
        )
    folder = corpus.folders["dedup"]
    rows, signatures, keep_lists = (tuple(corpus.paths("dedup", kind)) for kind in ("rows", "signatures", "keep"))
    if keep_lists and not signatures:
        raise InputError(f"{folder}: dedup wrote no index (--no_index), so --like has nothing to search; run dedup with --index")
    if not len(rows) == len(signatures) == len(keep_lists):
        raise InputError(f"{folder}: {len(rows)} files of rows, {len(signatures)} of signatures, {len(keep_lists)} keep lists")
    check(folder, hashes=False)
    recorded = corpus.manifests["dedup"].settings
    try:
        settings = convert({f.name: recorded[f.name] for f in fields(DedupSettings) if f.name in recorded}, DedupSettings)
    except ValueError as error:
        raise InputError(f"{folder}: its manifest's settings are not those of dedup ({error}); run dedup again") from error
    permutations = _check_signatures(rows, signatures)
    return SignatureIndex(settings, permutations, corpus.rows("dedup", "rows"), rows, signatures, keep_lists)


def _check_signatures(rows: Sequence[str], signatures: Sequence[str]) -> int:
    """The length of all signatures. Raises InputError unless each document has one of that length."""
    if not signatures:
        return 0
    permutations = int(arrays.load(signatures[0]).shape[-1])
    for table, path in zip(rows, signatures, strict=True):
        documents, array = files.row_count(table), arrays.load(path)
        if array.dtype != np.uint32 or array.shape != (documents, permutations):
            raise InputError(
                f"{path}: an array of {array.dtype} and shape {array.shape}, not of uint32 and ({documents}, {permutations}); "
                "run dedup again"
            )
    return permutations


def find_similar(corpus: CorpusFolder, index: SignatureIndex, query: Query) -> list[SimilarDocument]:
    """Documents whose estimated similarity reaches dedup's threshold, most similar first.

    Raises InputError if the query has no shingle.
    """
    hashed = _hash_query(query, index.settings)
    if not index.documents:
        return []
    _warn_of_other_unicode(index)
    signature = minhash.minima(hashed, index.permutations, index.settings.signature_seed)[0]
    candidates = _candidates(index, MinHash(hashvalues=signature, seed=index.settings.signature_seed, scheme=SCHEME))
    documents = _documents(index, [c for c in candidates if c.similarity >= index.settings.threshold])
    return sorted(_with_origins(corpus, list(documents)), key=lambda d: (-d.similarity, d.url, d.document_id))


def _hash_query(query: Query, settings: DedupSettings) -> Shingles:
    hashed = hash_shingles(pa.array([query.text]), settings.shingle_length, characters=settings.characters)
    if not hashed.counts()[0]:
        unit = "characters" if settings.characters else "words"
        missing = "" if query.from_file else " (there is no file of that name)"
        raise InputError(
            f"--like: the text{missing} has {hashed.units[0]:,} {unit}, and this corpus is compared by runs of"
            f" {settings.shingle_length} {unit}; give a longer text"
        )
    return hashed


def _warn_of_other_unicode(index: SignatureIndex) -> None:
    stored = (files.read_schema(index.rows[0]).metadata or {}).get(b"unicode", b"").decode()
    if stored != words.UNICODE_VERSION:
        logger.warning(
            "inspect: the index was made with Unicode %s, this Python has %s: some words may differ",
            stored,
            words.UNICODE_VERSION,
        )


def _candidates(index: SignatureIndex, query: MinHash) -> list[_Candidate]:
    """Every document that shares a band with the query.

    Only a document that agrees with the query in the first minimum of a band can share it, and NumPy finds those in one pass: the
    other documents need no MinHash object.
    """
    lsh = MinHashLSH(num_perm=index.permutations, params=_lsh_parameters(index))
    firsts = slice(0, lsh.b * lsh.r, lsh.r)
    stored: dict[tuple[int, int], MinHash] = {}
    for shard, path in enumerate(index.signatures):
        signatures = arrays.load(path)
        for row in np.flatnonzero((signatures[:, firsts] == query.hashvalues[firsts]).any(axis=1)).tolist():
            signed = MinHash(hashvalues=signatures[row], permutations=query.permutations, seed=query.seed, scheme=SCHEME)
            stored[shard, row] = signed
            lsh.insert((shard, row), signed)
    return sorted(_Candidate(shard, row, query.jaccard(stored[shard, row])) for shard, row in lsh.query(query))


def _lsh_parameters(index: SignatureIndex) -> tuple[int, int]:
    """Bands and rows as dedup used them.

    datasketch demands two bands at least. A signature that was one band is cut into bands of one row, which find more candidates.
    """
    if index.permutations < 2:
        raise InputError(
            "--like: signatures of 1 permutation are too short to search; run dedup again with more --bands or --rows"
        )
    bands, rows = index.settings.bands_and_rows
    return (bands, rows) if bands > 1 and bands * rows <= index.permutations else (index.permutations, 1)


def _documents(index: SignatureIndex, candidates: Sequence[_Candidate]) -> Iterator[SimilarDocument]:
    for shard, group in groupby(candidates, lambda candidate: candidate.shard):
        in_shard = list(group)
        table = files.read_table(index.rows[shard], ["document_id", "url"]).take([candidate.row for candidate in in_shard])
        kept = set(kept_rows(index.keep_lists[shard]).tolist())
        for candidate, values in zip(in_shard, table.to_pylist(), strict=True):
            yield SimilarDocument(candidate.similarity, values["document_id"], values["url"], candidate.row in kept)


def _with_origins(corpus: CorpusFolder, documents: Sequence[SimilarDocument]) -> Iterator[SimilarDocument]:
    """The documents with the duplicates that they were removed as and with the submissions that link to them."""
    urls = sorted({document.url for document in documents})
    duplicates = rows_where(corpus.paths("dedup", "duplicates"), "url", urls, Duplicate.SCHEMA.names) if urls else []
    links = rows_where(corpus.paths("links", "links"), "url", urls, ["url", "submissions"]) if urls else []
    removed_as = {(row["document_id"], row["url"]): row for row in duplicates}
    submissions = {row["url"]: tuple(post["id"] for post in row["submissions"]) for row in links}
    for document in documents:
        yield replace(
            document,
            removed_as=removed_as.get((document.document_id, document.url)),
            submissions=submissions.get(document.url, ()),
        )
