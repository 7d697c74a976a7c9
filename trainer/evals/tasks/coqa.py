"""CoQA: F1 of greedy answers after the story, the conversation so far, and "A:" (section 3.5)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizer.errors import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.metrics.answers import coqa_f1
from trainer.evals.results import Result, mean
from trainer.evals.scoring.generation import continue_prompts
from trainer.evals.task import PublishedFile, Task
from trainer.evals.text.files import read_text

NEW_TOKENS = 48


@dataclass(frozen=True, slots=True)
class Turn:
    """A question as the model sees it, with the story and the conversation before it, and the answers of people."""

    prompt: str
    answers: tuple[str, ...]


def read_turns(path: Path) -> Iterator[Turn]:
    """Read the file as published. Raises InputError with the number of a malformed story."""
    try:
        stories = list(json.loads(read_text(path))["data"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the JSON of CoQA, an object with a list 'data' ({error})") from error
    for number, story in enumerate(stories, 1):
        try:
            yield from _turns(story)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise InputError(f"{path}, story {number}: a question or an answer is missing ({error!r})") from error


def _turns(story: dict[str, Any]) -> Iterator[Turn]:
    """Yield the questions of a story; the conversation before each holds the answers of people, not the model's."""
    people = [story["answers"], *story.get("additional_answers", {}).values()]
    transcript = f"{story['story']}\n\n"
    for index, question in enumerate(story["questions"]):
        transcript += f"Q: {question['input_text']}\nA:"
        answers = tuple(str(person[index]["input_text"]) for person in people)
        yield Turn(transcript, answers)
        transcript += f" {answers[0]}\n"


def run(candidate: Candidate, paths: list[Path]) -> list[Result]:
    """Mean F1 over all questions."""
    turns = list(read_turns(paths[0]))[: candidate.limit]
    prompts = [list(candidate.tokenizer.encode(turn.prompt)) for turn in turns]
    answers = continue_prompts(candidate, prompts, NEW_TOKENS, stop="\n")
    scores = [coqa_f1(text, turn.answers) for text, turn in zip(answers, turns, strict=True)]
    value, error = mean(scores)
    return [
        Result(
            task="coqa",
            metric="F1, %",
            value=100 * value,
            standard_error=None if error is None else 100 * error,
            examples=len(scores),
            protocol="greedy up to the line's end, after the story and the conversation with people's answers",
            normaliser="turn; the best of people's answers, leaving one out",
            row="coqa",
        )
    ]


TASKS = (
    Task(
        "coqa",
        "CoQA, F1 on the development set",
        (
            PublishedFile(
                ("coqa-dev-v1.0.json", "coqa-dev*.json"),
                "https://nlp.stanford.edu/data/coqa/coqa-dev-v1.0.json",
                9_090_845,
                "dfa367a9733ce53222918d0231d9b3bedc2b8ee831a2845f62dfc70701f2540a",
                note="500 stories",
            ),
        ),
        run,
        new_tokens=NEW_TOKENS,
    ),
)
