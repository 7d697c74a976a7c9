"""The Children's Book Test: which of ten words was left out of the sentence after twenty others.

The paper: "we compute the probability of each choice and the rest of the sentence conditioned on this choice" (section 3.2), on the
validation split, because one of the test split's books is in WebText.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from trainer.config import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.results import Result, percent
from trainer.evals.scoring.choices import is_best, parted
from trainer.evals.scoring.scorer import Scorer
from trainer.evals.task import Source, Task
from trainer.evals.text.detokenizers import CHILDRENS_BOOKS, Detokeniser
from trainer.evals.text.files import read_lines

BLANK = "XXXXX"
SENTENCES = 21
ADDRESS = "http://www.thespermwhale.com/jaseweston/babi/CBTest.tgz"
ARCHIVE = "archive of 120,547,669 bytes, sha256 932df0cadc1337b2a12b4c696b1041c1d1c6d4b6bd319874c6288f02e4a61e92"


@dataclass(frozen=True, slots=True)
class Question:
    """Twenty sentences, the one with the blank, the choices, and the place of the right one among them."""

    story: tuple[str, ...]
    query: str
    choices: tuple[str, ...]
    answer: int


def read_questions(path: Path) -> Iterator[Question]:
    """The file as published. Raises InputError naming the first line that is not as it should be."""
    story: list[str] = []
    for number, line in read_lines(path):
        place, _, rest = line.partition(" ")
        if place != str(len(story) + 1):
            raise InputError(f"{path}, line {number}: sentence {len(story) + 1} should stand here, not '{place}'")
        if len(story) + 1 < SENTENCES:
            story.append(rest)
            continue
        yield _question(path, number, tuple(story), rest)
        story = []
    if story:
        raise InputError(f"{path}: ends in the middle of a story, after sentence {len(story)}")


def _question(path: Path, number: int, story: tuple[str, ...], line: str) -> Question:
    parts = line.split("\t")
    choices = tuple(parts[3].split("|")) if len(parts) == 4 else ()
    if BLANK not in parts[0] or parts[1] not in choices:
        raise InputError(f"{path}, line {number}: not 'sentence with {BLANK}, answer, nothing, choices' between tabs")
    return Question(story, parts[0], choices, choices.index(parts[1]))


def examine(candidate: Candidate, paths: list[Path], task: str) -> list[Result]:
    """Accuracy on the text as it would be written, and as published."""
    questions = list(read_questions(paths[0]))[: candidate.limit]
    tokens = (token for q in questions for line in (*q.story, q.query, *q.choices) for token in line.split(" "))
    detokeniser = Detokeniser(CHILDRENS_BOOKS, tokens)
    return [_accuracy(candidate, questions, task, detokeniser), _accuracy(candidate, questions, task, None)]


def _accuracy(candidate: Candidate, questions: list[Question], task: str, detokeniser: Detokeniser | None) -> Result:
    scorer = Scorer(candidate.model, candidate.batch_tokens, guess=False)
    found = scorer.choices(parted(_rows(candidate, question, detokeniser)) for question in questions)
    hits = [is_best([s.total for s in scores], q.answer) for q, scores in zip(questions, found, strict=True)]
    value, error = percent(hits)
    return Result(
        task=task,
        metric="accuracy, %",
        value=value,
        standard_error=error,
        examples=len(hits),
        protocol="the choice and the rest of its sentence, after the twenty sentences",
        normaliser="question",
        detokeniser="none" if detokeniser is None else detokeniser.name,
        row=task if detokeniser else None,
    )


def _rows(candidate: Candidate, question: Question, detokeniser: Detokeniser | None) -> list[list[int]]:
    """The whole passage with each of the choices in the blank."""
    rows = []
    for choice in question.choices:
        lines = (*question.story, question.query.replace(BLANK, choice))
        written = lines if detokeniser is None else tuple(detokeniser.join(line) for line in lines)
        rows.append(candidate.stream(" ".join(written)))
    return rows


def _task(name: str, kind: str, words: str) -> Task:
    source = Source(
        (f"cbtest_{kind}_valid_2000ex.txt", f"cbtest_{kind}_valid*.txt"), ADDRESS, note="CBTest/data/ in it", archive=ARCHIVE
    )
    return Task(name, f"Children's Book Test, {words}, accuracy on the validation split", (source,), partial(examine, task=name))


TASKS = (_task("cbt_cn", "CN", "common nouns"), _task("cbt_ne", "NE", "named entities"))
