"""Summaries of CNN and Daily Mail articles after the hint "TL;DR:" (section 3.6): ROUGE.

A summary is the first three sentences of 100 tokens, each sampled from the two most likely tokens.
"""

from pathlib import Path

from trainer.evals.candidate import Candidate
from trainer.evals.metrics.rouge import rouge_l, rouge_n
from trainer.evals.results import Result, mean
from trainer.evals.scoring.generation import continue_prompts
from trainer.evals.task import PublishedFile, Task
from trainer.evals.text.files import read_records
from trainer.evals.text.sentences import first_sentences

HINT = "\nTL;DR:"
NEW_TOKENS = 100
TOP_K = 2
SENTENCES = 3


def run(candidate: Candidate, paths: list[Path]) -> list[Result]:
    """ROUGE of summaries with and without the hint, and of the first three sentences of the article."""
    records = read_records(paths[0], article=str, highlights=str)[: candidate.limit]
    articles, references = [r["article"] for r in records], [r["highlights"] for r in records]
    results = []
    for name, hint, row in (("after TL;DR:", HINT, "GPT-2 TL;DR:"), ("without a hint", "\n", "GPT-2 no hint")):
        prompts = [_prompt(candidate, article, hint) for article in articles]
        summaries = continue_prompts(candidate, prompts, NEW_TOKENS, top_k=TOP_K)
        protocol = f"{name}, {NEW_TOKENS} tokens from the {TOP_K} likeliest, first {SENTENCES} sentences"
        results += _rouge([first_sentences(text, SENTENCES) for text in summaries], references, protocol, row)
    lead = [first_sentences(article, SENTENCES) for article in articles]
    return results + _rouge(lead, references, "no model: the article's first 3 sentences", "Lede-3")


def _prompt(candidate: Candidate, article: str, hint: str) -> list[int]:
    """Article and hint as ids. A long article loses its end, since news puts the most important first."""
    end = list(candidate.tokenizer.encode(hint))
    room = candidate.model.context_tokens - NEW_TOKENS - len(end)
    return [*candidate.tokenizer.encode(article)[:room], *end]


def _rouge(texts: list[str], references: list[str], protocol: str, row: str) -> list[Result]:
    pairs = list(zip(texts, references, strict=True))
    scores = {
        "ROUGE-1": [100 * rouge_n(*pair, 1) for pair in pairs],
        "ROUGE-2": [100 * rouge_n(*pair, 2) for pair in pairs],
        "ROUGE-L": [100 * rouge_l(*pair) for pair in pairs],
    }
    scores["ROUGE, mean of three"] = [sum(three) / 3 for three in zip(*scores.values(), strict=True)]
    return [
        Result(
            "summaries",
            metric,
            *mean(values),
            len(values),
            protocol,
            "article; F1 without stemming",
            row=f"summaries {row} {metric}",
        )
        for metric, values in scores.items()
    ]


TASKS = (
    Task(
        "summaries",
        "CNN and Daily Mail, ROUGE of summaries",
        (
            PublishedFile(
                ("cnn_dailymail_test.jsonl", "cnn_dailymail*.jsonl"),
                "https://github.com/abisee/cnn-dailymail",
                note="one JSON record per line: article, highlights (the non-anonymised test split, 11,490 articles)",
                archive="cnn_stories.tgz, 158,577,824 bytes, sha256 e8fbc0027e54e0a916abd9c969eb35f708ed1467d7ef4e3b17a56739d65cb200; "
                "dailymail_stories.tgz, 375,893,739 bytes, sha256 ad69010002210b7c406718248ee66e65868b9f6820f163aa966369878d14147e",
            ),
        ),
        run,
        new_tokens=NEW_TOKENS,
    ),
)
