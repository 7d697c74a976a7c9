"""Spans of text that an earlier document also has, found exactly and cut: runs of N words (Lee et al. 2021), whole paragraphs.

Every run of N words (or paragraph) gives an entry: the hash of its folded words and its byte range. Entries are sorted into
buckets by hash. In a bucket every entry but the first of equal ones, in the order of `census`, becomes a cut, and cuts are sorted
by document shard. Both sorts go through files, so a shard or a bucket bounds the memory; while the stage runs, the disk holds 20
bytes per word.
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup import words
from pipeline.dedup.census import ABSENT
from pipeline.dedup.folding import decode, ligature_letter
from pipeline.dedup.string_hashes import TextOffsets, UInt32Array, UInt64Array, Utf8Bytes, buffers, mix
from pipeline.engine import shuffle
from pipeline.engine.parts import Part
from pipeline.engine.shuffle import RunSlices
from pipeline.engine.writer import PartWriter
from pipeline.storage import arrays
from pipeline.storage.document_shards import DocumentShard
from tokenizer.compiled import compiled, compiled_making_arrays

ENTRIES_PER_BUCKET = 1 << 19
BATCH_DOCUMENTS = 256
SPAN = np.dtype([("hash", "<u8"), ("number", "<u4"), ("start", "<u4"), ("end", "<u4")])
"""A span of the document `number`: bytes `start` to `end` of its text."""
CUT_END: Final = re.compile(r"[.,;:!?…。，；：！？、।۔]+(?=\s|$)")  # noqa: RUF001
"""Punctuation behind what is cut, which goes with it where a blank or nothing is before."""

QUOTED: Final = frozenset(("()", "[]", "{}", '""', "''", "“”", "„“", "‘’", "«»", "「」", "（）", "《》"))  # noqa: RUF001
"""Brackets and quotation marks around what is cut go with it."""

LIST_MARK: Final = re.compile(r"\s*\(?\d{1,3}[.)]\s*")
"""The number of a list's item, which goes with the item."""

_WORD_CLASS = np.uint32(words.WORD << words.CLASS_SHIFT)
_NEWLINE = np.uint8(0x0A)
_PARAGRAPH = np.uint64(0xA0761D6478BD642F)
_UNIT = np.uint64(0x9E3779B97F4A7C15)

SpanArray = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class SpanRules:
    """Cut repeated runs of `words` words and repeated lines of at least `paragraph_words` words; 0 switches a rule off.

    A text that cuts leave shorter than `min_characters` is dropped.
    """

    words: int
    paragraph_words: int
    min_characters: int = 0


@dataclass(frozen=True, slots=True)
class SpanShard:
    """A document shard, and a file with the number of each row (ABSENT where it is removed)."""

    documents: DocumentShard
    numbers: str


@dataclass(frozen=True)
class FindSpans:
    """Work on one document shard: a run of its entries, by bucket."""

    rules: SpanRules
    buckets: int

    def __call__(self, part: Part[SpanShard], writer: PartWriter) -> None:
        """Hash every run of words and every paragraph of the kept documents."""
        shard = part.work
        numbers, row, arrays_of_spans = arrays.load(shard.numbers), 0, [np.empty(0, SPAN)]
        for batch in shard.documents.batches(["text"], BATCH_DOCUMENTS):
            batch_numbers = np.asarray(numbers[row : row + batch.num_rows])
            kept = batch_numbers != ABSENT
            arrays_of_spans.append(spans(batch.column("text").filter(pa.array(kept)), batch_numbers[kept], self.rules))
            row += batch.num_rows
            writer.advance(batch.num_rows)
        entries = np.concatenate(arrays_of_spans)
        bucket = (entries["hash"] >> np.uint64(65 - self.buckets.bit_length())).astype(np.int64)
        shuffle.write_run(writer, "spans", entries, bucket, self.buckets)


@dataclass(frozen=True)
class FindRepeats:
    """Work on one bucket: all its entries but the first of equal ones, as a run by document shard."""

    shard_of: str
    shards: int

    def __call__(self, part: Part[RunSlices], writer: PartWriter) -> None:
        """Sort, compare, spill."""
        cuts = repeats(shuffle.entries(part.work, SPAN))
        shuffle.write_run(writer, "cuts", cuts, arrays.load(self.shard_of)[cuts["number"]].astype(np.int64), self.shards)


def bucket_count(entries: int) -> int:
    """A power of two that leaves about ENTRIES_PER_BUCKET in each."""
    return 1 << max(1, (entries // ENTRIES_PER_BUCKET).bit_length())


def spans(texts: pa.Array, numbers: npt.NDArray[np.uint32], rules: SpanRules) -> SpanArray:
    """The entries of some texts, in no order; `numbers` has the number of each text's document."""
    data, offsets = buffers(texts)
    results = []
    for rule, length in ((_word_spans, rules.words), (_paragraph_spans, rules.paragraph_words)):
        if length:
            room = int(offsets[-1] - offsets[0]) // 2 + len(offsets)
            places = np.empty((room, 3), np.uint32)
            hashes = np.empty(room, np.uint64)
            count = rule(data, offsets, words.table(), length, hashes, places)
            entries = np.empty(count, SPAN)
            entries["hash"] = hashes[:count]
            entries["number"] = numbers[places[:count, 0]]
            entries["start"], entries["end"] = places[:count, 1], places[:count, 2]
            results.append(entries)
    return np.concatenate([np.empty(0, SPAN), *results])


def repeats(entries: SpanArray) -> SpanArray:
    """All entries but the first of equal hashes. Where the first is in the same document, an entry begins after its end."""
    entries = entries[np.lexsort((entries["start"], entries["number"], entries["hash"]))]
    new = np.ones(len(entries), bool)
    new[1:] = entries["hash"][1:] != entries["hash"][:-1]
    first = entries[np.flatnonzero(new)[np.cumsum(new) - 1]]
    same = first["number"] == entries["number"]
    entries["start"] = np.where(same, np.maximum(entries["start"], first["end"]), entries["start"])
    return entries[~new & (entries["start"] < entries["end"])]


def cut(text: bytes, cuts: Sequence[tuple[int, int]]) -> bytes:
    r"""The text without these byte ranges. Lines stay lines: what is cut takes no line end and no indentation along.

    A line of which no word is left goes as a whole, and so does punctuation that ended what was cut.

    >>> cut(b"one two three", [(4, 7)])
    b'one three'
    >>> cut(b"- one two.\n- three\n    four", [(2, 9)])
    b'- three\n    four'
    """
    lines: list[bytes] = []
    whole_lines = text.split(b"\n")
    at, ranges = 0, deque(_disjoint(cuts))
    for number, line in enumerate(whole_lines):
        end = at + len(line)
        inside = []
        while ranges and ranges[0][0] < end:
            inside.append((max(ranges[0][0] - at, 0), min(ranges[0][1], end) - at))
            if ranges[0][1] > end:
                break
            ranges.popleft()
        shortened = _cut_line(line.decode(), inside) if any(start < stop for start, stop in inside) else line
        if shortened is not None:
            lines.append(shortened)
        elif lines and not lines[-1] and not b"".join(whole_lines[number + 1 : number + 2]).strip():
            lines.pop()  # one of the two blank lines around a paragraph that is cut
        at = end + 1
    return b"\n".join(lines).strip(b"\n").rstrip() if any(map(bytes.strip, lines)) else b""


def _disjoint(cuts: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Ranges that cover the bytes of all cuts, in order, and do not meet."""
    start = end = 0
    for next_start, next_end in sorted(cuts):
        if next_start > end:
            if start < end:
                yield start, end
            start = next_start
        end = max(end, next_end)
    if start < end:
        yield start, end


def _cut_line(line: str, cuts: Sequence[tuple[int, int]]) -> bytes | None:
    """The line without these ranges of its UTF-8 bytes; None where no word is left."""
    data, kept, at = line.encode(), "", 0
    for start, end in [*cuts, (len(data), len(data))]:
        piece = data[at:start].decode()
        if at and (not kept.strip() or kept[-1].isspace()):
            piece = CUT_END.sub("", piece, count=1).lstrip()
        elif at and piece and kept[-1] + piece[0] in QUOTED:
            kept, piece = kept[:-1].rstrip(), piece[1:]
        kept += piece
        at = end
    return kept.rstrip().encode() if any(map(str.isalnum, kept)) and not LIST_MARK.fullmatch(kept) else None


@compiled
def _longer_word(word: np.uint64, entry: np.uint32) -> np.uint64:
    """The hash of a word with one more code point; a ligature counts as its letters."""
    if entry >> np.uint32(words.CLASS_SHIFT) != words.LIGATURE:
        word = (word ^ np.uint64(entry)) * _UNIT
        return word ^ (word >> np.uint64(29))
    for place in range(3):
        letter = ligature_letter(entry, place)
        if letter:
            word = (word ^ np.uint64(letter | _WORD_CLASS)) * _UNIT
            word ^= word >> np.uint64(29)
    return word


@compiled
def _words(data: Utf8Bytes, start: int, end: int, table: UInt32Array, hashes: UInt64Array, places: UInt32Array) -> int:
    """Fill `hashes` with the words' hashes and `places` with their byte ranges; returns the count.

    It is slower than `folding.fold`, which gives no byte ranges.
    """
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
            code, at = decode(data, at, last)
            entry = table[code]
        kind = entry >> np.uint32(words.CLASS_SHIFT)
        if kind == words.IGNORED:
            if word:
                places[count, 1] = at - np.uint64(start)
            continue
        if word and kind not in (words.WORD, words.LIGATURE):
            hashes[count] = word
            count += 1
            word = np.uint64(0)
        if kind != words.SEPARATOR:
            if not word:
                places[count, 0] = before - np.uint64(start)
            places[count, 1] = at - np.uint64(start)
            word = _longer_word(word, entry)
            if kind == words.ALONE:
                hashes[count] = word
                count += 1
                word = np.uint64(0)
    if word:
        hashes[count] = word
        count += 1
    return count


@compiled_making_arrays
def _word_spans(
    data: Utf8Bytes, offsets: TextOffsets, table: UInt32Array, length: int, hashes: UInt64Array, places: UInt32Array
) -> int:
    """Write the hash of each run of `length` words, and its text and byte range; returns the count."""
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    units = np.empty(longest // 2 + 1, np.uint64)
    ranges = np.empty((longest // 2 + 1, 2), np.uint32)
    leaving = _UNIT
    for _ in range(length):
        leaving *= _UNIT
    used = 0
    for text in range(len(offsets) - 1):
        count = _words(data, offsets[text], offsets[text + 1], table, units, ranges)
        chain = np.uint64(0)
        for i in range(count):
            chain = (chain + units[i]) * _UNIT
            if i >= length:
                chain -= units[i - length] * leaving
            if i + 1 >= length:
                hashes[used] = mix(chain)
                places[used, 0], places[used, 1], places[used, 2] = text, ranges[i + 1 - length, 0], ranges[i, 1]
                used += 1
    return used


@compiled_making_arrays
def _paragraph_spans(
    data: Utf8Bytes, offsets: TextOffsets, table: UInt32Array, least: int, hashes: UInt64Array, places: UInt32Array
) -> int:
    """Write the hash, text and byte range of each paragraph of at least `least` words; returns the count."""
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    units = np.empty(longest // 2 + 1, np.uint64)
    ranges = np.empty((longest // 2 + 1, 2), np.uint32)
    used = 0
    for text in range(len(offsets) - 1):
        line = offsets[text]
        while line < offsets[text + 1]:
            end = line
            while end < offsets[text + 1] and data[end] != _NEWLINE:
                end += 1
            count = _words(data, line, end, table, units, ranges)
            if count >= least:
                chain = _PARAGRAPH
                for i in range(count):
                    chain = (chain ^ units[i]) * _UNIT
                    chain ^= chain >> np.uint64(29)
                hashes[used] = mix(chain)
                places[used, 0], places[used, 1], places[used, 2] = text, line - offsets[text], end - offsets[text]
                used += 1
            line = end + 1
    return used
