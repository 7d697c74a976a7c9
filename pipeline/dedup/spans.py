"""Spans of text that an earlier document has already, found exactly and cut: runs of N words (Lee et al. 2021), whole paragraphs.

Every run of N words (or paragraph) gives an entry: the hash of its folded words and its bytes. Entries are sorted into buckets by hash; in
a bucket all but the first of equal ones, in the order of `census`, become cuts; cuts are sorted to their document shards. Both go through
files, so that memory is bounded by a shard or a bucket: 20 bytes a word on disk while the stage runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup import minhash, words
from pipeline.dedup.census import ABSENT
from pipeline.dedup.minhash import Bytes, Offsets, Words32, Words64
from pipeline.engine import shuffle
from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.storage import arrays
from pipeline.storage.document_shards import DocumentShard
from tokenizer.compiled import compiled, compiled_making_arrays

ENTRIES_A_BUCKET = 1 << 19
BATCH_DOCUMENTS = 256
ENTRY = np.dtype([("hash", "<u8"), ("number", "<u4"), ("start", "<u4"), ("end", "<u4")])
"""A span of the document `number`: bytes `start` to `end` of its text."""
_NEWLINE = np.uint8(0x0A)
_PARAGRAPH = np.uint64(0xA0761D6478BD642F)
_UNIT = np.uint64(0x9E3779B97F4A7C15)

Entries = npt.NDArray[np.void]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SpanRules:
    """Cut what was there before: runs of `words` words, paragraphs (lines) of at least `paragraph_words`; 0: not."""

    words: int
    paragraph_words: int


@dataclass(frozen=True, slots=True)
class SpanShard:
    """A document shard, and a file of the numbers of its rows (ABSENT: removed already)."""

    documents: DocumentShard
    numbers: str


@dataclass(frozen=True)
class FindSpans:
    """The work of one document shard: its entries, sorted by bucket."""

    rules: SpanRules
    buckets: int

    def __call__(self, part: Part[SpanShard], writer: PartWriter) -> None:
        """Hash every run of words and every paragraph of the documents that are kept."""
        shard = part.work
        numbers, row, found = arrays.load(shard.numbers), 0, [np.empty(0, ENTRY)]
        for batch in shard.documents.batches(["text"], BATCH_DOCUMENTS):
            mine = np.asarray(numbers[row : row + batch.num_rows])
            found.append(spans(batch.column("text").filter(pa.array(mine != ABSENT)), mine[mine != ABSENT], self.rules))
            row += batch.num_rows
            writer.advance(batch.num_rows)
        entries = np.concatenate(found)
        bucket = (entries["hash"] >> np.uint64(65 - self.buckets.bit_length())).astype(np.int64)
        shuffle.write_run(writer, "spans", entries, bucket, self.buckets)


@dataclass(frozen=True)
class FindRepeats:
    """The work of one bucket (RunSlices): its entries but the first of equal ones, sorted by document shard."""

    shard_of: str
    shards: int

    def __call__(self, part: Part[Any], writer: PartWriter) -> None:
        """Sort, compare, spill."""
        cuts = repeats(shuffle.entries(part.work, ENTRY))
        shuffle.write_run(writer, "cuts", cuts, arrays.load(self.shard_of)[cuts["number"]].astype(np.int64), self.shards)


def bucket_count(entries: int) -> int:
    """A power of two that leaves about ENTRIES_A_BUCKET in each."""
    return 1 << max(1, (entries // ENTRIES_A_BUCKET).bit_length())


def spans(texts: pa.Array, numbers: npt.NDArray[np.uint32], rules: SpanRules) -> Entries:
    """The entries of some texts, in no order."""
    data, offsets = minhash.buffers(texts)
    found = []
    for rule, length in ((_word_spans, rules.words), (_paragraph_spans, rules.paragraph_words)):
        if length:
            room = int(offsets[-1] - offsets[0]) // 2 + len(offsets)
            places = np.empty((room, 3), np.uint32)
            hashes = np.empty(room, np.uint64)
            count = rule(data, offsets, words.table(), length, hashes, places)
            entries = np.empty(count, ENTRY)
            entries["hash"] = hashes[:count]
            entries["number"] = numbers[places[:count, 0]]
            entries["start"], entries["end"] = places[:count, 1], places[:count, 2]
            found.append(entries)
    return np.concatenate([np.empty(0, ENTRY), *found])


def repeats(entries: Entries) -> Entries:
    """All but the first of equal hashes; within one document, what of them lies after the first."""
    entries = entries[np.lexsort((entries["start"], entries["number"], entries["hash"]))]
    new = np.ones(len(entries), bool)
    new[1:] = entries["hash"][1:] != entries["hash"][:-1]
    first = entries[np.flatnonzero(new)[np.cumsum(new) - 1]]
    same = first["number"] == entries["number"]
    entries["start"] = np.where(same, np.maximum(entries["start"], first["end"]), entries["start"])
    return entries[~new & (entries["start"] < entries["end"])]


def cut(text: bytes, cuts: Sequence[tuple[int, int]]) -> bytes:
    """The text without those bytes and the white space after them: `cut(b"one two three", [(4, 7)]) == b"one three"`."""
    pieces, at = [], 0
    for start, end in sorted(cuts):
        if start >= at:
            pieces.append(text[at:start])
        at = max(at, end)
    pieces.append(text[at:])
    return b"".join([pieces[0], *(piece.lstrip() for piece in pieces[1:])]).strip()


@compiled
def _words(data: Bytes, start: int, end: int, table: Words32, hashes: Words64, places: Words32) -> int:
    """Fill `hashes` with the words' hashes and `places` with their bytes; returns how many. Slower than shingling, and with places."""
    count = 0
    word = np.uint64(0)
    at = np.uint64(start)
    last = np.uint64(end)
    while at < last:
        before = at
        if data[at] < 0x80:
            entry = table[data[at]]
            at += np.uint64(1)
        else:
            code, at = minhash.decode(data, at, last)
            entry = table[code]
        kind = entry >> np.uint32(words.CLASS_SHIFT)
        if kind == words.PASSED_OVER:
            if word:
                places[count, 1] = at - np.uint64(start)
            continue
        if word and kind != words.WORD:
            hashes[count] = word
            count += 1
            word = np.uint64(0)
        if kind != words.SEPARATOR:
            if not word:
                places[count, 0] = before - np.uint64(start)
            places[count, 1] = at - np.uint64(start)
            word = (word ^ np.uint64(entry)) * _UNIT
            word ^= word >> np.uint64(29)
            if kind == words.ALONE:
                hashes[count] = word
                count += 1
                word = np.uint64(0)
    if word:
        hashes[count] = word
        count += 1
    return count


@compiled_making_arrays
def _word_spans(data: Bytes, offsets: Offsets, table: Words32, length: int, hashes: Words64, places: Words32) -> int:
    """Write the runs of `length` words of each text: hash; text, first and last byte. Returns how many."""
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    units = np.empty(longest // 2 + 1, np.uint64)
    bytes_ = np.empty((longest // 2 + 1, 2), np.uint32)
    leaving = _UNIT
    for _ in range(length):
        leaving *= _UNIT
    used = 0
    for text in range(len(offsets) - 1):
        count = _words(data, offsets[text], offsets[text + 1], table, units, bytes_)
        chain = np.uint64(0)
        for i in range(count):
            chain = (chain + units[i]) * _UNIT
            if i >= length:
                chain -= units[i - length] * leaving
            if i + 1 >= length:
                hashes[used] = minhash.mix(chain)
                places[used, 0], places[used, 1], places[used, 2] = text, bytes_[i + 1 - length, 0], bytes_[i, 1]
                used += 1
    return used


@compiled_making_arrays
def _paragraph_spans(data: Bytes, offsets: Offsets, table: Words32, least: int, hashes: Words64, places: Words32) -> int:
    """Write the paragraphs of at least so many words of each text, as `_word_spans` does."""
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    units = np.empty(longest // 2 + 1, np.uint64)
    bytes_ = np.empty((longest // 2 + 1, 2), np.uint32)
    used = 0
    for text in range(len(offsets) - 1):
        line = offsets[text]
        while line < offsets[text + 1]:
            end = line
            while end < offsets[text + 1] and data[end] != _NEWLINE:
                end += 1
            count = _words(data, line, end, table, units, bytes_)
            if count >= least:
                chain = _PARAGRAPH
                for i in range(count):
                    chain = (chain ^ units[i]) * _UNIT
                    chain ^= chain >> np.uint64(29)
                hashes[used] = minhash.mix(chain)
                places[used, 0], places[used, 1], places[used, 2] = text, line - offsets[text], end - offsets[text]
                used += 1
            line = end + 1
    return used
