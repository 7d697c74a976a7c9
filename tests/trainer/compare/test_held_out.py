"""Held-out texts from files as people have them, and their bits, against a plain computation."""

import bz2
import gzip
import json
import lzma
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tokenizer.codec import Tokenizer
from tokenizer.errors import InputError
from tokenizer.shards import Manifest
from trainer.compare.held_out import LONGEST_BYTES, from_corpus, from_path
from trainer.compare.score import HeldOutEvaluator, document_bits, text_bytes
from trainer.config import ModelConfig
from trainer.evals.candidate import Network
from trainer.model import GPT

TEXTS = [f"{number} " + "A sentence of a held-out document, long enough to count. " * 6 for number in range(30)]
JSON_LINES = "".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(TEXTS))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", JSON_LINES.encode()),
        ("a.jsonl", b"\xef\xbb\xbf" + JSON_LINES.replace("\n", "\r\n").encode()),
        ("a.jsonl", JSON_LINES.replace("\n", "\n\n").encode()),
        ("a.jsonl", JSON_LINES.replace('"text"', '"content"').encode()),
        ("a.jsonl.gz", gzip.compress(JSON_LINES.encode())),
        ("a.jsonl.bz2", bz2.compress(JSON_LINES.encode())),
        ("a.jsonl.xz", lzma.compress(JSON_LINES.encode())),
        ("a.txt", "<|endoftext|>".join(text.strip() for text in TEXTS).encode()),
        ("a.txt.gz", gzip.compress("<|endoftext|>".join(text.strip() for text in TEXTS).encode())),
        ("a", "\n<|endoftext|>\n".join(text.strip() for text in TEXTS).encode()),
    ],
)
def test_every_spelling_gives_the_same_texts(name: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    held_out = from_path(path, 100)
    assert held_out.name == "a"
    assert sorted(text.strip() for text in held_out.texts) == sorted(text.strip() for text in TEXTS)


def test_a_folder_is_read_whole_and_each_text_counts_once(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("one.jsonl", "deep/two.jsonl"):
        (tmp_path / name).write_text(JSON_LINES)
    assert len(from_path(tmp_path, 100).texts) == len(TEXTS)
    assert len(from_path(tmp_path, 7).texts) == 7


def test_a_long_text_is_cut_into_pieces_that_lose_nothing(tmp_path: Path) -> None:
    paragraphs = [f"Paragraph {i}. " + "Words of it. " * 40 for i in range(60)]
    (tmp_path / "book.txt").write_text("\n\n".join(paragraphs))
    texts = from_path(tmp_path / "book.txt", 1000).texts
    assert len(texts) > 3
    assert sorted("\n\n".join(texts).split("\n\n")) == sorted(paragraphs)


def test_the_choice_does_not_depend_on_the_order_and_long_texts_are_cut(tmp_path: Path) -> None:
    long = "é" * LONGEST_BYTES
    for name, texts in (("a.jsonl", [*TEXTS, long]), ("b.jsonl", [long, *reversed(TEXTS)])):
        (tmp_path / name).write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    first, second = (from_path(tmp_path / name, 12) for name in ("a.jsonl", "b.jsonl"))
    assert first.texts == second.texts
    assert first.sha256 == second.sha256
    cut = [text for text in from_path(tmp_path / "a.jsonl", 100).texts if text.startswith("é")]
    assert [len(text.encode()) for text in cut] == [LONGEST_BYTES]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.jsonl", b"not json\n", "line 1: not JSON"),
        ("a.jsonl", b"[1, 2]\n", "line 1: an object with a field 'text'"),
        ("a.jsonl", b'{"text": 7}\n', "an object with a field 'text'"),
        ("a.jsonl.gz", b"plain", "cannot be read"),
        ("a.txt", b"\xff\xfe\x00", "cannot be read as UTF-8"),
        ("a.txt", b"short", "no text of 200 bytes"),
        ("a.jsonl.xz", lzma.compress(b"x")[:-9], "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(name: str, data: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=says) as raised:
        from_path(tmp_path / name, 10)
    assert name in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_corpus_gives_its_validation_split_without_ends_of_text(
    corpus_folder: Path, texts: list[str], byte_tokenizer: Tokenizer
) -> None:
    held_out = from_corpus("mine", Manifest.load(corpus_folder), byte_tokenizer, 100)
    assert set(held_out.texts) == {text[:LONGEST_BYTES] for text in texts[:4] if len(text) >= 200}


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(3)
    model = GPT(ModelConfig(layers=1, heads=2, width=16, context=24, vocabulary=257))
    model.init_weights(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return Network(model)


def test_bits_are_those_of_a_plain_forward_pass(network: Network, byte_tokenizer: Tokenizer) -> None:
    texts = [
        "short",
        "A text of exactly 24 byte",
        "A longer text that does not fit into a window of the context, and é too.",
        "x",
    ]
    expected = []
    for text in texts:
        ids = [byte_tokenizer.eot_id, *byte_tokenizer.encode(text)]
        nats = 0.0
        for start in range(0, len(ids) - 1, 24):
            stop = min(start + 24, len(ids) - 1)
            window = ids[max(0, stop - 24) : stop + 1]
            with torch.inference_mode():
                logits = network.logits(network.features(torch.tensor([window[:-1]]))[0]).double()
            losses = -torch.log_softmax(logits, 1)[torch.arange(len(window) - 1), torch.tensor(window[1:])]
            nats += float(losses[-(stop - start) :].sum())
        expected.append(nats / math.log(2))
    assert document_bits(network, byte_tokenizer, texts) == pytest.approx(expected, rel=1e-5)
    assert text_bytes(["é", "ab"]).tolist() == [2, 2]


def test_the_curves_score_a_bounded_text_at_the_steps_asked_for(
    network: Network, byte_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text(JSON_LINES)
    held_out = from_path(tmp_path / "a.jsonl", 100)
    evaluator = HeldOutEvaluator((held_out,), byte_tokenizer, "fp32", frozenset({3, 5}), most_bytes=1000)
    assert [step for step in range(8) if evaluator.due(step, last=step == 5)] == [3]
    rows = evaluator.evaluate(network.gpt)
    few = held_out.texts[: int(np.searchsorted(np.cumsum(text_bytes(held_out.texts)), 1000, "right"))]
    assert 1 <= len(few) < len(TEXTS)
    expected = document_bits(network, byte_tokenizer, few).sum() / text_bytes(few).sum()
    assert rows == [{"task": "a", "metric": "bits per byte", "value": pytest.approx(expected), "row": None}]
