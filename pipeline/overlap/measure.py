"""The overlap of each evaluation set with the corpus, from the n-grams that occur in its shards."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.overlap.ngrams import Occurrences
from pipeline.paper import OVERLAP_PERCENT
from pipeline.storage import arrays, files

logger = logging.getLogger(__name__)

RESULT = "overlap.json"


@dataclass(frozen=True, slots=True)
class SetOverlap:
    """The part of one evaluation set that the corpus holds, counted in n-grams by place (like the paper), distinct ones, and examples.

    `found_grams` are those in the corpus. `mean_example_percent` is the mean over examples of their own percentage by place.
    """

    name: str
    file: str
    sha256: str
    examples: int
    grams: int
    distinct_grams: int
    found_grams: int
    found_distinct_grams: int
    examples_with_any: int
    mean_example_percent: float

    @property
    def percent(self) -> float:
        """Percentage of n-grams, by place, that the corpus holds: the figure of Table 6."""
        return 100 * self.found_grams / self.grams if self.grams else 0.0


@dataclass(frozen=True, slots=True)
class IndexedSet:
    """An evaluation set: its name, its file, and the folder of its occurrences in the index."""

    name: str
    path: str
    folder: str

    def save(self, occurrences: Occurrences) -> None:
        """Write the occurrences."""
        arrays.save(files.join(self.folder, "grams.npy"), occurrences.grams)
        arrays.save(files.join(self.folder, "lengths.npy"), occurrences.lengths)

    def load(self) -> Occurrences:
        """The occurrences that `save` wrote."""
        return Occurrences(*(np.array(arrays.load(files.join(self.folder, f"{kind}.npy"))) for kind in ("grams", "lengths")))


@dataclass(frozen=True, slots=True)
class MeasureOverlap:
    """Measures all sets: the part's work. `occurs` are the paths of the shards' arrays of n-grams that occur."""

    occurs: tuple[str, ...]

    def __call__(self, part: Part[Sequence[IndexedSet]], writer: PartWriter) -> None:
        """Publish overlap.json and log a line per set."""
        in_corpus: npt.NDArray[np.bool_] | None = None
        for path in self.occurs:
            shard = np.array(arrays.load(path))
            in_corpus = shard if in_corpus is None else in_corpus | shard
        overlaps = []
        for item in part.work:
            occurrences = item.load()
            found = in_corpus if in_corpus is not None else np.zeros(int(occurrences.grams.max(initial=-1)) + 1, bool)
            overlaps.append(measure(item.name, files.base_name(item.path), files.fingerprint(item.path), occurrences, found))
        data = json.dumps([_row(overlap) for overlap in overlaps], indent=1) + "\n"
        writer.publish("overlap", len(overlaps), lambda file: file.write(data.encode()), RESULT)
        for overlap in overlaps:
            logger.info(
                "overlap: the corpus holds %.2f %% of the %s n-grams of %s", overlap.percent, f"{overlap.grams:,}", overlap.name
            )


def _row(overlap: SetOverlap) -> dict[str, object]:
    """The overlap beside the paper's figures: with the set's own training split, and with WebText."""
    own_train, webtext = OVERLAP_PERCENT.get(overlap.name, (None, None))
    return {
        **asdict(overlap),
        "percent": overlap.percent,
        "paper_own_train_percent": own_train,
        "paper_webtext_percent": webtext,
    }


def measure(name: str, file: str, sha256: str, occurrences: Occurrences, in_corpus: npt.NDArray[np.bool_]) -> SetOverlap:
    """The overlap of one set; `in_corpus` holds, for each n-gram of the index, whether the corpus holds it."""
    hits = in_corpus[occurrences.grams]
    ends = np.cumsum(occurrences.lengths)
    sums = np.concatenate([[0], np.cumsum(hits)])
    per_example = sums[ends] - sums[ends - occurrences.lengths]
    long_enough = occurrences.lengths > 0
    shares = per_example[long_enough] / occurrences.lengths[long_enough]
    distinct = np.unique(occurrences.grams)
    return SetOverlap(
        name=name,
        file=file,
        sha256=sha256,
        examples=len(occurrences.lengths),
        grams=len(occurrences.grams),
        distinct_grams=len(distinct),
        found_grams=int(hits.sum()),
        found_distinct_grams=int(in_corpus[distinct].sum()),
        examples_with_any=int((per_example > 0).sum()),
        mean_example_percent=float(100 * shares.mean()) if len(shares) else 0.0,
    )
