"""Runs of equal bytes are found wherever they stand, and only they, against a plain search."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tokenizer.codec import Tokenizer
from tokenizer.shards import Manifest
from trainer.compare import contamination
from trainer.compare.contamination import RUN_BYTES, clusters, contained_shares, decoded, run_hashes, sampled

LETTERS = "abcdefghij klmnop\nqrs"


def as_bytes(text: str) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    return np.frombuffer(text.encode(), np.uint8)


def made(size: int, seed: int) -> str:
    return "".join(random.Random(seed).choices(LETTERS, k=size))


def test_equal_runs_have_equal_hashes_wherever_they_stand() -> None:
    run = made(RUN_BYTES, 1)
    hashes = [run_hashes(as_bytes(made(before, 2) + run + made(9, 3)))[before] for before in (0, 1, 7, 64, 333)]
    assert len(set(hashes)) == 1
    text = made(5000, 4)
    distinct = {text[i : i + RUN_BYTES] for i in range(len(text) - RUN_BYTES + 1)}
    assert len(set(run_hashes(as_bytes(text)).tolist())) == len(distinct)
    assert len(run_hashes(as_bytes(made(RUN_BYTES - 1, 5)))) == 0


def test_shares_are_those_of_a_plain_search() -> None:
    corpus = made(20_000, 10)
    texts = [made(600, 20), corpus[100:900], made(300, 21) + corpus[4000:4300], corpus[50 : 50 + RUN_BYTES - 1], ""]

    def plain(text: str) -> float:
        runs = {text[i : i + RUN_BYTES] for i in range(len(text) - RUN_BYTES + 1)}
        runs = {run for run in runs if len(sampled(run_hashes(as_bytes(run))))}
        return sum(run in corpus for run in runs) / len(runs) if runs else 0.0

    found = contained_shares(texts, iter([as_bytes(corpus)]))
    assert found == pytest.approx([plain(text) for text in texts])
    assert found[1] == 1.0
    assert found[0] == 0.0
    assert 0.2 < found[2] < 0.8


def test_no_text_and_no_corpus_are_no_error() -> None:
    assert len(contained_shares([], iter([as_bytes("abc")]))) == 0
    assert contained_shares([made(500, 1)], iter([])).tolist() == [0.0]


def test_the_corpus_is_decoded_whole_across_stretches(
    write_corpus: Callable[..., Path],
    texts: list[str],
    tmp_path: Path,
    byte_tokenizer: Tokenizer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contamination, "CHUNK_TOKENS", 777)
    folder = write_corpus(tmp_path / "tokens", texts[:30], held_out=2)
    shards = Manifest.load(folder).open("train")
    asked = [text for text in texts[:40] if len(text) > 400]
    found = contained_shares(asked, decoded(shards, byte_tokenizer))
    trained = np.array([text in texts[2:30] for text in asked])
    assert (found[trained] == 1).all()
    assert 0 < trained.sum() < len(asked)
    assert found[~trained].min() < 0.5


def test_near_duplicates_and_pages_of_one_site_are_one_cluster() -> None:
    page = made(3000, 1)
    menu = made(900, 2)
    texts = [
        page,
        made(3000, 3),
        page[:1500] + "changed" + page[1500:],
        menu + made(200, 4),
        menu + made(200, 5),
        "short",
        "other",
    ]
    labels = clusters(texts)
    assert labels[0] == labels[2]
    assert labels[3] == labels[4]
    assert len(set(labels.tolist())) == 5
    assert clusters(texts).tolist() == labels.tolist()
    assert len(clusters([])) == 0
