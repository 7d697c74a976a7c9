from pathlib import Path

import pytest
from evals_stubs import LONG_CONTEXT, headline, memorizing_texts, run_task, uniform

from tokenizer.errors import InputError
from trainer.evals.tasks.childrens_books import read_questions

STORY = [f"Sentence {i} is of Mary and the {w} ." for i, w in enumerate(["cat", "dog"] * 10, 1)]
QUERY = "Then the XXXXX did n't answer ` me . '"


@pytest.fixture
def question(tmp_path: Path) -> Path:
    lines = [f"{i} {sentence}" for i, sentence in enumerate(STORY, 1)]
    path = tmp_path / "cbtest_CN_valid_2000ex.txt"
    path.write_text("\n".join([*lines, f"21 {QUERY}\tdog\t\tcat|dog|Mary"]) + "\n\n")
    return path


@pytest.mark.parametrize("task", ["cbt_cn", "cbt_ne"])
def test_childrens_books_perfect_and_adversarial(task: str, question: Path) -> None:
    written = " ".join(line.replace(" .", ".") for line in STORY) + " Then the dog didn't answer 'me.'"
    results = run_task(task, memorizing_texts(written), question)
    assert headline(results).value == 100.0
    assert headline(results).detokeniser.startswith("cbt, invertible")
    assert headline(run_task(task, memorizing_texts(written, sign=-1), question)).value == 0.0
    raw = " ".join(STORY) + f" {QUERY.replace('XXXXX', 'dog')}"
    assert [r.value for r in run_task(task, memorizing_texts(raw), question)][1] == 100.0


def test_a_uniform_model_scores_zero(question: Path) -> None:
    assert [r.value for r in run_task("cbt_cn", uniform(context_tokens=LONG_CONTEXT), question)] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1 a\n3 b\n", "line 2: expected sentence 2, not '3'"),
        ("1 a\n2 b\n", "ends in the middle of a story, after sentence 2"),
        ("".join(f"{i} a\n" for i in range(1, 21)) + "21 no blank\tx\t\tx|y\n", "line 21: expected 'sentence with XXXXX"),
    ],
)
def test_malformed_files_are_rejected_with_their_line(text: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "books.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=line):
        list(read_questions(path))
