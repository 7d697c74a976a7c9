import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from evals_stubs import (
    SURE,
    ByteTokenizer,
    StubModel,
    WordTokenizer,
    memorizing_texts,
    result_value,
    run_task,
    uniform,
    write_records,
)

from trainer.evals.candidate import Candidate
from trainer.evals.tasks import lambada


@pytest.fixture
def passages(tmp_path: Path) -> Path:
    return write_records(tmp_path / "lambada_test.jsonl", {"text": "he gave her the ring"}, {"text": "they went to the sea"})


def ranking(codec: WordTokenizer, words: Sequence[str]) -> StubModel:
    """Model that ranks the words in this order after any context, 0.5 nats apart; its vocabulary has 400 tokens."""
    ids = [codec.encode(f" {word}")[0] for word in words]
    return StubModel(lambda _context: {i: SURE - rank / 2 for rank, i in enumerate(ids)}, vocabulary=400)


def test_lambada_by_hand(passages: Path) -> None:
    codec = WordTokenizer()
    results = run_task("lambada", ranking(codec, ["the", "ring", "sea"]), passages, codec=codec)
    for unit in ("last word", "last token"):
        assert result_value(results, f"{unit}, greedy, stop-word filter off") == 0.0
        assert result_value(results, f"{unit}, greedy, stop-word filter on") == 50.0
    total = 1 + math.exp(-0.5) + math.exp(-1)
    assert result_value(results, "of the last word", "perplexity") == pytest.approx(total * math.exp(0.75), rel=1e-5)


def test_the_last_token_can_be_right_when_the_word_is_wrong(passages: Path) -> None:
    results = run_task("lambada", memorizing_texts("he gave her the sing", "they went to the sea", lead=False), passages)
    assert result_value(results, "last word, greedy, stop-word filter off") == 50.0
    assert result_value(results, "last token, greedy, stop-word filter off") == 100.0


def test_lambada_perfect_and_adversarial(passages: Path) -> None:
    texts = ["he gave her the ring", "they went to the sea"]
    assert [r.value for r in run_task("lambada", memorizing_texts(*texts, lead=False), passages)] == pytest.approx(
        [100] * 4 + [1.0] * 2
    )
    bad = run_task("lambada", memorizing_texts(*texts, lead=False, sign=-1), passages)
    assert [r.value for r in bad[:4]] == [0.0] * 4
    assert bad[4].value > 1e40


def test_lambada_scores_the_last_word_with_its_space(passages: Path) -> None:
    request = lambada.last_word_request(Candidate(uniform(), ByteTokenizer()), "he gave her the ring")
    assert bytes(list(request.tokens)[request.first :]) == b" ring"
