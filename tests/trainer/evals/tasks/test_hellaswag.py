from pathlib import Path

import pytest
from evals_stubs import memorizing_texts, run_task, uniform, write_records

from tokenizer.errors import InputError


def test_hellaswag_by_hand(tmp_path: Path) -> None:
    record = {"activity_label": "Baking", "ctx_a": "She mixes.", "ctx_b": "then she", "label": 1}
    path = write_records(
        tmp_path / "hellaswag_val.jsonl", record | {"endings": ["cries.", "bakes the cake [step].", "runs out.", "is"]}
    )
    right = "Baking: She mixes. Then she bakes the cake ."
    assert [r.value for r in run_task("hellaswag", memorizing_texts(right, lead=False), path)] == [100.0] * 3
    assert [r.value for r in run_task("hellaswag", memorizing_texts(right, lead=False, sign=-1), path)] == [0.0] * 3
    write_records(path, record | {"endings": ["cries.", "bakes.", "runs out.", "is"], "label": ""})
    with pytest.raises(InputError, match="line 1: no label"):
        run_task("hellaswag", uniform(), path)
