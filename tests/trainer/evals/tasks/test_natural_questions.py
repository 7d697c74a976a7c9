from pathlib import Path

from evals_stubs import headline, memorizing_texts, run_task, write_records

WORDS = ("one", "two", "three", "four", "five", "six", "seven")


def test_natural_questions_by_hand(tmp_path: Path) -> None:
    pairs = [(f"what is {i}", [f"the {word}", word.upper()]) for i, word in enumerate(WORDS)]
    path = write_records(tmp_path / "NQ-open.dev.jsonl", *({"question": q, "answer": a} for q, a in pairs))
    seed = "".join(f"Q: {q}?\nA: {a[0]}\n\n" for q, a in pairs[:5])
    right = [f"{seed}Q: what is 5?\nA: Six.\n", f"{seed}Q: what is 6?\nA: The seven\n"]
    wrong = [right[0], f"{seed}Q: what is 6?\nA: not seven\n"]
    assert headline(run_task("natural_questions", memorizing_texts(*right, memory=400), path)).value == 100.0
    assert headline(run_task("natural_questions", memorizing_texts(*wrong, memory=400), path)).value == 50.0
    assert headline(run_task("natural_questions", memorizing_texts(*right, memory=400, sign=-1), path)).value == 0.0
