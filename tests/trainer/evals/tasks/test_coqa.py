import json
from pathlib import Path

import pytest
from evals_stubs import LONG_CONTEXT, headline, memorizing_texts, run_task, uniform

from trainer.evals.tasks.coqa import read_turns


def test_coqa_by_hand(tmp_path: Path) -> None:
    story = {
        "story": "Cotton was a little white kitten.",
        "questions": [{"input_text": "What was Cotton?"}, {"input_text": "Which colour?"}],
        "answers": [{"input_text": "a white kitten"}, {"input_text": "white"}],
    }
    path = tmp_path / "coqa-dev-v1.0.json"
    path.write_text(json.dumps({"data": [story]}))
    first, second = [turn.prompt for turn in read_turns(path)]
    assert second == f"{first} a white kitten\nQ: Which colour?\nA:"
    perfect = memorizing_texts(f"{first} the white kitten\n", f"{second} White.\n", memory=200)
    assert headline(run_task("coqa", perfect, path)).value == 100.0
    opposite = memorizing_texts(f"{first} the white kitten\n", f"{second} White.\n", memory=200, sign=-1)
    assert headline(run_task("coqa", opposite, path)).value == 0.0
    half = memorizing_texts(f"{first} a big white kitten indeed\n", f"{second} black\n", memory=200)  # 2·2/(4+2) and 0
    assert headline(run_task("coqa", half, path)).value == pytest.approx(100 / 3)
    assert headline(run_task("coqa", uniform(context_tokens=LONG_CONTEXT), path)).value == 0.0
