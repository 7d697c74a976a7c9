import math

import numpy as np
import pytest
from evals_stubs import SURE, StubModel, small_gpt, uniform

from trainer.evals.candidate import Network
from trainer.evals.scoring.scorer import Request, Scorer, truncate_left


def test_a_uniform_model_costs_the_logarithm_of_its_vocabulary() -> None:
    (score,) = Scorer(uniform()).score([Request([1, 2, 3, 4], 2)])
    assert score.nats == pytest.approx([math.log(257)] * 2)
    assert score.best.tolist() == [0, 0]


def test_two_equally_likely_tokens_cost_one_bit_per_token() -> None:
    halves = StubModel(lambda _context: {0: SURE, 1: SURE}, vocabulary=2 + 3)
    (score,) = Scorer(halves).score([Request([0, 1, 1, 0], 1)])
    assert score.total == pytest.approx(3 * math.log(2))


def test_banned_tokens_are_not_predicted_and_keep_their_cost() -> None:
    ranked = StubModel(lambda _context: {7: 3.0, 8: 2.0, 9: 1.0}, vocabulary=10)
    (score,) = Scorer(ranked, banned=(7, 8)).score([Request([0, 7], 1)])
    assert (score.best.tolist(), score.best_allowed.tolist()) == ([7], [9])
    assert score.total == pytest.approx(-math.log(math.exp(3) / (math.exp(3) + math.exp(2) + math.exp(1) + 7)))


def test_scores_are_in_request_order_for_any_batch_size() -> None:
    generator = np.random.default_rng(1)
    requests = [Request(generator.integers(0, 257, n).tolist(), 1 + n % 3) for n in (9, 30, 4, 33, 12, 5, 17)]
    network = Network(small_gpt())
    whole = list(Scorer(network, batch_tokens=100_000).score(requests))
    single = list(Scorer(network, batch_tokens=1).score(requests))
    for request, a, b in zip(requests, whole, single, strict=True):
        assert len(a.nats) == len(request.tokens) - request.first
        np.testing.assert_allclose(a.nats, b.nats, atol=1e-5)
        assert a.best.tolist() == b.best.tolist()


def test_a_shared_prefix_does_not_change_the_cost_of_endings() -> None:
    network = Network(small_gpt().double())
    prefix, endings = list(range(20)), [[5], [9, 8, 7], [250, 3]]
    (shared, other) = Scorer(network).score_endings([(prefix, endings), ([4, 5], [[6], [7, 8]])])
    assert [len(score.nats) for score in other] == [1, 2]
    whole = list(Scorer(network).score([Request([*prefix, *ending], 20) for ending in endings]))
    for a, b in zip(shared, whole, strict=True):
        np.testing.assert_allclose(a.nats, b.nats, rtol=1e-10)


def test_a_prefix_beyond_the_context_loses_its_start() -> None:
    network = Network(small_gpt().double())
    prefix, ending = list(range(60)), [200, 201, 202]
    ((score,),) = Scorer(network).score_endings([(prefix, [ending])])
    (cut_off,) = Scorer(network).score([truncate_left([*prefix, *ending], 60, 32)])
    np.testing.assert_allclose(score.nats, cut_off.nats, rtol=1e-10)
