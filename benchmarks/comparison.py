"""Is `webtext-train compare` honest, and does it see what is there? On the documents of a finished corpus.

    python benchmarks/comparison.py halves CORPUS --work DIR      # two halves by hash, 40 times: rarely told apart
    python benchmarks/comparison.py harmed CORPUS --work DIR      # words shuffled, documents three times, boilerplate left in
    python benchmarks/comparison.py recipes DATA --work DIR       # de-duplication on and off, extractors, boilerplate, on real pages

CORPUS is a folder of token shards with its tokenizer, or a .jsonl file with a text per line; DATA is the folder of `real_pages.py`.
With `--pages DATA`, the boilerplate of harmed corpora is that of real pages. Every comparison is the command itself, on corpora
written for it. What is finished stays: the same command goes on.
"""

import argparse
import hashlib
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import lxml.etree
import lxml.html
import numpy as np
import numpy.typing as npt
import real_pages

from tokenizer.bpe import train as train_tokenizer
from tokenizer.codec import Tokenizer
from tokenizer.pre_tokens import pre_tokenize
from tokenizer.shards import Header, Manifest, ShardEntry, ShardWriter, SplitEntry, TokenBatch, sha256_of
from trainer.cli import main as webtext_train

VOCABULARY = 1024
HELD_OUT_DOCUMENTS, HELD_OUT_CHARACTERS = 200, 2_000
LONGEST_CHARACTERS = 8_000
"""The demo's corpus has pages of a megabyte: with them, the noise is that of the few documents that a run draws."""
BATCH = ("--context=64", "--batch-tokens=1024", "--micro-batch=16")
NETWORKS = {
    "smallest": ("--layers=1", "--heads=1", "--width=32", *BATCH, "--learning-rate=1e-2"),
    "small": (
        "--layers=2",
        "--heads=2",
        "--width=64",
        *BATCH,
        "--learning-rate=3e-3",
    ),  # at 1e-2 some of a million tokens diverge
    "modern": (
        *("--recipe=modern", "--layers=2", "--heads=2", "--width=64", "--learning-rate=1e-2", "--no-compile"),
        *("--context=128", "--batch-tokens=2048", "--micro-batch=16"),
    ),  # leaves the plateau of token frequencies within 40,000 tokens, each seed at nearly the same time
}
SHUFFLED_WORDS = 0.3
HIDDEN = ("script", "style", "noscript", "template", "svg")
SURE_CHARACTERS = 40
FURNITURE = (
    "Home About us Contact Archive Subscribe to our newsletter Log in Register Search",
    "Share this: Facebook Twitter Reddit E-mail Print Like this: Like Loading...",
    "We use cookies to give you the best experience on our website. Accept Read more",
    "Related articles You may also like Previous post Next post Leave a comment Cancel reply",
    "Copyright All rights reserved Terms of use Privacy policy Powered by WordPress",
)


def texts_of(source: Path) -> list[str]:
    """The beginnings of all documents of a .jsonl file, or of a folder of token shards, in the order of their hashes; each once."""
    if source.is_file():
        found = {json.loads(line)["text"][:LONGEST_CHARACTERS] for line in source.read_text(encoding="utf-8").splitlines()}
    else:
        manifest, tokenizer = Manifest.load(source), Tokenizer.load(_tokenizer_folder(source))
        shards = [shard for split in manifest.splits for shard in manifest.open(split)]
        found = {tokenizer.decode(tokens[:-1])[:LONGEST_CHARACTERS] for shard in shards for _, tokens in shard.documents()}
    return sorted(found, key=_digest)


def _tokenizer_folder(folder: Path) -> Path:
    beside = folder.parent / "vocabulary"
    return beside if beside.exists() else folder


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def small_tokenizer(texts: Sequence[str]) -> Tokenizer:
    """A vocabulary for small networks, from a tenth of the texts."""
    counts: Counter[str] = Counter()
    for text in texts[::10]:
        counts.update(pre_tokenize(text))
    return train_tokenizer(counts, VOCABULARY)


def write_corpus(folder: Path, texts: Sequence[str], tokenizer: Tokenizer, origins: Sequence[str] | None = None) -> Path:
    """A folder of token shards with all texts in the training split.

    A document's id is that of its origin, the text before it was harmed: so that a seed draws the same documents of each corpus.
    """
    folder.mkdir(parents=True, exist_ok=True)
    documents = [_tokens_of(text, tokenizer) for text in texts]
    offsets = np.cumsum([0, *map(len, documents)])
    ids = np.frombuffer(b"".join(map(_digest, origins or texts)), np.uint8).reshape(-1, 16)
    header = Header("train", 0, 1, len(texts), int(offsets[-1]), tokenizer.sha256, tokenizer.vocab_size, tokenizer.eot_id)
    path = folder / header.name
    with path.open("wb") as sink:
        writer = ShardWriter(sink, header)
        writer.write(TokenBatch(np.concatenate(documents), offsets, ids))
        writer.close()
    size = sum(len(text.encode()) for text in texts)
    entry = ShardEntry(header.name, len(texts), int(offsets[-1]), path.stat().st_size, sha256_of(path))
    split = SplitEntry(len(texts), int(offsets[-1]), size, (entry,))
    Manifest(str(folder), tokenizer.sha256, tokenizer.vocab_size, tokenizer.eot_id, {"train": split}).save()
    tokenizer.save(folder)
    return folder


@cache
def _tokens_of(text: str, tokenizer: Tokenizer) -> npt.NDArray[np.uint16]:
    """A document's tokens; kept, since two halves of a corpus are cut forty times."""
    return np.array([*tokenizer.encode(text), tokenizer.eot_id], np.uint16)


def shuffled(text: str) -> str:
    """The text with SHUFFLED_WORDS of its words in each other's places."""
    draw, words = random.Random(len(text)), text.split(" ")
    places = [i for i in range(len(words)) if draw.random() < SHUFFLED_WORDS]
    moved = [words[i] for i in places]
    draw.shuffle(moved)
    for place, word in zip(places, moved, strict=True):
        words[place] = word
    return " ".join(words)


def boilerplate_of(data: Path) -> list[tuple[str, str]]:
    """What stands before and after the main text of the English pages in html/ whose whole text is known, in the order of names."""
    rows = [json.loads(line) for name in ("gold", "index") for line in (data / "html" / f"{name}.jsonl").read_text().splitlines()]
    english = {row["file"] for row in rows if row.get("guess_lang") == "en"}
    gold = {row["file"]: " ".join(row["text"].split()) for row in rows if row.get("text") and row["file"] in english}
    pages = {name: body for path in (data / "html").glob("*.tar.xz") for name, body in real_pages.members(path) if name in gold}
    return [around for name in sorted(gold) if (around := _around(gold[name], _visible_lines(pages[name]))) is not None]


def _visible_lines(page: bytes) -> list[str]:
    tree = lxml.html.fromstring(page)
    lxml.etree.strip_elements(tree, *HIDDEN, lxml.etree.Comment, with_tail=False)
    lines = (" ".join(line.split()) for line in tree.itertext())
    return [line for line in lines if line]


def _around(gold: str, lines: Sequence[str]) -> tuple[str, str] | None:
    """The lines before and after the main text, which begins and ends with a line of some length that the gold text has."""
    inside = [i for i, line in enumerate(lines) if len(line) >= SURE_CHARACTERS and line in gold]
    if not inside:
        return None
    before, after = lines[: inside[0]], lines[inside[-1] + 1 :]
    return "\n".join(line for line in before if line not in gold), "\n".join(line for line in after if line not in gold)


def furnished(text: str, boilerplate: Sequence[tuple[str, str]]) -> str:
    """The text between the boilerplate of a page, as an extractor gives it that leaves everything in."""
    before, after = random.Random(_digest(text)).choice(boilerplate)
    return f"{before}\n{text}\n{after}"


def three_times(texts: Sequence[str]) -> list[str]:
    """Every document three times, in as many documents as there were."""
    third = list(texts[: -(-len(texts) // 3)])
    return [*third, *third, *third]


def compare(corpora: Sequence[str], held_out: Path, out: Path, tokens: int, more: Sequence[str]) -> dict[str, object]:
    """Run the command; returns its comparison.json."""
    answer = out / "comparison.json"
    if not answer.exists():
        words = ["compare", *corpora, "--out", str(out), "--held-out", str(held_out), f"--tokens={tokens}", *more]
        code = webtext_train(words)
        if code:
            raise SystemExit(f"{' '.join(words)}: exit code {code}")
    body: dict[str, object] = json.loads(answer.read_text())
    return body


def halves(
    texts: Sequence[str], tokenizer: Tokenizer, held_out: Path, arguments: argparse.Namespace
) -> Iterator[dict[str, object]]:
    """Compare two halves of the corpus, another cut each time."""
    flags = [*arguments.network, f"--vocabulary={VOCABULARY}", f"--seeds={arguments.seeds or 3}"]
    for repetition in range(1, arguments.repetitions + 1):
        work = arguments.work / f"halves-{repetition}"
        marks = [hashlib.blake2b(_digest(text) + repetition.to_bytes(4, "little")).digest()[0] & 1 for text in texts]
        folders = [
            write_corpus(work / name, [text for text, mark in zip(texts, marks, strict=True) if mark == half], tokenizer)
            for half, name in enumerate(("one", "other"))
        ]
        body = compare(list(map(str, folders)), held_out, work / "out", arguments.tokens, flags)
        (pair,) = _pairs(body)
        yield _row(pair, body, repetition=repetition)


def harmed(
    texts: Sequence[str], tokenizer: Tokenizer, held_out: Path, arguments: argparse.Namespace
) -> Iterator[dict[str, object]]:
    """Compare the corpus with its harmed forms, with the seeds that the pilot names."""
    boilerplate = boilerplate_of(arguments.pages) if arguments.pages else [(FURNITURE[0], "\n".join(FURNITURE[1:]))]
    originals, repeated = list(texts[: arguments.documents]), three_times(texts[: arguments.documents])
    forms = {
        "whole": (originals, originals),
        "shuffled": ([shuffled(text) for text in originals], originals),
        "three-times": (repeated, repeated),
        "boilerplate": ([furnished(text, boilerplate) for text in originals], originals),
    }
    folders = [str(write_corpus(arguments.work / name, form, tokenizer, origins)) for name, (form, origins) in forms.items()]
    flags = [*arguments.network, f"--vocabulary={VOCABULARY}", f"--detect={arguments.detect}", f"--seeds={arguments.seeds}"]
    body = compare(folders, held_out, arguments.work / "out", arguments.tokens, flags)
    yield from (_row(pair, body) for pair in _pairs(body) if "whole" in (pair["first"], pair["second"]))


def recipes(arguments: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Compare a corpus of real pages with variants that differ in one setting, on WebText's own documents."""
    data = arguments.corpus
    corpora = [str(folder) for folder in real_pages.build(data, arguments.work, arguments.variants).values()]
    flags = [
        *(*arguments.network, f"--vocabulary={real_pages.VOCABULARY}"),
        *(f"--detect={arguments.detect}", f"--seeds={arguments.seeds}"),
    ]
    held_out = data / "webtext" / "webtext.test.sample.jsonl"
    body = compare(corpora, held_out, arguments.work / arguments.out, arguments.tokens, flags)
    yield from (_row(pair, body) for pair in _pairs(body) if "base" in (pair["first"], pair["second"]))


def _pairs(body: dict[str, Any]) -> list[dict[str, Any]]:
    pairs: list[dict[str, Any]] = body["outcome"]["pairs"]
    return pairs


def _row(pair: dict[str, Any], body: dict[str, Any], **more: object) -> dict[str, object]:
    found, outcome = pair["difference"], body["outcome"]
    return {
        **more,
        "first": pair["first"],
        "second": pair["second"],
        "difference": round(found["value"], 5),
        "low": round(found["low"], 5),
        "high": round(found["high"], 5),
        "p": pair["p"],
        "seeds": len(outcome["seeds"]),
        "detectable": round(outcome["detectable"], 5),
        "scores": {each["corpus"]: round(each["bits_per_byte"], 4) for each in outcome["ranking"]},
    }


def _prepared(arguments: argparse.Namespace) -> Iterator[dict[str, object]]:
    """The rows of a comparison of corpora that are made of one corpus' texts."""
    texts = texts_of(arguments.corpus)
    tokenizer = small_tokenizer(texts)
    held_out = arguments.work / "held-out.jsonl"
    beginnings = (text[:HELD_OUT_CHARACTERS] for text in texts[:HELD_OUT_DOCUMENTS])
    held_out.write_text("".join(json.dumps({"text": text}) + "\n" for text in beginnings))
    work = halves if arguments.what == "halves" else harmed
    yield from work(texts[HELD_OUT_DOCUMENTS:], tokenizer, held_out, arguments)


def main() -> int:
    """Print a JSON line per comparison, then how many told their corpora apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("halves", "harmed", "recipes"))
    parser.add_argument("corpus", type=Path, metavar="CORPUS")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--tokens", type=int, default=65_536)
    parser.add_argument("--network", choices=NETWORKS, default="smallest")
    parser.add_argument("--seeds", type=int, default=0, help="runs per corpus; 0: 3 for halves, else as many as a pilot names")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side (default: 1)")
    parser.add_argument("--documents", type=int, default=None, help="training documents of a harmed corpus (default: all)")
    parser.add_argument("--pages", type=Path, default=None, metavar="DATA")
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=real_pages.VARIANTS,
        default=list(real_pages.VARIANTS),
        help="recipes: beside base (default: all)",
    )
    parser.add_argument("--out", default="out", metavar="NAME", help="recipes: folder in DIR of the comparison (default: out)")
    parser.add_argument("--detect", type=float, default=0.02)
    parser.add_argument("--repetitions", type=int, default=40)
    arguments = parser.parse_args()
    arguments.network = (*NETWORKS[arguments.network], f"--jobs={arguments.jobs}")
    arguments.work.mkdir(parents=True, exist_ok=True)
    told = 0
    for count, row in enumerate(recipes(arguments) if arguments.what == "recipes" else _prepared(arguments), 1):
        told += row["p"] <= 0.05  # type: ignore[operator]
        print(json.dumps(row), flush=True)
        print(f"{told} of {count} told apart at the level 0.05", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
