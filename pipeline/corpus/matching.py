"""Which pages and documents of a corpus a take-down request means, in every spelling and by every address that led to them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus import trace
from pipeline.corpus.folder import CorpusFolder
from pipeline.corpus.next_folder import RemovedDocument
from pipeline.corpus.page_passages import pages_with_passages
from pipeline.storage import files
from pipeline.storage.document_shards import CLUSTERS, document_shards, kept_rows
from pipeline.storage.link_shards import keys_of_submissions
from pipeline.storage.takedown_list import DOCUMENT, SITE, SUBMISSION, TEXT, URL, Entry, addresses_of, fold, site_of
from pipeline.urls import host_of

COLUMNS = ["document_id", "dedup_key", "url", "language", "text"]


@dataclass(frozen=True)
class Requests:
    """The entries of take-down requests, and what the corpus knows of their addresses.

    `led_to` has, for pages that a listed address led to, the dedup keys of all their addresses. `linked` has the dedup keys of the
    links of listed submissions, by id.
    """

    entries: tuple[Entry, ...]
    led_to: Mapping[str, frozenset[str]]
    linked: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, corpus: CorpusFolder, entries: Iterable[Entry]) -> "Requests":
        """The requests, looked up in the links and the pages of a corpus, as far as it has them."""
        entries = tuple(entries)
        ids = {entry.value for entry in entries if entry.kind == SUBMISSION}
        linked = keys_of_submissions(corpus.paths("links", "links"), ids) if ids else {}
        bare = cls(entries, {}, {name: frozenset(keys) for name, keys in linked.items()})
        return cls(entries, dict(bare._pages_led_to(corpus)), bare.linked)

    def _values(self, kind: str) -> frozenset[str]:
        return frozenset(entry.value for entry in self.entries if entry.kind == kind)

    @cached_property
    def keys(self) -> frozenset[str]:
        """The dedup keys that are listed by themselves or by a submission, or whose pages a listed address led to."""
        return self._values(URL).union(*self.linked.values()) | self.led_to.keys()

    @cached_property
    def sites(self) -> frozenset[str]:
        """The listed sites."""
        return self._values(SITE)

    @cached_property
    def ids(self) -> frozenset[bytes]:
        """The listed document ids."""
        return frozenset(map(bytes.fromhex, self._values(DOCUMENT)))

    @cached_property
    def passages(self) -> tuple[str, ...]:
        """The listed passages, folded."""
        return tuple(sorted(self._values(TEXT)))

    def covers(self, key: str) -> bool:
        """Whether the page with this dedup key is listed by an address, a site or a submission."""
        return key in self.keys or (bool(self.sites) and site_of(host_of(key), self.sites) is not None)

    def _pages_led_to(self, corpus: CorpusFolder) -> Iterator[tuple[str, frozenset[str]]]:
        """Pages that lie at a listed address, or were redirected there, under another one."""
        keys, sites = self._values(URL), self.sites
        if not (keys or sites):
            return
        for path in corpus.paths("pages", "pages"):
            for batch in files.record_batches(path, rows=1024):
                for row in batch.to_pylist():
                    addresses = frozenset(_keys_of((row["final_url"], *(row.get("redirects") or ()))))
                    on_site = sites and any(site_of(host_of(key), sites) for key in addresses)
                    if on_site or not addresses.isdisjoint(keys):
                        yield row["dedup_key"], addresses

    def matches(self, key: str, identity: bytes | None, text: str | None) -> list[Entry]:
        """The entries that mean a page: by its dedup key, and by the id and the text of its document, if it has one."""
        addresses = {key} | self.led_to.get(key, frozenset())
        folded = fold(text) if text is not None and self.passages else ""
        return [entry for entry in self.entries if self._means(entry, addresses, key, identity, folded)]

    def _means(self, entry: Entry, addresses: set[str], key: str, identity: bytes | None, folded: str) -> bool:
        if entry.kind == URL:
            return entry.value in addresses
        if entry.kind == SITE:
            return any(site_of(host_of(address), {entry.value}) for address in addresses)
        if entry.kind == SUBMISSION:
            return key in self.linked.get(entry.value, ())
        if entry.kind == DOCUMENT:
            return identity is not None and identity.hex() == entry.value
        return entry.value in folded


def _keys_of(addresses: Iterable[str]) -> Iterator[str]:
    for address in addresses:
        if (key := trace.key_or_none(address)) is not None:
            yield key


@dataclass(frozen=True, slots=True)
class Matched:
    """The documents to remove, the dedup keys of all pages to remove, and how many pages each entry means (by its line)."""

    documents: tuple[RemovedDocument, ...]
    page_keys: frozenset[str]
    counts: Mapping[int, int]


def match(corpus: CorpusFolder, requests: Requests) -> Matched:
    """Find what the requests mean, and the copies of it: documents that dedup removed in favour of one that goes, and, where it kept
    duplicates, those with the same text. Near duplicates that it kept are pages of their own.
    """
    counts: dict[int, int] = defaultdict(int)
    found: dict[tuple[int, int], RemovedDocument] = {}
    for document, entries in _search(corpus, requests):
        found[document.shard, document.row] = document
        _count(counts, entries)
    keys = {document.dedup_key for document in found.values()}
    for key in _listed_pages(corpus, requests):
        if key not in keys:
            _count(counts, requests.matches(key, None, None))
            keys.add(key)
    if requests.passages:
        for key, text in pages_with_passages(corpus, requests.passages, keys | _keys_of_documents(corpus)):
            _count(counts, requests.matches(key, None, text))
            keys.add(key)
    if copies := _copies(corpus, requests, {document.url for document in found.values()}):
        for document, _ in _search(corpus, Requests(tuple(copies), {}, {})):
            found[document.shard, document.row] = document
            keys.add(document.dedup_key)
    if corpus.paths("dedup", CLUSTERS) and (equal := _equal_texts(found.values())):
        for document, _ in _search(corpus, Requests(equal, {}, {})):
            found[document.shard, document.row] = document
            keys.add(document.dedup_key)
    return Matched(tuple(found[place] for place in sorted(found)), frozenset(keys), counts)


def _keys_of_documents(corpus: CorpusFolder) -> set[str]:
    """The dedup keys of the pages that gave a document."""
    paths = corpus.paths("documents", "documents")
    return {key for path in paths for key in files.read_table(path, ["dedup_key"]).column("dedup_key").to_pylist()}


def _count(counts: dict[int, int], entries: Iterable[Entry]) -> None:
    for line in {entry.line for entry in entries}:
        counts[line] += 1


def _search(corpus: CorpusFolder, requests: Requests) -> Iterator[tuple[RemovedDocument, list[Entry]]]:
    """The documents that the requests mean, and the entries that do."""
    keep_lists, cut = corpus.paths("dedup", "keep"), _cut_lines(corpus, requests)
    for number, path in enumerate(corpus.paths("documents", "documents")):
        kept = set(kept_rows(keep_lists[number]).tolist()) if keep_lists else None
        for row, values in _candidates(path, requests):
            text = "\n\0\n".join((values["text"], cut.get(values["url"], "")))  # no passage reaches over the zero byte
            if entries := requests.matches(values["dedup_key"], values["document_id"], text):
                is_kept = kept is None or row in kept
                yield _removed(number, row, values, kept=is_kept), entries


def _cut_lines(corpus: CorpusFolder, requests: Requests) -> dict[str, str]:
    """The lines that --site-lines cut from documents, by URL, where they hold a listed passage: the corpus keeps them in a table."""
    found: dict[str, str] = {}
    for path in corpus.paths("documents", "site_lines") if requests.passages else ():
        for row in files.read_table(path, ["url", "removed"]).to_pylist():
            lines = fold(row["removed"])
            if any(passage in lines for passage in requests.passages):
                found[row["url"]] = row["removed"]
    return found


def _removed(shard: int, row: int, values: trace.ParquetRow, *, kept: bool) -> RemovedDocument:
    text_bytes = len(values["text"].encode())
    at = (values["document_id"], values["url"], values["dedup_key"], values["language"])
    return RemovedDocument(shard, row, *at, text_bytes, kept)


def _candidates(path: str, requests: Requests) -> Iterator[tuple[int, trace.ParquetRow]]:
    """The rows that may be meant, with their numbers; all rows where a passage is listed."""
    start = 0
    for batch in files.record_batches(path, COLUMNS, rows=1024):
        hits = pc.is_in(batch.column("dedup_key"), value_set=pa.array(sorted(requests.keys), pa.string()))
        hits = pc.or_(hits, pc.is_in(batch.column("document_id"), value_set=pa.array(sorted(requests.ids), pa.binary(16))))
        for site in requests.sites:
            hits = pc.or_(hits, pc.match_substring_regex(batch.column("dedup_key"), _on_site(site)))
        rows = range(batch.num_rows) if requests.passages else np.flatnonzero(hits.to_numpy(zero_copy_only=False))
        for row in rows:
            yield start + int(row), batch.slice(row, 1).to_pylist()[0]
        start += batch.num_rows


def _on_site(site: str) -> str:
    """A pattern of the dedup keys of a site and its subdomains."""
    return rf"^https?://(?:[^/?]*\.)?{re.escape(site)}(?::\d+)?(?:[/?]|$)"


def _listed_pages(corpus: CorpusFolder, requests: Requests) -> Iterator[str]:
    """The dedup keys of all pages that are listed by an address, whether they gave a document or not."""
    for path in corpus.paths("pages", "pages"):
        for batch in files.record_batches(path, ["dedup_key"]):
            yield from filter(requests.covers, batch.column("dedup_key").to_pylist())


def _copies(corpus: CorpusFolder, requests: Requests, urls: set[str]) -> list[Entry]:
    """Entries for the addresses of documents that dedup removed in favour of a listed one, also of an earlier month's."""
    found: list[Entry] = []
    for path in corpus.paths("dedup", "duplicates"):
        for row in files.read_table(path, ["url", "kept_url", "kept_id"]).to_pylist():
            kept_key = trace.key_or_none(row["kept_url"])
            covered = kept_key is not None and requests.covers(kept_key)
            if covered or row["kept_url"] in urls or row["kept_id"] in requests.ids:
                found += [Entry(0, row["url"], URL, key) for key in _keys_of([row["url"]])]
    return found


def _equal_texts(documents: Iterable[RemovedDocument]) -> tuple[Entry, ...]:
    """Entries for the texts of documents that dedup kept: token shards know a document by its text's id alone."""
    ids = sorted({document.document_id.hex() for document in documents if document.kept})
    return tuple(Entry(0, identity, DOCUMENT, identity) for identity in ids)


def encoded_documents(folder: str, urls: set[str]) -> list[tuple[bytes, int]]:
    """Id and UTF-8 bytes of each document with one of these addresses, among those that the stage `tokens` encodes from a folder.

    Where spans were cut, these are the ids and bytes of what is left. Texts are read only of files that hold one of them.
    """
    found: list[tuple[bytes, int]] = []
    values = pa.array(sorted(urls), pa.string())
    for shard in document_shards(folder):
        named = shard.table(["url"])
        if not pc.any(pc.is_in(named.column("url"), value_set=values)).as_py():
            continue
        for batch in shard.batches(["url", "document_id", "text"], 1024):
            chosen = batch.filter(pc.is_in(batch.column("url"), value_set=values))
            lengths = pc.binary_length(chosen.column("text")).to_pylist()
            found += zip(chosen.column("document_id").to_pylist(), lengths, strict=True)
    return found


def entry_list(urls: Sequence[str], sites: Sequence[str], submissions: Sequence[str], ids: Sequence[str]) -> list[Entry]:
    """Entries of values that a person typed, numbered from -1 downwards so that no line of a list has their numbers."""
    named = [(URL, value) for value in urls] + [(SITE, value) for value in sites]
    named += [(SUBMISSION, value) for value in submissions] + [(DOCUMENT, value) for value in ids]
    return [
        Entry(-number, text, kind, trace.request_value(kind, value))
        for number, (kind, text) in enumerate(named, 1)
        for value in (addresses_of(text) if kind == URL else [text])
    ]
