"""Examples without text: each task says what is missing in one line, and divides by no zero."""

import json
from pathlib import Path
from typing import Any

import pytest
from evals_stubs import ByteTokenizer, uniform, write_tokens

from tokenizer.errors import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.registry import TASKS


def schema(after: str = "is old.", answers: tuple[str, str] = ("The page", "The link"), before: str = "It says that") -> str:
    given = "".join(f"<answer>{answer}</answer>" for answer in answers)
    text = f"<text><txt1>{before}</txt1><pron>it</pron><txt2>{after}</txt2></text>"
    return f"<c><schema>{text}<answers>{given}</answers><correctAnswer>A</correctAnswer></schema></c>"


def hellaswag(**changes: Any) -> str:
    record = {"activity_label": "X", "ctx_a": "The page", "ctx_b": "it", "endings": ["goes.", "is.", "ends.", "was."], "label": 0}
    return json.dumps(record | changes)


def questions(*answers: Any) -> str:
    good = [["a page"]] * 6
    return "\n".join(json.dumps({"question": "who", "answer": answer}) for answer in [*good, *answers])


def story(**changes: Any) -> str:
    turn = [{"input_text": "who"}]
    return json.dumps({"data": [{"story": "a page", "questions": turn, "answers": turn} | changes]})


CASES = (
    ("lambada", json.dumps({"text": "a"}), "no word before its last"),
    ("lambada", json.dumps({"text": "Hello"}), "no word before its last"),
    ("lambada", json.dumps({"text": " \n"}), "no word before its last"),
    ("lambada", json.dumps({"text": "two words"}) + "\n" + json.dumps({"text": "one "}), "passage 2"),
    ("hellaswag", hellaswag(endings=["goes on.", "[step]", "is.", "ends."]), "ending 1"),
    ("hellaswag", hellaswag(endings=["goes on.", "is.", "ends.", ""]), "ending 3"),
    ("hellaswag", hellaswag(endings=["goes on.", 7, "is.", "ends."]), "ending 1"),
    ("hellaswag", hellaswag(endings=[]), "no label"),
    ("winograd", schema(after=""), "text after it"),
    ("winograd", schema(answers=("The page", " ")), "two answers"),
    ("winograd", schema(after="is " + "very " * 4000 + "old."), "the network's context holds"),
    ("winograd", "<c></c>", "no example"),
    ("natural_questions", questions([]), "question 7"),
    ("natural_questions", questions([None]), "question 7"),
    ("coqa", '{"data": 5}', "not the JSON of CoQA"),
    ("coqa", '{"data": ["text"]}', "story 1"),
    ("coqa", story(additional_answers=[]), "story 1"),
    ("coqa", '{"data": []}', "no example"),
)


@pytest.mark.parametrize(("task", "text", "line"), CASES, ids=[f"{task}-{line}-{n}" for n, (task, _, line) in enumerate(CASES)])
def test_an_example_without_text_is_named(task: str, text: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(InputError, match=line):
        TASKS[task].run(Candidate(uniform(), ByteTokenizer()), [path])


@pytest.mark.parametrize("task", ["wikitext2", "ptb", "lm1b"])
def test_a_limit_that_leaves_no_word_is_named(task: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(" \n = A page = \n \n The page . \n" if task == "wikitext2" else " \n a page \n")
    with pytest.raises(InputError, match="raise --limit"):
        TASKS[task].run(Candidate(uniform(), ByteTokenizer(), limit=1), [path])


def test_a_stride_longer_than_the_window_is_the_window_in_every_task(tmp_path: Path) -> None:
    candidate = Candidate(uniform(), ByteTokenizer(), strides=(1 << 20, candidate_window() + 1))
    folder = write_tokens(tmp_path / "tokens", ("a page " * 40, "links of the page"), ByteTokenizer())
    assert {result.stride_tokens for result in TASKS["held_out"].run(candidate, [folder])} - {None} == {candidate.window_tokens}
    path = tmp_path / "file"
    path.write_text(" = A page = \n The page . \n")
    assert {result.stride_tokens for result in TASKS["wikitext2"].run(candidate, [path])} == {candidate.window_tokens}


def candidate_window() -> int:
    return Candidate(uniform(), ByteTokenizer()).window_tokens
