"""WMT-14 English to French and French to English: BLEU (sacrebleu) of greedy translations (section 3.7).

The prompt holds example pairs "english sentence = french sentence".
"""

import re
from functools import partial
from pathlib import Path

from sacrebleu.metrics.bleu import BLEU

from tokenizer.errors import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.results import Result
from trainer.evals.scoring.generation import continue_prompts
from trainer.evals.task import PublishedFile, Task
from trainer.evals.text.files import read_text
from trainer.evals.text.sentences import first_sentences

EXAMPLES = 5
NEW_TOKENS = 100
ADDRESS = "https://www.statmt.org/wmt14/test-full.tgz"
ARCHIVE = "archive with md5 a8cd784e006feb32ac6f3d9ec7eb389a (sacrebleu's pin)"
_SEGMENT = re.compile(r"<seg[^>]*>(.*?)</seg>", re.DOTALL)
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}


def read_sentences(path: Path) -> list[str]:
    """Return the segments of an SGML file as published, or the lines of a plain text file."""
    text = read_text(path)
    if path.suffix != ".sgm":
        return text.rstrip("\n").split("\n")
    segments = [" ".join(segment.split()) for segment in _SEGMENT.findall(text)]
    for entity, character in _ENTITIES.items():
        segments = [segment.replace(entity, character) for segment in segments]
    return segments


def run(candidate: Candidate, paths: list[Path], task: str) -> list[Result]:
    """BLEU on all pairs but the files' first ones, which are the examples of the prompt."""
    pairs = _pairs(paths)
    examples, tests = pairs[:EXAMPLES], pairs[EXAMPLES:][: candidate.limit]
    examples_text = "".join(f"{source} = {target}\n" for source, target in examples)
    prompts = [list(candidate.tokenizer.encode(f"{examples_text}{source} =")) for source, _ in tests]
    texts = continue_prompts(candidate, prompts, NEW_TOKENS, stop="\n")
    bleu = BLEU()
    score = bleu.corpus_score([first_sentences(text, 1) for text in texts], [[target for _, target in tests]])
    return [
        Result(
            task=task,
            metric="BLEU",
            value=score.score,
            standard_error=None,
            examples=len(tests),
            protocol=f"greedy, first sentence, after {EXAMPLES} example pairs; {bleu.get_signature()}",
            normaliser="corpus",
            row=task,
        )
    ]


def _pairs(paths: list[Path]) -> list[tuple[str, str]]:
    source, target = (read_sentences(path) for path in paths)
    if len(source) != len(target):
        raise InputError(
            f"{paths[0]} and {paths[1]}: {len(source)} and {len(target)} sentences; the files must be translations of each other"
        )
    if len(source) <= EXAMPLES:
        raise InputError(f"{paths[0]}: {len(source)} sentences; the task needs at least {EXAMPLES + 1}")
    return list(zip(source, target, strict=True))


def _side(role: str, language: str, size: int, sha256: str) -> PublishedFile:
    names = (f"newstest2014-fren-{role}.{language}.sgm", f"newstest2014-fren-*.{language}.sgm", f"newstest2014*.{language}")
    return PublishedFile(names, ADDRESS, size, sha256, note="3,003 sentences", archive=ARCHIVE)


FILES = {
    "en": (
        _side("src", "en", 441_845, "5521ed9b1d07763c7e8d7ddfc0fda269cd114612a6283bd3836979ea4dd10a26"),
        _side("ref", "fr", 514_587, "c57025c8a338c642fe3ad0206ddc75d258a5584e1d470b75f37af2fb666d7e93"),
    ),
    "fr": (
        _side("src", "fr", 512_462, "31f98dd65e89ee6d7c3de9b72709a7e4d3f28171e8c2a81802e11cf6b36f25ed"),
        _side("ref", "en", 443_970, "c73727c954e92396eb3eed1b2730804a77130c1c3a8bc6a3f5646766fc92a8eb"),
    ),
}
TASKS = (
    Task(
        "translation_en_fr",
        "WMT-14 English to French, BLEU",
        FILES["en"],
        partial(run, task="translation_en_fr"),
        new_tokens=NEW_TOKENS,
    ),
    Task(
        "translation_fr_en",
        "WMT-14 French to English, BLEU",
        FILES["fr"],
        partial(run, task="translation_fr_en"),
        new_tokens=NEW_TOKENS,
    ),
)
