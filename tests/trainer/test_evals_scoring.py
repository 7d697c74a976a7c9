import math

import numpy as np
import pytest
import torch
from evals_stubs import SURE, Bytes, Stub, knowing, uniform

from trainer.config import ModelConfig
from trainer.evals.candidate import Network
from trainer.evals.scoring import Request, Scorer, cut
from trainer.evals.windows import total, windows
from trainer.model import GPT


def small_gpt(seed: int = 3, context: int = 32) -> GPT:
    gpt = GPT(ModelConfig(layers=2, heads=2, width=32, context=context, vocabulary=257))
    gpt.init_weights(seed)
    for parameter in gpt.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
    return gpt


def plain_nats(gpt: GPT, tokens: list[int]) -> float:
    """Of the last token after the others, the slow way."""
    logits = gpt(torch.tensor([tokens[:-1]]))[0, -1]
    return float(-torch.log_softmax(logits, -1)[tokens[-1]].detach())


def test_a_uniform_model_costs_the_logarithm_of_its_vocabulary() -> None:
    (score,) = Scorer(uniform()).score([Request([1, 2, 3, 4], 2)])
    assert score.nats == pytest.approx([math.log(257)] * 2)
    assert score.best.tolist() == [0, 0]


def test_a_model_of_two_halves_costs_a_bit_a_token() -> None:
    halves = Stub(lambda _seen: {0: SURE, 1: SURE}, vocabulary=2 + 3)
    (score,) = Scorer(halves).score([Request([0, 1, 1, 0], 1)])
    assert score.total == pytest.approx(3 * math.log(2))


def test_banned_tokens_are_passed_over_but_cost_the_same() -> None:
    ranked = Stub(lambda _seen: {7: 3.0, 8: 2.0, 9: 1.0}, vocabulary=10)
    (score,) = Scorer(ranked, banned=(7, 8)).score([Request([0, 7], 1)])
    assert (score.best.tolist(), score.allowed.tolist()) == ([7], [9])
    assert score.total == pytest.approx(-math.log(math.exp(3) / (math.exp(3) + math.exp(2) + math.exp(1) + 7)))


def test_scores_come_in_the_order_of_requests_whatever_the_batch() -> None:
    generator = np.random.default_rng(1)
    requests = [Request(generator.integers(0, 257, n).tolist(), 1 + n % 3) for n in (9, 30, 4, 33, 12, 5, 17)]
    network = Network(small_gpt())
    whole = list(Scorer(network, batch_tokens=100_000).score(requests))
    single = list(Scorer(network, batch_tokens=1).score(requests))
    for request, a, b in zip(requests, whole, single, strict=True):
        assert len(a.nats) == len(request.tokens) - request.first
        np.testing.assert_allclose(a.nats, b.nats, atol=1e-5)
        assert a.best.tolist() == b.best.tolist()


@pytest.mark.parametrize("stride", [1, 7, 32])
def test_sliding_windows_equal_a_plain_loop(stride: int) -> None:
    tokens = np.random.default_rng(stride).integers(0, 257, 101).tolist()
    gpt = small_gpt().double()
    found = total(Scorer(Network(gpt)), tokens, stride)
    expected = 0.0
    for target in range(1, len(tokens)):
        over = target - 32
        stop = min(len(tokens) - 1, 32 + stride * -(-over // stride)) if over > 0 else 32
        expected += plain_nats(gpt, tokens[max(0, stop - 32) : target + 1])
    assert found.tokens == 100
    assert found.nats == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("length", "window", "stride"), [(2, 8, 8), (9, 8, 8), (10, 8, 3), (50, 8, 1), (33, 16, 16)])
def test_windows_score_each_token_once(length: int, window: int, stride: int) -> None:
    scored = []
    for request in windows(list(range(length)), window, stride):
        assert len(request.tokens) <= window + 1
        assert request.first >= 1
        scored += list(request.tokens[request.first :])
    assert scored == list(range(1, length))


def test_a_stride_beyond_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="stride of 9 tokens"):
        list(windows(list(range(20)), 8, 9))


def test_endings_after_a_prefix_read_once_cost_what_they_cost_whole() -> None:
    network = Network(small_gpt().double())
    prefix, endings = list(range(20)), [[5], [9, 8, 7], [250, 3]]
    (shared, other) = Scorer(network).choices([(prefix, endings), ([4, 5], [[6], [7, 8]])])
    assert [len(score.nats) for score in other] == [1, 2]
    whole = list(Scorer(network).score([Request([*prefix, *ending], 20) for ending in endings]))
    for a, b in zip(shared, whole, strict=True):
        np.testing.assert_allclose(a.nats, b.nats, rtol=1e-10)


def test_a_prefix_beyond_the_context_loses_its_beginning() -> None:
    network = Network(small_gpt().double())
    prefix, ending = list(range(60)), [200, 201, 202]
    ((score,),) = Scorer(network).choices([(prefix, [ending])])
    (cut_off,) = Scorer(network).score([cut([*prefix, *ending], 60, 32)])
    np.testing.assert_allclose(score.nats, cut_off.nats, rtol=1e-10)


def test_a_sure_model_has_perplexity_one_and_an_adversary_none() -> None:
    text = [256, *Bytes().encode("the quick brown fox jumps over the lazy dog")]
    good = total(Scorer(knowing([text])), text, 1024)
    bad = total(Scorer(knowing([text], sign=-1)), text, 1024)
    assert good.perplexity(good.tokens)[0] == pytest.approx(1.0)
    assert good.bits(43)[0] == pytest.approx(0.0)
    assert bad.perplexity(bad.tokens)[0] > 1e40
