"""Natural Questions, closed book: exact match of what is written after "A:", seeded with example pairs (section 3.8)."""

from pathlib import Path

from trainer.config import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.metrics.answers import exact_match
from trainer.evals.results import Result, percent
from trainer.evals.scoring.generation import continuations
from trainer.evals.task import Source, Task
from trainer.evals.text.files import read_records

EXAMPLES = 5
NEW_TOKENS = 32


def run(candidate: Candidate, paths: list[Path]) -> list[Result]:
    """The file's first questions are the examples; the others are asked."""
    records = read_records(paths[0], question=str, answer=list)
    examples, asked = records[:EXAMPLES], records[EXAMPLES:][: candidate.limit]
    if not asked:
        raise InputError(f"{paths[0]}: {len(records)} questions, at least {EXAMPLES + 1} are needed")
    seed = "".join(f"Q: {r['question']}?\nA: {r['answer'][0]}\n\n" for r in examples)
    prompts = [list(candidate.tokenizer.encode(f"{seed}Q: {r['question']}?\nA:")) for r in asked]
    written = continuations(candidate, prompts, NEW_TOKENS, stop="\n")
    hits = [exact_match(text, record["answer"]) for text, record in zip(written, asked, strict=True)]
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
            Source(
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
