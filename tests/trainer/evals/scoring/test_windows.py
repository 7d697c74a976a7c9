import numpy as np
import pytest
import torch
from evals_stubs import ByteTokenizer, memorizing, small_gpt

from trainer.evals.candidate import Network
from trainer.evals.scoring.scorer import Scorer
from trainer.evals.scoring.windows import text_loss, windows
from trainer.model import GPT


def plain_nats(gpt: GPT, tokens: list[int]) -> float:
    """Nats of the last token given the others, from a full forward pass."""
    logits = gpt(torch.tensor([tokens[:-1]]))[0, -1]
    return float(-torch.log_softmax(logits, -1)[tokens[-1]].detach())


@pytest.mark.parametrize("stride", [1, 7, 32])
def test_sliding_windows_equal_a_plain_loop(stride: int) -> None:
    tokens = np.random.default_rng(stride).integers(0, 257, 101).tolist()
    gpt = small_gpt().double()
    loss = text_loss(Scorer(Network(gpt)), tokens, stride)
    expected = 0.0
    for target in range(1, len(tokens)):
        over = target - 32
        stop = min(len(tokens) - 1, 32 + stride * -(-over // stride)) if over > 0 else 32
        expected += plain_nats(gpt, tokens[max(0, stop - 32) : target + 1])
    assert loss.tokens == 100
    assert loss.nats == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("length", "window", "stride"), [(2, 8, 8), (9, 8, 8), (10, 8, 3), (50, 8, 1), (33, 16, 16)])
def test_windows_score_each_token_once(length: int, window: int, stride: int) -> None:
    scored = []
    for request in windows(list(range(length)), window, stride):
        assert len(request.tokens) <= window + 1
        assert request.first >= 1
        scored += list(request.tokens[request.first :])
    assert scored == list(range(1, length))


def test_a_stride_beyond_the_window_is_rejected() -> None:
    with pytest.raises(ValueError, match="stride of 9 tokens"):
        list(windows(list(range(20)), 8, 9))


def test_a_memorizing_model_has_perplexity_one_and_its_opposite_a_huge_one() -> None:
    text = [256, *ByteTokenizer().encode("the quick brown fox jumps over the lazy dog")]
    good = text_loss(Scorer(memorizing([text])), text, 1024)
    bad = text_loss(Scorer(memorizing([text], sign=-1)), text, 1024)
    assert good.perplexity(good.tokens)[0] == pytest.approx(1.0)
    assert good.bits_per(43)[0] == pytest.approx(0.0)
    assert bad.perplexity(bad.tokens)[0] > 1e40
