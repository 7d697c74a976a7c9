"""The Winograd Schema Challenge: which of two the pronoun stands for.

Partial scoring is the likelihood of what follows the substituted candidate, full scoring that of the whole sentence (Trinh and Le, 2018).
The first 273 schemas of the collection are those that everybody reports.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from trainer.config import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.results import Result, percent
from trainer.evals.scoring.choices import is_best
from trainer.evals.scoring.scorer import Request, Scorer
from trainer.evals.task import Source, Task

USUAL_SCHEMAS = 273
POSSESSIVES = frozenset({"my", "his", "her", "our", "their"})
ARTICLES = frozenset({"A", "An", "The", "She", "He", "It", "They", "My", "His", "Her", "Their"})


@dataclass(frozen=True, slots=True)
class Schema:
    """A sentence around a pronoun, the two candidates as they would stand in its place, and which is right."""

    before: str
    after: str
    candidates: tuple[str, str]
    answer: int

    def sentence(self, candidate: int) -> str:
        """With the candidate in the pronoun's place."""
        return self.beginning(candidate) + self.after

    def beginning(self, candidate: int) -> str:
        """Up to the end of the candidate."""
        return f"{self.before} {self.candidates[candidate]}".strip()


def read_schemas(path: Path) -> list[Schema]:
    """The collection as published. Raises InputError naming the schema that is not as it should be."""
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314 - a file the user names; expat resolves nothing outside it
    except ElementTree.ParseError as error:
        raise InputError(f"{path}, line {error.position[0]}: not XML ({error})") from error
    return [_schema(path, number, node) for number, node in enumerate(root.iter("schema"), 1)]


def _schema(path: Path, number: int, node: ElementTree.Element) -> Schema:
    texts = [_clean(node.findtext(f"text/{name}")) for name in ("txt1", "pron", "txt2")]
    answers = [_clean(answer.text) for answer in node.iterfind("answers/answer")]
    letter = _clean(node.findtext("correctAnswer")).strip(". ")
    if len(answers) != 2 or letter not in ("A", "B") or not texts[1]:
        raise InputError(f"{path}, schema {number}: needs a pronoun, two answers and A or B as the right one")
    before, pronoun, after = texts
    joined = after if not after or after[0] in ".,;:!?'" else f" {after}"
    first, second = (_in_place(answer, pronoun, before) for answer in answers)
    return Schema(before, joined, (first, second), "AB".index(letter))


def _in_place(answer: str, pronoun: str, before: str) -> str:
    """As lm-evaluation-harness has it: a possessive takes 's, an article inside a sentence is lower-cased."""
    word = f"{answer}'s" if pronoun.lower() in POSSESSIVES else answer
    begins = not before or before.endswith(".")
    first = word.split(" ", 1)[0]
    return word if begins or first not in ARTICLES else word[0].lower() + word[1:]


def run(candidate: Candidate, paths: list[Path]) -> list[Result]:
    """Partial and full scoring, on the usual 273 and on the whole collection."""
    schemas = read_schemas(paths[0])[: candidate.limit]
    partial, full = (hits(candidate, schemas, whole=whole) for whole in (False, True))
    usual = min(len(schemas), USUAL_SCHEMAS)
    results = [_result(partial[:usual], "partial", row="winograd"), _result(full[:usual], "full")]
    if len(schemas) > usual:
        results += [_result(partial, "partial"), _result(full, "full")]
    return results


def hits(candidate: Candidate, schemas: Sequence[Schema], *, whole: bool) -> list[bool]:
    """Whether the right candidate alone costs least, by the whole sentence or by what follows the candidate."""
    requests = [_request(candidate, schema, place, whole=whole) for schema in schemas for place in (0, 1)]
    costs = [score.total for score in Scorer(candidate.model, candidate.batch_tokens, guess=False).score(requests)]
    return [is_best(costs[2 * i : 2 * i + 2], schema.answer) for i, schema in enumerate(schemas)]


def _request(candidate: Candidate, schema: Schema, place: int, *, whole: bool) -> Request:
    if whole:
        return Request(candidate.stream(schema.sentence(place)), 1)
    beginning = candidate.tokenizer.encode(schema.beginning(place))
    return Request([*beginning, *candidate.tokenizer.encode(schema.after)], len(beginning))


def _clean(text: str | None) -> str:
    return " ".join((text or "").split())


def _result(hits: list[bool], scoring: str, row: str | None = None) -> Result:
    value, error = percent(hits)
    what = "what follows the candidate" if scoring == "partial" else "the whole sentence after an end of text"
    return Result(
        task="winograd",
        metric="accuracy, %",
        value=value,
        standard_error=error,
        examples=len(hits),
        protocol=f"{scoring} scoring: likelihood of {what}; {len(hits)} schemas",
        normaliser="schema",
        row=row,
    )


TASKS = (
    Task(
        "winograd",
        "Winograd Schema Challenge, accuracy",
        (
            Source(
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
