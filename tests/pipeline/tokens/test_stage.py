import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora import TOPICS, document_id, documents_folder

from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.storage.manifest import StageManifest
from pipeline.tokens import sorted_runs
from pipeline.tokens.stage import STAGE, TokensSettings
from tokenizer.codec import LIBRARY, TIKTOKEN, Tokenizer
from tokenizer.errors import InputError
from tokenizer.shards import Manifest

SPLIT_SETTINGS = {"validation_share": 0.2, "test_share": 0.1, "shard_tokens": 40_000}


def run(folder: Path, corpus: str, vocabulary: str, engine: Engine, **settings: Any) -> StageManifest:
    return STAGE.run(
        Call({"dedup": corpus, "vocabulary": vocabulary}, str(folder), TokensSettings(**{**SPLIT_SETTINGS, **settings}), engine)
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "run.json"}


def decode_splits(folder: Path) -> dict[str, list[tuple[bytes, str]]]:
    """Id and text of every document, by split, in order."""
    manifest, tokenizer = Manifest.load(folder), Tokenizer.load(folder)
    return {
        split: [(name, tokenizer.decode(ids)) for shard in manifest.open(split) for name, ids in shard.documents()]
        for split in manifest.splits
    }


def test_every_document_is_whole_in_one_split(tmp_path: Path, corpus: str, vocabulary: str, engine: Engine) -> None:
    manifest = run(tmp_path / "t", corpus, vocabulary, engine)
    splits = decode_splits(tmp_path / "t")
    documents = [document for split in splits.values() for document in split]
    assert sorted(text for _, text in documents) == TOPICS
    assert [name.hex() for name, _ in documents] == [document_id(text).hex() for _, text in documents]
    assert set(splits) == {"train", "validation", "test"}
    assert (manifest.books.items_in, manifest.books.items_out, manifest.books.dropped) == (
        len(TOPICS) + 1,
        len(TOPICS),
        {"no_text": 1},
    )


def test_dataset_section_counts_equal_the_shards(tmp_path: Path, corpus: str, vocabulary: str, engine: Engine) -> None:
    run(tmp_path / "t", corpus, vocabulary, engine)
    dataset = Manifest.load(tmp_path / "t")
    tokenizer = Tokenizer.load(vocabulary)
    assert (dataset.tokenizer_sha256, dataset.vocab_size, dataset.eot_id) == (tokenizer.sha256, 1_000, 999)
    assert len(dataset.split("train").shards) > 1
    for name, split in dataset.splits.items():
        shards = dataset.open(name)
        texts = [tokenizer.decode(ids) for shard in shards for _, ids in shard.documents()]
        assert split.documents == len(texts) == sum(e.documents for e in split.shards)
        assert split.text_bytes == sum(len(text.encode()) for text in texts)
        flat = np.concatenate([item.tokens for shard in shards for item in shard.batches])
        assert split.tokens == len(flat)
        assert int(np.count_nonzero(flat == dataset.eot_id)) == split.documents


def test_unigram_entropy_is_that_of_the_tokens(tmp_path: Path, corpus: str, vocabulary: str, engine: Engine) -> None:
    run(tmp_path / "t", corpus, vocabulary, engine)
    dataset = Manifest.load(tmp_path / "t")
    flat = {name: np.concatenate([b.tokens for s in dataset.open(name) for b in s.batches]) for name in dataset.splits}
    training = np.bincount(flat["train"], minlength=1_000) + 1
    expected = -np.log(training[flat["validation"]] / training.sum()).mean()
    assert dataset.unigram_entropy_nats["validation"] == pytest.approx(expected)
    assert 3 < expected < math.log(1_000)


@pytest.mark.slow
def test_shards_do_not_depend_on_workers_or_document_shards(
    tmp_path: Path, corpus: str, vocabulary: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = run(tmp_path / "one", corpus, vocabulary, engine)
    run(tmp_path / "two", corpus, vocabulary, Engine(workers=2))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    monkeypatch.setattr(sorted_runs, "RUN_TOKENS", 5_000)
    monkeypatch.setattr(sorted_runs, "CHUNK_TOKENS", 900)
    other = run(tmp_path / "other", documents_folder(tmp_path / "documents", TOPICS[::-1], 5), vocabulary, engine)
    assert other.of_kind("tokens") == one.of_kind("tokens")
    assert other.dataset == one.dataset


@pytest.mark.parametrize("encoder", [LIBRARY, TIKTOKEN])
def test_every_encoder_gives_the_same_bytes(tmp_path: Path, corpus: str, vocabulary: str, engine: Engine, encoder: str) -> None:
    run(tmp_path / "ours", corpus, vocabulary, engine)
    run(tmp_path / "library", corpus, vocabulary, engine, encoder=encoder)
    assert contents(tmp_path / "ours") == contents(tmp_path / "library")


def test_growing_the_corpus_moves_no_document_between_splits(tmp_path: Path, vocabulary: str, engine: Engine) -> None:
    half = documents_folder(tmp_path / "half", TOPICS[::2])
    run(tmp_path / "small", half, vocabulary, engine)
    run(tmp_path / "large", documents_folder(tmp_path / "whole", TOPICS), vocabulary, engine)
    small, large = decode_splits(tmp_path / "small"), decode_splits(tmp_path / "large")
    for split, documents in small.items():
        assert [document for document in large[split] if document in documents] == documents


def test_order_seed_changes_the_order_alone(tmp_path: Path, corpus: str, vocabulary: str, engine: Engine) -> None:
    run(tmp_path / "a", corpus, vocabulary, engine)
    run(tmp_path / "b", corpus, vocabulary, engine, order_seed=1)
    a, b = decode_splits(tmp_path / "a")["train"], decode_splits(tmp_path / "b")["train"]
    assert a != b
    assert sorted(a) == sorted(b)


def test_no_training_documents_is_an_error(tmp_path: Path, vocabulary: str, engine: Engine) -> None:
    one = documents_folder(tmp_path / "documents", ["a text"], 1)
    with pytest.raises(InputError, match="no document is left for training"):
        run(tmp_path / "t", one, vocabulary, engine, validation_share=1 - 1e-9, test_share=0.0)


def test_documents_without_text_give_a_dataset_without_documents(tmp_path: Path, vocabulary: str, engine: Engine) -> None:
    empty = documents_folder(tmp_path / "documents", [""], 1)
    assert run(tmp_path / "t", empty, vocabulary, engine).books.dropped == {"no_text": 1}
    assert Manifest.load(tmp_path / "t").split("train").documents == 0


def test_folder_of_another_stage_is_refused_as_vocabulary(tmp_path: Path, corpus: str, engine: Engine) -> None:
    with pytest.raises(InputError, match="holds the output of stage 'documents', needed: vocabulary"):
        run(tmp_path / "t", corpus, corpus, engine)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"validation_share": -0.1}, "--validation-share -0.1"),
        ({"validation_share": 0.6, "test_share": 0.4}, "their sum below 1"),
        ({"shard_tokens": 0}, "--shard-tokens 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TokensSettings(**settings)
