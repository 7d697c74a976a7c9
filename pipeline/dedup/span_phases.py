"""The phases that find repeated spans in the kept documents and cut them: entries, repeats, cuts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow.compute as pc

from pipeline.dedup import spans
from pipeline.dedup.census import ABSENT, Census
from pipeline.dedup.phases import Phases, Step
from pipeline.dedup.publish import removed_rows
from pipeline.dedup.rewrite_spans import ShardCuts
from pipeline.dedup.spans import FindRepeats, FindSpans, SpanRules, SpanShard
from pipeline.engine import shuffle
from pipeline.engine.parts import Part, Receipt, numbered
from pipeline.engine.shuffle import WorkParts
from pipeline.storage import arrays, files


@dataclass(frozen=True)
class SpanPhases:
    """The steps that follow a decision where spans are cut."""

    phases: Phases
    everyone: Census
    rules: SpanRules

    def find(self, decision: Step) -> Step:
        """Hash the spans of the documents that the decision keeps."""
        parts = numbered(self._span_shards(decision.parts), lambda shard: shard.documents.rows)
        return Step(self.phases.phase.sibling("spans"), parts, FindSpans(self.rules, self._buckets), "documents")

    def repeats(self, found: Sequence[Receipt], merge: WorkParts) -> Step:
        """Find the repeated spans of each bucket; `found` are the receipts of `find`."""
        runs = shuffle.run_paths(self.phases.phase.sibling("spans"), "spans", found)
        parts = shuffle.gather(self.phases.phase, "repeats", "spans", runs, self._buckets, merge)
        starts, own = self.everyone.starts, len(self.phases.documents)
        ends = starts[len(self.everyone.shards) - own + 1 :]
        shard_of = np.searchsorted(ends, self.everyone.flat_rows, side="right").astype(np.uint32)
        work = FindRepeats(arrays.spill(self._path("repeats", "shard-of.npy"), shard_of), own)
        return Step(self.phases.phase.sibling("repeats"), parts, work, "buckets of spans")

    def cut(self, decision: Step, shards: Sequence[SpanShard], repeated: Sequence[Receipt], merge: WorkParts) -> Step:
        """The decision with the cuts of each shard; `repeated` are the receipts of `repeats`."""
        runs = shuffle.run_paths(self.phases.phase.sibling("repeats"), "cuts", repeated)
        gathered = shuffle.gather(self.phases.phase, "cuts", "cuts", runs, len(shards), merge)
        cuts = [ShardCuts(shard, part.work, self.rules.min_characters) for shard, part in zip(shards, gathered, strict=True)]
        parts = [
            replace(part, work=tuple(replace(shard, cuts=shard_cuts) for shard in part.work))
            for part, shard_cuts in zip(decision.parts, cuts, strict=True)
        ]
        return decision._replace(parts=parts)

    def _span_shards(self, decisions: Sequence[Part[Any]]) -> list[SpanShard]:
        """The document shards with the numbers of their kept rows."""
        earlier = len(self.everyone.shards) - len(self.phases.documents)
        shards, numbers = [], self.everyone.numbers().view(np.uint32)
        for i, removed in enumerate(removed_rows(shard for part in decisions for shard in part.work)):
            shard_numbers = numbers[slice(*self.everyone.starts[earlier + i : earlier + i + 2])]
            shard_numbers[removed.column("row").to_numpy()] = ABSENT
            path = arrays.spill(self._path("spans", f"numbers-{i:05d}.npy"), shard_numbers)
            shards.append(SpanShard(self.phases.documents[i], path))
        return shards

    @cached_property
    def _buckets(self) -> int:
        units = (pc.sum(shard.table(["units"]).column("units")).as_py() or 0 for shard in self.everyone.shards)
        return spans.bucket_count(sum(map(int, units)))

    def _path(self, phase: str, name: str) -> str:
        return files.join(self.phases.phase.sibling(phase).work_folder, name)
