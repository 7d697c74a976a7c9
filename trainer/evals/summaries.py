"""Summaries of CNN and Daily Mail articles, induced by "TL;DR:" (section 3.6): three sentences of 100 tokens from the two likeliest."""

from pathlib import Path

from trainer.evals.candidate import Candidate
from trainer.evals.files import read_records
from trainer.evals.results import Result, mean
from trainer.evals.rouge import rouge_l, rouge_n
from trainer.evals.task import Source, Task
from trainer.evals.writing import continuations, sentences

HINT = "\nTL;DR:"
NEW_TOKENS = 100
TOP_K = 2
SENTENCES = 3


def run(candidate: Candidate, paths: list[Path]) -> list[Result]:
    """ROUGE with the hint, without it, and of the article's own first three sentences."""
    records = read_records(paths[0], article=str, highlights=str)[: candidate.limit]
    articles, truths = [r["article"] for r in records], [r["highlights"] for r in records]
    results = []
    for name, hint in (("after TL;DR:", HINT), ("without a hint", "\n")):
        prompts = [_prompt(candidate, article, hint) for article in articles]
        written = continuations(candidate, prompts, NEW_TOKENS, top_k=TOP_K)
        protocol = f"{name}, {NEW_TOKENS} tokens from the {TOP_K} likeliest, first {SENTENCES} sentences"
        results += _rouge([sentences(text, SENTENCES) for text in written], truths, protocol, in_paper=hint == HINT)
    lead = [sentences(article, SENTENCES) for article in articles]
    return results + _rouge(lead, truths, "no model: the article's first 3 sentences", in_paper=False)


def _prompt(candidate: Candidate, article: str, hint: str) -> list[int]:
    """The article's beginning where it is too long, since news tells the most there, and the whole hint."""
    end = list(candidate.tokenizer.encode(hint))
    room = candidate.model.context_tokens - NEW_TOKENS - len(end)
    return [*candidate.tokenizer.encode(article)[:room], *end]


def _rouge(texts: list[str], truths: list[str], protocol: str, *, in_paper: bool) -> list[Result]:
    pairs = list(zip(texts, truths, strict=True))
    scores = {
        ("summaries_rouge1", "ROUGE-1"): [100 * rouge_n(*pair, 1) for pair in pairs],
        ("summaries_rouge2", "ROUGE-2"): [100 * rouge_n(*pair, 2) for pair in pairs],
        ("summaries_rougel", "ROUGE-L"): [100 * rouge_l(*pair) for pair in pairs],
    }
    scores["summaries_average", "ROUGE, mean of three"] = [sum(three) / 3 for three in zip(*scores.values(), strict=True)]
    return [
        Result(
            "summaries",
            metric,
            *mean(values),
            len(values),
            protocol,
            "article; F1 without stemming",
            row=row if in_paper else None,
        )
        for (row, metric), values in scores.items()
    ]


TASK = Task(
    "summaries",
    "CNN and Daily Mail, ROUGE of summaries",
    (
        Source(
            ("cnn_dailymail_test.jsonl", "cnn_dailymail*.jsonl"),
            "https://github.com/abisee/cnn-dailymail",
            note="one record a line: article, highlights (the non-anonymised test split, 11,490 articles)",
        ),
    ),
    run,
    new_tokens=NEW_TOKENS,
)
