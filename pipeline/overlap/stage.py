"""How much of each evaluation set stands in the corpus, 8-gram by 8-gram; and, when told, a corpus without the documents that hold it."""

import json
import logging
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.engine.parts import Part, PhaseFolder, numbered
from pipeline.engine.stage import Call, Stage, StageResult
from pipeline.engine.writer import PartWriter
from pipeline.overlap.find import FindGrams, OverlapSettings
from pipeline.overlap.ngrams import Occurrences, SetOverlap, build_index, examples, measure
from pipeline.paper import OVERLAP_PERCENT
from pipeline.storage import arrays, files
from pipeline.storage.document_shards import document_shards
from pipeline.storage.files import InputError
from pipeline.storage.manifest import Input, file_input

logger = logging.getLogger(__name__)


RESULT = "overlap.json"


@dataclass(frozen=True, slots=True)
class Measure:
    """Puts together what the shards found: the part lists each set's name, file, and folder of occurrences."""

    found: tuple[str, ...]

    def __call__(self, part: Part[Any], writer: PartWriter) -> None:
        """Publishes overlap.json."""
        seen: npt.NDArray[np.bool_] | None = None
        for path in self.found:
            shard = np.array(arrays.load(path))
            seen = shard if seen is None else seen | shard
        sets = []
        for name, path, folder in part.work:
            where = Occurrences(*(np.array(arrays.load(files.join(folder, f"{kind}.npy"))) for kind in ("grams", "lengths")))
            found = seen if seen is not None else np.zeros(int(where.grams.max(initial=-1)) + 1, bool)
            sets.append(measure(name, files.base_name(path), files.fingerprint(path), where, found))
        data = json.dumps([_row(one) for one in sets], indent=1) + "\n"
        writer.publish("overlap", len(sets), lambda file: file.write(data.encode()), RESULT)
        for one in sets:
            logger.info("overlap: %s %.2f %% of %s n-grams", one.name, one.percent, f"{one.grams:,}")


def _row(one: SetOverlap) -> dict[str, object]:
    """With the paper's row beside it: the set's own training split, and WebText."""
    own_train, webtext = OVERLAP_PERCENT.get(one.name, (None, None))
    return {**asdict(one), "percent": one.percent, "paper_own_train_percent": own_train, "paper_webtext_percent": webtext}


def work(call: Call[OverlapSettings], place: PhaseFolder) -> StageResult:
    """Index the sets, look through every shard once, measure."""
    settings = call.settings
    sets = settings.sets()
    folder = files.join(place.sibling("index").work_folder, "index")
    indexed = _index(folder, sets, settings.ngram_words)
    looking, measuring = place.sibling("look"), place.sibling("measure")
    parts = numbered(document_shards(call.inputs["dedup"]), lambda shard: shard.rows)
    looked = call.engine.work(looking, parts, FindGrams(folder, settings), "documents")
    found = tuple(receipt.path(place, "found") for receipt in looked)
    measured = call.engine.work(measuring, numbered([indexed]), Measure(found), "reports", light=True)
    return StageResult([*looked, *measured])


def _index(folder: str, sets: dict[str, str], size: int) -> list[tuple[str, str, str]]:
    """Write the index and each set's occurrences for the workers; made again after a crash, with the same content."""
    index, occurrences = build_index([examples(path) for path in sets.values()], size)
    index.save(folder)
    indexed = []
    for number, ((name, path), where) in enumerate(zip(sets.items(), occurrences, strict=True)):
        own = files.join(folder, f"set-{number:05d}")
        arrays.save(files.join(own, "grams.npy"), where.grams)
        arrays.save(files.join(own, "lengths.npy"), where.lengths)
        indexed.append((name, path, own))
        if not len(where.grams):
            raise InputError(f"--evaluation_sets {name}={path}: holds no {size} words in a row")
    return indexed


def set_files(settings: OverlapSettings) -> dict[str, Input]:
    """The evaluation files, so that their content counts as an input."""
    return {f"evaluation_{name}": file_input(path) for name, path in settings.sets().items()}


STAGE = Stage(
    name="overlap",
    text="how much of evaluation sets stands in the corpus, exactly; and a corpus without it",
    settings=OverlapSettings,
    inputs=("dedup",),
    work=work,
    unit="documents",
    files=set_files,
)
