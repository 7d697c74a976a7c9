"""From finished runs to the answer: who is better, by how much, how sure, and what could not be seen."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer.errors import InputError
from trainer.compare.contamination import clusters
from trainer.compare.held_out import HeldOut
from trainer.compare.plan import Plan, TrialRun
from trainer.compare.run import finished, scores
from trainer.compare.score import text_bytes
from trainer.compare.statistics import Difference, Errors, FloatArray, Noise, Scores, difference, holm, noise_of, seed_variance

LOWER_IS_BETTER = ("perplexity", "bits", "nats", "loss")


@dataclass(frozen=True, slots=True)
class CorpusPair:
    """Two corpora: the first one's score minus the second's over all primary sets and per set. `p` is corrected by Holm."""

    first: str
    second: str
    difference: Difference
    p: float
    sets: dict[str, Difference]
    tasks: list[dict[str, Any]]

    def better(self, level: float) -> str | None:
        """Name of the better corpus; None if the two cannot be told apart."""
        if not self.p <= level:
            return None
        return self.first if self.difference.value < 0 else self.second


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer. `ranking` is best first; `matrix` holds bits per byte by held-out set and corpus, with standard errors."""

    sentence: str
    ranking: list[dict[str, Any]]
    matrix: dict[str, dict[str, dict[str, float]]]
    pairs: list[CorpusPair]
    curves: dict[str, dict[str, list[list[float]]]]
    seeds: list[int]
    share: float
    noise: Noise | None
    detectable: float | None
    cost: dict[str, float]
    failed: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Fields as JSON values."""
        return asdict(self)


def collect(
    plan: Plan, sets: Sequence[HeldOut], runs: Sequence[TrialRun], out: Path
) -> tuple[list[int], list[int], dict[str, Scores], list[list[dict[str, Any]]]]:
    """Corpora and seeds with a finished run each, scores by set, and the runs' records by corpus and seed.

    A corpus without any finished run is left out, then a seed that some corpus lacks. Raises InputError if fewer than two corpora
    or no seed is left.
    """
    records = {run: finished(run.folder(plan, out)) for run in runs}
    corpora = sorted({run.corpus for run, record in records.items() if record})
    seeds = sorted({run.seed for run in runs})
    by_place = {(run.corpus, run.seed): (run, record) for run, record in records.items() if record}
    seeds = [seed for seed in seeds if all((corpus, seed) in by_place for corpus in corpora)]
    if len(corpora) < 2 or not seeds:
        raise InputError(f"{out}: too few runs finished: no seed has one for two corpora; the log of each is in its folder")
    bits = {place: scores(run.folder(plan, out)) for place, (run, _) in by_place.items()}
    labels = clusters([text for each in sets for text in each.texts])
    by_set, start = dict[str, Scores](), 0
    for each in sets:
        own = labels[start : start + len(each.texts)]
        start += len(each.texts)
        rows = [[_summed(bits[corpus, seed][each.name], own, labels) for seed in seeds] for corpus in corpora]
        by_set[each.name] = Scores(np.array(rows), _summed(text_bytes(each.texts), own, labels))
    return corpora, seeds, by_set, [[by_place[corpus, seed][1] for seed in seeds] for corpus in corpora]


def analyse(
    plan: Plan,
    sets: Sequence[HeldOut],
    runs: Sequence[TrialRun],
    out: Path,
    failures: Mapping[TrialRun, str],
    noise: Noise | None,
) -> Outcome:
    """The outcome of the runs. The same runs give the same outcome, to the digit."""
    corpora, seeds, by_set, records = collect(plan, sets, runs, out)
    names = [plan.corpora[corpus].name for corpus in corpora]
    share = max(record["drawn"]["share"] for row in records for record in row) if plan.about_recipe else 0.0
    resampled = {name: each.resampled() for name, each in by_set.items()}
    primary = {name: by_set[name] for name in plan.primary}
    means = np.mean([each.means.mean(axis=1) for each in primary.values()], axis=0)
    order = [int(i) for i in np.argsort(means, kind="stable")]
    pairs = []
    for at, second in enumerate(order):
        for first in order[:at]:
            of_set = {
                name: difference({name: each}, first, second, share=share, level=plan.level, resampled=resampled)
                for name, each in by_set.items()
            }
            whole = difference(primary, first, second, share=share, level=plan.level, resampled=resampled)
            tasks = _task_differences(records[first], records[second], share, plan.level)
            pairs.append(CorpusPair(names[first], names[second], whole, whole.p, of_set, tasks))
    corrected = holm([pair.p for pair in pairs])
    pairs = [
        CorpusPair(pair.first, pair.second, pair.difference, p, pair.sets, pair.tasks)
        for pair, p in zip(pairs, corrected, strict=True)
    ]
    measured = noise_of(primary, share) if len(seeds) > 1 else noise
    detectable = measured.detectable(len(seeds), plan.level, plan.power) if measured and len(seeds) > 1 else None
    flat = [record for row in records for record in row]
    return Outcome(
        sentence=_sentence(pairs, names, order, plan, len(seeds), detectable),
        ranking=[{"corpus": names[i], "bits_per_byte": float(means[i])} for i in order],
        matrix=_matrix(by_set, resampled, names, share),
        pairs=pairs,
        curves=_curves(names, records, by_set),
        seeds=seeds,
        share=share,
        noise=measured,
        detectable=detectable,
        cost={
            "runs": len(flat),
            "tokens": sum(record["tokens"] for record in flat),
            "run_seconds": round(sum(record["seconds"] for record in flat), 1),
        },
        failed={run.folder(plan, out).name: reason for run, reason in failures.items()},
    )


def _summed(values: FloatArray, own: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> FloatArray:
    """Sums of a set's values per cluster of all sets."""
    return np.asarray(np.bincount(own, values, int(labels.max()) + 1))


def _matrix(
    by_set: Mapping[str, Scores], resampled: Mapping[str, Any], names: Sequence[str], share: float
) -> dict[str, dict[str, dict[str, float]]]:
    matrix: dict[str, dict[str, dict[str, float]]] = {}
    for name, each in by_set.items():
        row = {}
        for i, corpus in enumerate(names):
            variance = seed_variance(each.means[i], share) + float(resampled[name][:, i].var(ddof=1))
            row[corpus] = {"bits_per_byte": float(each.means[i].mean()), "error": math.sqrt(variance)}
        matrix[name] = row
    return matrix


def _curves(
    names: Sequence[str], records: Sequence[Sequence[dict[str, Any]]], by_set: Mapping[str, Scores]
) -> dict[str, dict[str, list[list[float]]]]:
    """Mean over seeds of the curve's points (tokens, bits per byte) by held-out set and corpus, ending with the final score.

    A run whose log was lost lacks points; those that every seed has are drawn.
    """
    curves: dict[str, dict[str, list[list[float]]]] = {}
    for name, each in by_set.items():
        for i, corpus in enumerate(names):
            runs = [dict(record["curve"].get(name, [])) for record in records[i]]
            shared = sorted(set(runs[0]).intersection(*runs[1:]))
            points = [[float(tokens), float(np.mean([run[tokens] for run in runs]))] for tokens in shared]
            final = [float(records[i][0]["tokens"]), float(each.means[i].mean())]
            curves.setdefault(name, {})[corpus] = [*points, final]
    return curves


def _task_differences(
    first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]], share: float, level: float
) -> list[dict[str, Any]]:
    """Difference per zero-shot task over paired seeds, with p-values corrected for the number of tasks."""
    rows = []
    for index, headline in enumerate(first[0]["tasks"]):
        values = np.array([[record["tasks"][index]["value"] for record in each] for each in (first, second)], np.float64)
        per_seed = values[0] - values[1]
        errors = Errors(math.sqrt(seed_variance(per_seed, share)), len(per_seed) - 1)
        found = errors.difference(float(per_seed.mean()), level)
        lower = any(word in headline["metric"] for word in LOWER_IS_BETTER)
        rows.append(
            {
                "task": headline["task"],
                "metric": headline["metric"],
                "lower_is_better": lower,
                "first": float(values[0].mean()),
                "second": float(values[1].mean()),
                "difference": asdict(found),
            }
        )
    for row, p in zip(rows, holm([row["difference"]["p"] for row in rows]), strict=True):
        row["p"] = p
    return rows


def _sentence(
    pairs: Sequence[CorpusPair], names: Sequence[str], order: Sequence[int], plan: Plan, seeds: int, detectable: float | None
) -> str:
    """The verdict in one sentence."""
    best = names[order[0]]
    if seeds < 2:
        return (
            f"One seed per corpus: {best} has the lowest bits per byte, but without a second seed nothing is known of the noise."
        )
    from_best = [pair for pair in pairs if pair.first == best]
    beaten = [pair for pair in from_best if pair.better(plan.level) == best]
    level = f"{100 * (1 - plan.level):g} %"
    seen = (
        f"a true difference of {detectable:.3f} bits per byte is found {100 * plan.power:.0f} times in 100" if detectable else ""
    )
    if not beaten:
        return f"{_listed([best, *(pair.second for pair in from_best)])} cannot be told apart with {seeds} seeds ({seen})."
    if len(beaten) == len(from_best):
        nearest = from_best[0]
        gap = nearest.difference
        others = _listed([pair.second for pair in from_best])
        than = f"; next is {nearest.second}" if len(from_best) > 1 else ""
        return (
            f"{best} is better than {others}{than}: {-gap.value:.3f} bits per byte less than {nearest.second} "
            f"({level} interval {-gap.high:.3f} to {-gap.low:.3f}, {seeds} seeds)."
        )
    equal = _listed([best, *(pair.second for pair in from_best if pair not in beaten)])
    worse = _listed([pair.second for pair in beaten])
    return f"{equal} cannot be told apart with {seeds} seeds ({seen}); each is ranked before {worse}, which {best} beats."


def _listed(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
