from pathlib import Path

import pytest
from evals_stubs import LONG_CONTEXT, memorizing_texts, run_task, uniform, write_records


def test_summaries_by_hand(tmp_path: Path) -> None:
    article, truth = "A cat sat. It ran off. We saw it. Nobody minded.", "The cat ran. We saw."
    path = write_records(tmp_path / "cnn_dailymail_test.jsonl", {"article": article, "highlights": truth})
    perfect = run_task("summaries", memorizing_texts(f"{article}\nTL;DR: {truth} ", memory=200, lead=False), path)
    with_hint = {r.metric: r.value for r in perfect if r.protocol.startswith("after")}
    assert with_hint == pytest.approx({"ROUGE-1": 100, "ROUGE-2": 100, "ROUGE-L": 100, "ROUGE, mean of three": 100})
    lead = {r.metric: r.value for r in perfect if r.protocol.startswith("no model")}
    # lead: a cat sat it ran off we saw it (9); reference: the cat ran we saw (5); common: cat, ran, we, saw; bigram: we saw
    assert lead["ROUGE-1"] == pytest.approx(100 * 2 * 4 / 14)
    assert lead["ROUGE-2"] == pytest.approx(100 * 2 * 1 / 12)
    assert lead["ROUGE-L"] == pytest.approx(100 * 2 * 4 / 14)
    opposite = memorizing_texts(f"{article}\nTL;DR: {truth} ", memory=200, lead=False, sign=-1)
    for model in (uniform(context_tokens=LONG_CONTEXT), opposite):
        assert {r.value for r in run_task("summaries", model, path)[:4]} == {0.0}
