"""Deduplication as a Beam transform for any pipeline: the phases of the stage, with a barrier before each."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple
from uuid import uuid4

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.window import GlobalWindows

from pipeline import paper
from pipeline.dedup import minhash
from pipeline.dedup.census import Census
from pipeline.dedup.clusters import unpack_pairs
from pipeline.dedup.index import SPILLED_ROWS
from pipeline.dedup.phases import Phases, Step
from pipeline.dedup.removals import NEAR
from pipeline.dedup.settings import DedupSettings
from pipeline.dedup.text_shards import SpillTexts, TextId, decode_id
from pipeline.engine.execute import Work, run_part
from pipeline.engine.parts import Part, PhaseFolder, Receipt, is_done
from pipeline.storage import files
from pipeline.storage.document_shards import DocumentShard

__all__ = ["Deduplicate", "DeduplicateOutputs", "DuplicatePair"]


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """A removed document and the kept one that stands for it.

    `reason` is same_text, same_normalised_text or near_duplicate; `similarity` is the exact Jaccard similarity of their shingles.
    """

    id: TextId
    kept_id: TextId
    reason: str
    similarity: float


class DeduplicateOutputs(NamedTuple):
    """Every id of the input, once: as a kept id, or as the `id` of a duplicate."""

    kept: PCollection[TextId]
    duplicates: PCollection[DuplicatePair]


@dataclass
class Deduplicate(beam.PTransform[PCollection[tuple[TextId, str]], DeduplicateOutputs]):
    """`(id, text)` pairs to the ids of the kept texts and to the duplicates, each with the kept text that stands for it::

        texts = pipeline | beam.Create([("a", "one two three four five six"), ("b", "One, two, three, four, five, six!")])
        kept, duplicates = texts | Deduplicate(0.7)

    Ids are str or bytes and occur once; an id that occurs again ends the pipeline with a ValueError. A text is removed if a kept
    one is equal, has equal words, or has a Jaccard similarity of at least `threshold`. Of similar texts the one is kept whose
    BLAKE2b-128 hash is the least (the `document_id` of the stage, which has no dates here); of equal texts the one whose id has
    the least hash. The outputs depend on the texts and ids alone, not on their order or the workers.

    Parameters are the flags of the stage `dedup`: `bands` of `rows` minima each (0 bands: as many as `recall` needs), `shingle`
    words:N or chars:N, `signature_seed`, `transitive`, which keeps one text per chain of similar ones, and `remove_duplicates`: with
    exact, similar texts with other words are kept; with none, all texts are.

    Texts never go through a shuffle. They are spilled to a folder below the pipeline's `temp_location`, or below this machine's
    temporary folder where there is none; then all workers must be on this machine. The folder is removed at the end, but stays
    where the pipeline fails. The input is bounded; outputs are in the global window.
    """

    threshold: float = paper.NEAR_DUPLICATE_THRESHOLD
    bands: int = 0
    rows: int = 8
    shingle: str = "words:5"
    recall: float = paper.NEAR_DUPLICATE_RECALL
    signature_seed: int = minhash.SEED
    transitive: bool = False
    remove_duplicates: str = NEAR

    def __post_init__(self) -> None:
        """Raise ValueError for a parameter out of range."""
        self.settings  # noqa: B018  (it checks the parameters)

    @property
    def settings(self) -> DedupSettings:
        """The stage's settings with these parameters, without an index for later months."""
        return DedupSettings(
            threshold=self.threshold,
            shingle=self.shingle,
            recall=self.recall,
            bands=self.bands,
            rows=self.rows,
            signature_seed=self.signature_seed,
            transitive=self.transitive,
            remove_duplicates=self.remove_duplicates,
            index=False,
        )

    def expand(self, texts: PCollection[tuple[TextId, str]]) -> Any:  # Beam would warn of a hint that is no PCollection
        """Spill, sign, pair, rank, compare, decide, read the decisions, remove the spilled files."""
        phase = PhaseFolder.first("dedup", _temporary_folder(texts.pipeline.options), {}, {})
        start = texts.pipeline | "Start" >> beam.Create([Phases(phase, self.settings, ())], reshuffle=False)
        shards = texts | "One window" >> beam.WindowInto(GlobalWindows()) | "Spill" >> beam.ParDo(SpillTexts(phase))
        phases = (start, shards) | "All spilled" >> _Barrier(_with_documents)
        signed = (phases,) | "Sign" >> _RunStep(_sign)
        paired = (phases, signed) | "Pair" >> _RunStep(_pair)
        spread = (phases, paired) | "Rank" >> _RunStep(_spread_pairs)
        compared = (phases, spread) | "Compare" >> _RunStep(_compare)
        published = (phases, compared) | "Decide" >> _RunStep(_decide)
        outputs = published | "Read" >> beam.ParDo(_ReadDecision(phase)).with_outputs("duplicates", "read", main="kept")
        _ = (start, outputs["read"]) | "All read" >> _Barrier(_remove_folder)
        return DeduplicateOutputs(outputs["kept"], outputs["duplicates"])


def _temporary_folder(options: PipelineOptions) -> str:
    location = options.view_as(GoogleCloudOptions).temp_location or tempfile.gettempdir()
    return files.join(location, f"webtext-dedup-{uuid4().hex}")


Inputs = tuple[PCollection[Any], ...]


@dataclass
class _Barrier(beam.PTransform[Inputs, PCollection[Any]]):
    """The elements that `action` makes of the phases and of all items together, once; also where there are no items."""

    action: Callable[[Phases, list[Any]], Iterable[Any]]

    def expand(self, inputs: Any) -> PCollection[Any]:
        """Group everything under one key."""
        results: PCollection[Any] = (
            inputs
            | "Together" >> beam.Flatten()
            | "One key" >> beam.Map(_same_key)
            | "Wait" >> beam.GroupByKey()
            | "Act" >> beam.FlatMap(partial(_act, self.action))
        )
        return results


def _same_key(item: Any) -> tuple[int, Any]:
    return 0, item


def _act(action: Callable[[Phases, list[Any]], Iterable[Any]], group: tuple[int, Iterable[Any]]) -> Iterable[Any]:
    items = list(group[1])
    phases = next(item for item in items if isinstance(item, Phases))
    return action(phases, [item for item in items if not isinstance(item, Phases)])


class _Task(NamedTuple):
    """A part of a step and the work on it."""

    phase: PhaseFolder
    part: Part[Any]
    work: Work[Any]


@dataclass
class _RunStep(beam.PTransform[Inputs, PCollection[str]]):
    """The keys of the finished parts of a step, which is made once all parts of the step before are finished."""

    make: Callable[[Phases, list[str]], Step]

    def expand(self, inputs: Any) -> PCollection[str]:
        """Spread the parts by a GroupByKey on their keys, which a retry finds again."""
        keys: PCollection[str] = (
            inputs
            | "Barrier" >> _Barrier(partial(_tasks, self.make))
            | "Key" >> beam.Map(_keyed)
            | "Spread" >> beam.GroupByKey()
            | "Work" >> beam.Map(_run)
        )
        return keys


def _tasks(make: Callable[[Phases, list[str]], Step], phases: Phases, keys: list[str]) -> Iterator[_Task]:
    phase, parts, work, _ = make(phases, sorted(keys))
    for part in parts:
        yield _Task(phase, part, work)


def _keyed(task: _Task) -> tuple[str, Any]:
    return task.part.key, task


def _run(group: tuple[str, Iterable[_Task]]) -> str:
    key, (task, *_) = group
    if not is_done(task.phase, key):
        run_part(task.phase, task.work, task.part)
    return key


def _with_documents(phases: Phases, shards: list[DocumentShard]) -> list[Phases]:
    return [Phases(phases.phase, phases.settings, tuple(sorted(shards, key=lambda shard: shard.path)))]


def _sign(phases: Phases, _: list[str]) -> Step:
    return phases.sign()


def _pair(phases: Phases, _: list[str]) -> Step:
    everyone = phases.take_census()
    _check_ids(everyone)
    return phases.pair(everyone, _merge)


def _check_ids(everyone: Census) -> None:
    """Raise ValueError where two documents have one id."""
    if len(everyone.same_address):
        first = unpack_pairs(everyone.same_address[:1])[0].astype("int32")
        (code,) = everyone.names(first).of(first).column("url").to_pylist()
        raise ValueError(f"{decode_id(code)!r}: this id occurs more than once; give each text an id of its own")


def _spread_pairs(phases: Phases, keys: list[str]) -> Step:
    return phases.spread_pairs(phases.take_census(), keys)


def _compare(phases: Phases, keys: list[str]) -> Step:
    return phases.compare(keys, _merge)


def _decide(phases: Phases, keys: list[str]) -> Step:
    return phases.decide(phases.take_census(), keys)


def _merge(phase: PhaseFolder, parts: list[Part[Any]], work: Work[Any], _: str) -> list[Receipt]:
    """Run parts that merge runs here: there are few, and they only copy bytes."""
    return [run_part(phase, work, part) for part in parts]


class _ReadDecision(beam.DoFn):
    """The kept ids and the duplicates of a published shard, and its key as `read`."""

    def __init__(self, phase: PhaseFolder) -> None:
        self._phase = phase

    def process(self, key: str) -> Iterator[Any]:
        """Ids are the URLs of the shard's index rows."""
        signatures, receipt = self._phase.sibling("signatures"), Receipt.load(self._phase, key)
        urls = files.read_table(Receipt.load(signatures, key).path(signatures, SPILLED_ROWS), ["url"]).column("url")
        kept = files.read_table(receipt.path(self._phase, "keep"), ["row"]).column("row")
        for code in urls.take(kept).to_pylist():
            Metrics.counter(self._phase.stage, "out").inc()
            yield decode_id(code)
        for row in files.read_table(receipt.path(self._phase, "duplicates")).to_pylist():
            Metrics.counter(self._phase.stage, f"dropped_{row['reason']}").inc()
            pair = DuplicatePair(decode_id(row["url"]), decode_id(row["kept_url"]), row["reason"], row["similarity"])
            yield TaggedOutput("duplicates", pair)
        yield TaggedOutput("read", key)


def _remove_folder(phases: Phases, _: list[str]) -> list[Any]:
    files.remove_folder(phases.phase.folder)
    return []
