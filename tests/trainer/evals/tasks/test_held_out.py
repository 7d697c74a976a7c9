import math
from pathlib import Path

import pytest
from evals_stubs import ByteTokenizer, StubModel, memorizing, uniform, write_tokens

from tokenizer.errors import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.registry import TASKS
from trainer.evals.results import Result

TEXTS = ("in the beginning was the word", "éclair", "a")


@pytest.fixture
def tokens_folder(tmp_path: Path) -> Path:
    return write_tokens(tmp_path / "tokens", TEXTS, ByteTokenizer())


def run_held_out(model: StubModel, folder: Path, **options: object) -> dict[str, Result]:
    results = TASKS["held_out"].run(Candidate(model, ByteTokenizer(), **options), [folder])  # type: ignore[arg-type]
    return {result.metric: result for result in results}


def test_a_uniform_model_costs_the_logarithm_of_its_vocabulary_per_token(tokens_folder: Path) -> None:
    results = run_held_out(uniform(), tokens_folder)
    tokens = sum(len(text.encode()) + 1 for text in TEXTS)
    assert results["nats per token"].value == pytest.approx(math.log(257))
    assert results["perplexity"].value == pytest.approx(257)
    assert results["bits per byte"].value == pytest.approx(tokens * math.log2(257) / (tokens - 3))
    assert results["unigram entropy, nats per token"].value == 4.5


def test_a_model_that_memorized_the_split_has_zero_bits_per_byte(tokens_folder: Path) -> None:
    stream = [256, *(token for text in TEXTS for token in [*text.encode(), 256])]
    results = run_held_out(memorizing([stream], memory=40), tokens_folder, strides=(1024,))
    assert results["bits per byte"].value == pytest.approx(0.0, abs=1e-9)
    opposite = run_held_out(memorizing([stream], memory=40, sign=-1), tokens_folder, strides=(1024,))
    assert opposite["perplexity"].value > 1e30


def test_as_many_tokens_of_the_training_split_are_scored_as_validation_has(tmp_path: Path) -> None:
    trained = ("learnt by heart, every word of it, and more than is held out",)
    folder = write_tokens(tmp_path / "both", TEXTS, ByteTokenizer(), trained=trained)
    memorized = memorizing([[256, *trained[0].encode(), 256]], memory=40)
    results = TASKS["trained_on"].run(Candidate(memorized, ByteTokenizer()), [folder])
    assert {result.metric: result.value for result in results} == pytest.approx(
        {"nats per token": 0.0, "perplexity": 1.0}, abs=1e-6
    )
    assert "the train split" in results[0].protocol
    opposite = memorizing([[256, *trained[0].encode(), 256]], memory=40, sign=-1)
    assert TASKS["trained_on"].run(Candidate(opposite, ByteTokenizer()), [folder])[0].value > 90


def test_another_tokenizer_is_rejected(tokens_folder: Path) -> None:
    other = ByteTokenizer()
    other.sha256 = "f" * 64
    with pytest.raises(InputError, match="written with tokenizer bbbbbbbbbbbb, the model was trained with ffffffffffff"):
        TASKS["held_out"].run(Candidate(uniform(), other), [tokens_folder])
