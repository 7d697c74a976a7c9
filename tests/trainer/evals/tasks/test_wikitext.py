import math
from pathlib import Path

import pytest
from evals_stubs import headline, memorizing_texts, run_task, uniform

TOKENIZED = " \n = Robert Boulter = \n \n He was born in 1970 , in a well @-@ known house . \n"
WRITTEN = "\n= Robert Boulter =\n\nHe was born in 1970, in a well-known house.\n"


@pytest.fixture
def tokenized_file(tmp_path: Path) -> Path:
    path = tmp_path / "wiki.test.tokens"
    path.write_text(TOKENIZED)
    return path


def test_perplexities_by_hand(tokenized_file: Path) -> None:
    results = run_task("wikitext2", uniform(), tokenized_file, strides=(1024,))
    words = len(TOKENIZED.split())
    assert words == 17
    nats = len(WRITTEN.encode()) * math.log(257)
    values = {r.normaliser: r.value for r in results if r.detokeniser != "none"}
    assert values["BPE token"] == pytest.approx(257)
    assert values["word of the original"] == pytest.approx(math.exp(nats / 17), rel=1e-5)
    assert values["word or line end of the original"] == pytest.approx(math.exp(nats / 21), rel=1e-5)
    raw = {r.normaliser: r.value for r in results if r.detokeniser == "none"}
    assert raw["word of the original"] == pytest.approx(math.exp(len(TOKENIZED) * math.log(257) / 17), rel=1e-5)


@pytest.mark.parametrize("task", ["wikitext2", "wikitext103"])
def test_perplexity_perfect_and_adversarial(task: str, tokenized_file: Path) -> None:
    assert headline(run_task(task, memorizing_texts(WRITTEN), tokenized_file)).value == pytest.approx(1.0)
    assert headline(run_task(task, memorizing_texts(WRITTEN, sign=-1), tokenized_file)).value > 1e30
