"""Children's Book Test: which of ten words fills the blank in the sentence after a passage of twenty.

The paper: "we compute the probability of each choice and the rest of the sentence conditioned on this choice" (section 3.2).
It uses the validation split because a book of the test split is in WebText.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tokenizer.errors import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.results import Result, percent
from trainer.evals.scoring.choices import is_lowest, split_common_prefix
from trainer.evals.scoring.scorer import Scorer
from trainer.evals.task import PublishedFile, Task
from trainer.evals.text.detokenizers import CHILDRENS_BOOKS, Detokenizer
from trainer.evals.text.files import read_lines

BLANK = "XXXXX"
SENTENCES = 21
ADDRESS = "http://www.thespermwhale.com/jaseweston/babi/CBTest.tgz"
ARCHIVE = "archive of 120,547,669 bytes, sha256 932df0cadc1337b2a12b4c696b1041c1d1c6d4b6bd319874c6288f02e4a61e92"


@dataclass(frozen=True, slots=True)
class ClozeQuestion:
    """Twenty sentences, the sentence with the blank, the choices, and the index of the correct choice."""

    story: tuple[str, ...]
    query: str
    choices: tuple[str, ...]
    answer: int


def read_questions(path: Path) -> Iterator[ClozeQuestion]:
    """Read the file as published. Raises InputError for the first malformed line."""
    story: list[str] = []
    for number, line in read_lines(path):
        index, _, rest = line.partition(" ")
        if index != str(len(story) + 1):
            raise InputError(f"{path}, line {number}: expected sentence {len(story) + 1}, not '{index}'")
        if len(story) + 1 < SENTENCES:
            story.append(rest)
            continue
        yield _question(path, number, tuple(story), rest)
        story = []
    if story:
        raise InputError(f"{path}: ends in the middle of a story, after sentence {len(story)}")


def _question(path: Path, number: int, story: tuple[str, ...], line: str) -> ClozeQuestion:
    parts = line.split("\t")
    choices = tuple(parts[3].split("|")) if len(parts) == 4 else ()
    if BLANK not in parts[0] or parts[1] not in choices:
        raise InputError(f"{path}, line {number}: expected 'sentence with {BLANK}, answer, nothing, choices', separated by tabs")
    return ClozeQuestion(story, parts[0], choices, choices.index(parts[1]))


def run(candidate: Candidate, paths: list[Path], task: str) -> list[Result]:
    """Accuracy on the detokenized text and on the text as published."""
    questions = list(read_questions(paths[0]))[: candidate.limit]
    tokens = (token for q in questions for line in (*q.story, q.query, *q.choices) for token in line.split(" "))
    detokenizer = Detokenizer(CHILDRENS_BOOKS, tokens)
    return [_accuracy(candidate, questions, task, detokenizer), _accuracy(candidate, questions, task, None)]


def _accuracy(candidate: Candidate, questions: list[ClozeQuestion], task: str, detokenizer: Detokenizer | None) -> Result:
    scorer = Scorer(candidate.model, candidate.batch_tokens, predict=False)
    examples = (split_common_prefix(_rows(candidate, question, detokenizer)) for question in questions)
    hits = [
        is_lowest([s.total for s in scores], q.answer)
        for q, scores in zip(questions, scorer.score_endings(examples), strict=True)
    ]
    value, error = percent(hits)
    return Result(
        task=task,
        metric="accuracy, %",
        value=value,
        standard_error=error,
        examples=len(hits),
        protocol="the choice and the rest of its sentence, after the twenty sentences",
        normaliser="question",
        detokeniser="none" if detokenizer is None else detokenizer.name,
        row=task if detokenizer else None,
    )


def _rows(candidate: Candidate, question: ClozeQuestion, detokenizer: Detokenizer | None) -> list[list[int]]:
    """Ids of the whole passage with each choice in the blank."""
    rows = []
    for choice in question.choices:
        lines = (*question.story, question.query.replace(BLANK, choice))
        texts = lines if detokenizer is None else tuple(detokenizer.join(line) for line in lines)
        rows.append(candidate.stream(" ".join(texts)))
    return rows


def _task(name: str, code: str, kind: str) -> Task:
    source = PublishedFile(
        (f"cbtest_{code}_valid_2000ex.txt", f"cbtest_{code}_valid*.txt"),
        ADDRESS,
        note="in CBTest/data/ of the archive",
        archive=ARCHIVE,
    )
    return Task(name, f"Children's Book Test, {kind}, accuracy on the validation split", (source,), partial(run, task=name))


TASKS = (_task("cbt_cn", "CN", "common nouns"), _task("cbt_ne", "NE", "named entities"))
