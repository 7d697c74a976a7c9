"""Winograd Schema Challenge: which of two candidates a pronoun refers to.

Partial scoring is the likelihood of the text after the substituted candidate, full scoring the likelihood of the whole
sentence (Trinh and Le, 2018). Publications usually report the first 273 schemas of the collection.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tokenizer.errors import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.results import Result, percent
from trainer.evals.scoring.choices import is_lowest
from trainer.evals.scoring.scorer import Request, Scorer
from trainer.evals.task import PublishedFile, Task

USUAL_SCHEMAS = 273
POSSESSIVES = frozenset({"my", "his", "her", "our", "their"})
ARTICLES = frozenset({"A", "An", "The", "She", "He", "It", "They", "My", "His", "Her", "Their"})


@dataclass(frozen=True, slots=True)
class Schema:
    """The text before and after a pronoun, the two candidates as written in its place, and the index of the correct one."""

    before: str
    after: str
    candidates: tuple[str, str]
    answer: int

    def sentence(self, candidate: int) -> str:
        """Sentence with the candidate in place of the pronoun."""
        return self.beginning(candidate) + self.after

    def beginning(self, candidate: int) -> str:
        """Sentence up to the end of the candidate."""
        return f"{self.before} {self.candidates[candidate]}".strip()


def read_schemas(path: Path) -> list[Schema]:
    """Read the collection as published. Raises InputError with the number of a malformed schema."""
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314 - the user names the file; expat resolves no external entity
    except ElementTree.ParseError as error:
        raise InputError(f"{path}, line {error.position[0]}: not XML ({error})") from error
    return [_schema(path, number, node) for number, node in enumerate(root.iter("schema"), 1)]


def _schema(path: Path, number: int, node: ElementTree.Element) -> Schema:
    texts = [_clean(node.findtext(f"text/{name}")) for name in ("txt1", "pron", "txt2")]
    answers = [_clean(answer.text) for answer in node.iterfind("answers/answer")]
    letter = _clean(node.findtext("correctAnswer")).strip(". ")
    if len(answers) != 2 or not all(answers) or letter not in ("A", "B") or not all(texts[1:]):
        raise InputError(
            f"{path}, schema {number}: needs a pronoun, text after it, two answers, and A or B as the correct answer"
        )
    before, pronoun, after = texts
    rest = after if not after or after[0] in ".,;:!?'" else f" {after}"
    first, second = (_as_written(answer, pronoun, before) for answer in answers)
    return Schema(before, rest, (first, second), "AB".index(letter))


def _as_written(answer: str, pronoun: str, before: str) -> str:
    """Answer as written in place of the pronoun: with 's for a possessive, its article in lower case inside a sentence.

    lm-evaluation-harness substitutes in the same way.
    """
    word = f"{answer}'s" if pronoun.lower() in POSSESSIVES else answer
    starts_sentence = not before or before.endswith(".")
    first = word.split(" ", 1)[0]
    return word if starts_sentence or first not in ARTICLES else word[0].lower() + word[1:]


def run(candidate: Candidate, paths: list[Path]) -> list[Result]:
    """Accuracy by partial and full scoring, on the usual 273 schemas and on the whole collection."""
    schemas = read_schemas(paths[0])[: candidate.limit]
    partial, full = (hits(candidate, schemas, whole=whole) for whole in (False, True))
    usual = min(len(schemas), USUAL_SCHEMAS)
    results = [_result(partial[:usual], "partial", row="winograd"), _result(full[:usual], "full")]
    if len(schemas) > usual:
        results += [_result(partial, "partial"), _result(full, "full")]
    return results


def hits(candidate: Candidate, schemas: Sequence[Schema], *, whole: bool) -> list[bool]:
    """For each schema, whether the correct candidate costs less, in the whole sentence or in the text after the candidate."""
    requests = [_request(candidate, schema, index, whole=whole) for schema in schemas for index in (0, 1)]
    costs = [score.total for score in Scorer(candidate.model, candidate.batch_tokens, predict=False).score(requests)]
    return [is_lowest(costs[2 * i : 2 * i + 2], schema.answer) for i, schema in enumerate(schemas)]


def _request(candidate: Candidate, schema: Schema, index: int, *, whole: bool) -> Request:
    if whole:
        return Request(candidate.stream(schema.sentence(index)), 1)
    beginning = candidate.tokenizer.encode(schema.beginning(index))
    return Request([*beginning, *candidate.tokenizer.encode(schema.after)], len(beginning))


def _clean(text: str | None) -> str:
    return " ".join((text or "").split())


def _result(hits: list[bool], scoring: str, row: str | None = None) -> Result:
    value, error = percent(hits)
    scope = "what follows the candidate" if scoring == "partial" else "the whole sentence after an end of text"
    return Result(
        task="winograd",
        metric="accuracy, %",
        value=value,
        standard_error=error,
        examples=len(hits),
        protocol=f"{scoring} scoring: likelihood of {scope}; {len(hits)} schemas",
        normaliser="schema",
        row=row,
    )


TASKS = (
    Task(
        "winograd",
        "Winograd Schema Challenge, accuracy",
        (
            PublishedFile(
                ("WSCollection.xml", "WSCollection*.xml"),
                "https://cs.nyu.edu/~davise/papers/WinogradSchemas/WSCollection.xml",
                113_073,
                "8d72fe16331cfcddfc2f8ec6f87c5a07e186f913e023705a998a5cc6011994e4",
                note="285 schemas, of which the first 273 are reported; hash of a copy in a public repository",
            ),
        ),
        run,
    ),
)
