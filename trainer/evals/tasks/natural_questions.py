"""Natural Questions, closed book: exact match of the text after "A:", with example pairs in the prompt (section 3.8)."""

from pathlib import Path

from tokenizer.errors import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.metrics.answers import exact_match
from trainer.evals.results import Result, percent
from trainer.evals.scoring.generation import continue_prompts
from trainer.evals.task import PublishedFile, Task
from trainer.evals.text.files import read_records

EXAMPLES = 5
NEW_TOKENS = 32


def run(candidate: Candidate, paths: list[Path]) -> list[Result]:
    """Exact match on all questions but the file's first ones, which are the examples of the prompt."""
    records = read_records(paths[0], question=str, answer=list)
    for number, record in enumerate(records, 1):
        if not record["answer"] or not all(isinstance(answer, str) for answer in record["answer"]):
            raise InputError(f"{paths[0]}, question {number}: 'answer' must list texts, at least one")
    examples, questions = records[:EXAMPLES], records[EXAMPLES:][: candidate.limit]
    if not questions:
        raise InputError(f"{paths[0]}: {len(records)} questions; the task needs at least {EXAMPLES + 1}")
    examples_text = "".join(f"Q: {r['question']}?\nA: {r['answer'][0]}\n\n" for r in examples)
    prompts = [list(candidate.tokenizer.encode(f"{examples_text}Q: {r['question']}?\nA:")) for r in questions]
    answers = continue_prompts(candidate, prompts, NEW_TOKENS, stop="\n")
    hits = [exact_match(text, record["answer"]) for text, record in zip(answers, questions, strict=True)]
    value, error = percent(hits)
    return [
        Result(
            task="natural_questions",
            metric="exact match, %",
            value=value,
            standard_error=error,
            examples=len(hits),
            protocol=f"greedy up to the line's end, after the file's first {EXAMPLES} questions with their answers",
            normaliser="question; SQuAD's normalisation of answers",
            row="natural_questions",
        )
    ]


TASKS = (
    Task(
        "natural_questions",
        "Natural Questions (open), exact match",
        (
            PublishedFile(
                ("NQ-open.dev.jsonl", "NQ-open.dev*.jsonl"),
                "https://github.com/google-research-datasets/natural-questions, nq_open/NQ-open.dev.jsonl",
                391_316,
                "f15567f38099f3615f5b8a685c0aef449c11ad90d3da3735e8d1b98115b40616",
                note="3,610 questions",
            ),
        ),
        run,
        new_tokens=NEW_TOKENS,
    ),
)
