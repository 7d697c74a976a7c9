"""TODO-DOC."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.engine.parts import Part
from pipeline.engine.settings import setting
from pipeline.engine.writer import PartWriter
from pipeline.overlap.ngrams import load_index
from pipeline.paper import OVERLAP_NGRAM_WORDS
from pipeline.records import Drop
from pipeline.storage import arrays
from pipeline.storage.document_shards import KEEP_SCHEMA, DocumentShard, utf8_bytes
from pipeline.storage.files import InputError

OVERLAPPING_SCHEMA = pa.schema(
    [
        pa.field("document_id", pa.binary(16), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("grams", pa.int64(), nullable=False),
    ]
)
"""A document with n-grams of an evaluation set, and at how many places."""

BATCH_ROWS = 256


class Reason(StrEnum):
    """Why a document is left out."""

    OVERLAP = "overlap"


@dataclass(frozen=True, slots=True)
class OverlapSettings:
    """Which sets to look for, and what to do with documents that hold them."""

    evaluation_sets: tuple[str, ...] = setting(
        (), "files as published, each PATH or NAME=PATH (names of Table 6: ptb wikitext2 …)", recorded=False, metavar="SET"
    )
    ngram_words: int = setting(OVERLAP_NGRAM_WORDS, "words of an n-gram (the paper's 8)", metavar="N")
    remove_overlapping: bool = setting(False, "leave documents that overlap out of the corpus that this folder stands for")
    least_grams: int = setting(1, "a document overlaps from so many places on", metavar="N")

    def __post_init__(self) -> None:
        for name in ("ngram_words", "least_grams"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} {getattr(self, name)}: at least 1")

    def sets(self) -> dict[str, str]:
        """Name to path. Raises InputError where none or two of one name are given."""
        named = [_named(item) for item in self.evaluation_sets]
        names = [name for name, _ in named]
        if not named:
            raise InputError("--evaluation_sets: name at least one evaluation file to look for")
        if len(set(names)) < len(names):
            raise InputError(f"--evaluation_sets {' '.join(self.evaluation_sets)}: two of one name; write NAME=PATH")
        return dict(named)


def _named(item: str) -> tuple[str, str]:
    name, mark, path = item.partition("=")
    return (name, path) if mark else (PurePosixPath(item).stem, item)


@dataclass(frozen=True, slots=True)
class FindGrams:
    """Looks through one document shard: what it holds of the sets, and which of its rows stay."""

    index: str
    settings: OverlapSettings

    def __call__(self, part: Part[DocumentShard], writer: PartWriter) -> None:
        """Publishes the shard's keep list and its overlapping documents; spills which n-grams were seen."""
        shard = part.work
        index = load_index(self.index)
        found = np.zeros(len(index.grams), bool)
        tables = _Tables(writer, self.settings, shard.selected())
        for batch in shard.batches(["document_id", "url", "text"], BATCH_ROWS):
            places = np.zeros(batch.num_rows, np.int64)
            for i, text in enumerate(batch.column("text").to_pylist()):
                numbers = index.find(text)
                found[numbers] = True
                places[i] = len(numbers)
            tables.write(batch, places)
            writer.advance(batch.num_rows)
        writer.publish(
            "found", len(found), lambda file: arrays.write(file, found), writer.spill_name(writer.name("found", ".npy"))
        )


class _Tables:
    """What a shard's part publishes, a batch at a time."""

    def __init__(self, writer: PartWriter, settings: OverlapSettings, rows: npt.NDArray[np.int64]) -> None:
        self._writer = writer
        self._settings = settings
        self._rows = rows
        self._done = 0
        self._overlapping = writer.table("overlapping", OVERLAPPING_SCHEMA)
        self._keep = writer.table("keep", KEEP_SCHEMA)

    def write(self, batch: pa.RecordBatch, places: npt.NDArray[np.int64]) -> None:
        """`places` counts the n-grams found in each document of the batch."""
        rows = pa.array(self._rows[self._done : self._done + batch.num_rows])
        self._done += batch.num_rows
        some = pa.array(places > 0)
        hits = [batch.column("document_id"), batch.column("url"), pa.array(places)]
        self._overlapping.write(pa.table([column.filter(some) for column in hits], schema=OVERLAPPING_SCHEMA))
        gone = (places >= self._settings.least_grams) & self._settings.remove_overlapping
        stays = pa.array(~gone)
        kept = [rows.filter(stays), batch.column("document_id").filter(stays)]
        self._keep.write(pa.table(kept, schema=KEEP_SCHEMA))
        self._count(batch, gone, places)

    def _count(self, batch: pa.RecordBatch, gone: npt.NDArray[np.bool_], places: npt.NDArray[np.int64]) -> None:
        writer = self._writer
        writer.items_in += batch.num_rows
        writer.items_out += int((~gone).sum())
        writer.counters["overlapping_documents"] += int((places > 0).sum())
        writer.counters["text_bytes"] += utf8_bytes(batch.column("text").filter(pa.array(~gone)))
        urls = batch.column("url")
        for i in np.flatnonzero(gone):
            writer.drop(Drop("overlap", urls[int(i)].as_py(), Reason.OVERLAP, f"{places[i]} places"))
