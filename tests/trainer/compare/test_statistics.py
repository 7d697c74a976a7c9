"""Intervals cover the truth as often as they say, also with few seeds and small corpora; corrections and power add up."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from trainer.compare.statistics import Errors, Noise, Scores, difference, holm, noise_of, seed_variance, value_and_errors


@dataclass(frozen=True)
class World:
    """Recipes whose documents have a worth; a network's score is the mean worth of what it drew, with noise of training."""

    shift: float = 0.0
    documents: int = 200
    share: float = 0.5
    seeds: int = 4
    held_out: int = 80
    document_spread: float = 1.0
    training_noise: float = 0.05

    def scores(self, random: np.random.Generator) -> Scores:
        count = max(1, int(self.share * self.documents))
        level = []
        for corpus in range(2):
            worth = random.normal(self.shift if corpus else 0.0, self.document_spread, self.documents)
            draws = [random.choice(worth, count, replace=False).mean() for _ in range(self.seeds)]
            level.append(np.array(draws) + random.normal(0, self.training_noise, self.seeds))
        sizes = random.lognormal(6, 1, self.held_out)
        base, own = random.normal(3, 0.5, self.held_out), random.normal(0, 0.2, (2, self.held_out))
        rates = base + own[:, None, :] + np.array(level)[:, :, None]
        return Scores(rates * sizes, sizes)


def p_value(world: World, random: np.random.Generator, truth: float, share: float | None = None) -> float:
    """p-value of the true difference: the interval covers it if this is above the level."""
    scores = {"set": world.scores(random)}
    resampled = {"set": scores["set"].resampled(200)}
    share = world.share if share is None else share
    value, errors = value_and_errors(scores, 0, 1, share=share, resampled=resampled)
    return errors.p(value - truth)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_intervals_cover_the_true_difference_of_the_recipes(share: float, seeds: int) -> None:
    random = np.random.default_rng(7)
    world = World(shift=0.3, share=share, seeds=seeds)
    covered = [p_value(world, random, -world.shift) > 0.05 for _ in range(300)]
    assert np.mean(covered) >= 0.92


def test_forgetting_that_all_draws_are_from_one_corpus_gives_intervals_that_are_too_short() -> None:
    random = np.random.default_rng(7)
    world = World(shift=0.3, share=0.5, seeds=5, held_out=300)
    covered = [p_value(world, random, -world.shift, share=0.0) > 0.05 for _ in range(300)]
    assert np.mean(covered) < 0.9


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_equal_recipes_are_rarely_told_apart_and_a_large_difference_is_found(share: float) -> None:
    random = np.random.default_rng(3)
    equal = [p_value(World(share=share), random, 0.0) <= 0.05 for _ in range(300)]
    assert np.mean(equal) <= 0.07
    unequal = [p_value(World(share=share, shift=2.0), random, 0.0) <= 0.05 for _ in range(100)]
    assert np.mean(unequal) >= 0.95


def test_one_seed_says_nothing_of_the_noise() -> None:
    scores = {"set": World(seeds=1).scores(np.random.default_rng(1))}
    each = difference(scores, 0, 1, share=0.1, level=0.05, resampled={"set": scores["set"].resampled(50)})
    assert math.isnan(each.low)
    assert math.isnan(each.p)
    assert math.isfinite(each.value)


def test_without_noise_of_documents_the_interval_is_the_paired_t_test() -> None:
    values = np.array([0.3, 0.1, 0.25, 0.4])
    each = Errors(math.sqrt(seed_variance(values, 0.0)), len(values) - 1).difference(float(values.mean()), 0.05)
    expected = stats.ttest_1samp(values, 0.0)
    assert each.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (each.low, each.high) == pytest.approx(expected.confidence_interval(0.95), rel=1e-9)


def test_resampled_means_spread_like_the_ratio_estimator() -> None:
    scores = World(held_out=300).scores(np.random.default_rng(5))
    spread = scores.resampled(4000).std(axis=0, ddof=1)
    bits = scores.bits.mean(axis=1)
    residuals = bits - bits.sum(axis=1, keepdims=True) / scores.bytes.sum() * scores.bytes
    expected = np.sqrt((residuals**2).sum(axis=1)) / scores.bytes.sum()
    assert spread == pytest.approx(expected, rel=0.12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=100, deadline=None)
def test_holm_rejects_what_its_step_down_procedure_rejects(p_values: list[float]) -> None:
    level = 0.05
    rejected = set[int]()
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[i] * (len(p_values) - rank) > level:
            break
        rejected.add(i)
    assert {i for i, p in enumerate(holm(p_values)) if p <= level} == rejected


def test_holm_passes_over_what_is_unknown() -> None:
    assert holm([math.nan, 0.02])[1] == 0.02
    assert math.isnan(holm([math.nan, 0.02])[0])


@pytest.mark.parametrize("seeds", [3, 6])
def test_the_detectable_difference_is_found_about_as_often_as_the_power_says(seeds: int) -> None:
    noise = Noise(seed_deviation=0.1, document_error=0.0, share=0.0, pilot_seeds=50)
    size = noise.detectable(seeds, 0.05, 0.8)
    random = np.random.default_rng(11)
    draws = random.normal(size, 0.1, (2000, seeds))
    p = stats.ttest_1samp(draws, 0.0, axis=1).pvalue
    assert np.mean(p <= 0.05) == pytest.approx(0.8, abs=0.06)
    assert noise.seeds_needed(size, 0.05, 0.8, 20) == seeds
    assert noise.seeds_needed(size / 100, 0.05, 0.8, 20) is None


@pytest.mark.parametrize("seeds", [4, 8])
def test_the_detectable_difference_allows_for_the_number_of_pairs(seeds: int) -> None:
    """One of four corpora differs. Each of its three pairs is found about as often as promised, though Holm corrects for six."""
    noise = Noise(seed_deviation=0.1, document_error=0.0, share=0.0, pilot_seeds=50, pairs=6)
    size, random = noise.detectable(seeds, 0.05, 0.8), np.random.default_rng(12)
    pairs = [(first, second) for first in range(4) for second in range(first)]
    found = []
    for _ in range(300):
        scores = random.normal(0, 0.1 / math.sqrt(2), (4, seeds))
        scores[3] += size
        p = [float(stats.ttest_rel(scores[first], scores[second]).pvalue) for first, second in pairs]
        found += [each <= 0.05 for each, (first, _) in zip(holm(p), pairs, strict=True) if first == 3]
    assert 0.75 <= np.mean(found) <= 0.95
    uncorrected = Noise(0.1, 0.0, share=0.0, pilot_seeds=50)
    assert uncorrected.detectable(seeds, 0.05, 0.8) < 0.8 * size


def test_more_seeds_do_not_help_against_a_small_corpus() -> None:
    small = Noise(0.1, 0.0, share=0.5, pilot_seeds=3)
    assert small.detectable(1000, 0.05, 0.8) > 0.1
    assert Noise(0.1, 0.0, share=0.0, pilot_seeds=3).detectable(1000, 0.05, 0.8) < 0.01


def test_the_pilot_measures_the_noise() -> None:
    world = World(share=0.05, training_noise=0.2, document_spread=0.0, seeds=400)
    noise = noise_of({"set": world.scores(np.random.default_rng(2))}, world.share)
    assert noise.seed_deviation == pytest.approx(0.2 * math.sqrt(2), rel=0.1)
    assert noise.pairs == 1
    with pytest.raises(ValueError, match="at least 2"):
        noise_of({"set": World(seeds=1).scores(np.random.default_rng(2))}, 0.1)


def test_a_set_that_is_named_twice_makes_nobody_surer() -> None:
    scores = World(share=0.05, training_noise=0.001, document_spread=0.0).scores(np.random.default_rng(4))
    once, twice = {"a": scores}, {"a": scores, "b": scores}
    found_once, found_twice = (
        difference(each, 0, 1, share=0.05, level=0.05, resampled={name: one.resampled() for name, one in each.items()})
        for each in (once, twice)
    )
    assert found_once == found_twice


@pytest.mark.parametrize("errors", [Errors(0.3, 2, 0.1, 40), Errors(0.01, 1, 0.5, 30), Errors(0.2, 4), Errors(0.0, 3, 0.2, 9)])
def test_the_interval_ends_where_the_p_value_is_the_level(errors: Errors) -> None:
    each = errors.difference(0.7, 0.05)
    assert errors.p(each.high - 0.7) == pytest.approx(0.05, rel=1e-4)
    assert each.high - 0.7 == pytest.approx(0.7 - each.low)
    random = np.random.default_rng(1)
    noise = errors.seed * random.standard_t(errors.seed_freedom, 400_000)
    noise = noise + errors.document * random.standard_t(errors.document_freedom, 400_000)
    assert np.mean(np.abs(noise) > each.high - 0.7) == pytest.approx(0.05, abs=0.004)
