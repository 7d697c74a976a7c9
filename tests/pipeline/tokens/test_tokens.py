import math
import pydoc_data.topics
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from corpora import document_id, documents_folder

from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.storage.files import InputError
from pipeline.storage.hashing import hash_ids, in_sample
from pipeline.storage.manifest import StageManifest
from pipeline.tokens import encode, sorted_runs
from pipeline.tokens.merge import even_borders
from pipeline.tokens.stage import STAGE, TokensSettings
from pipeline.vocabulary.stage import STAGE as VOCABULARY
from pipeline.vocabulary.stage import VocabularySettings
from tokenizer.bpe import train
from tokenizer.codec import LIBRARY, TIKTOKEN, Tokenizer
from tokenizer.shards import Manifest

TEXTS = sorted(set(pydoc_data.topics.topics.values()))
SOME = {"validation_share": 0.2, "test_share": 0.1, "shard_tokens": 40_000}


def run(folder: Path, corpus: str, vocabulary: str, engine: Engine, **settings: Any) -> StageManifest:
    return STAGE.run(
        Call({"dedup": corpus, "vocabulary": vocabulary}, str(folder), TokensSettings(**{**SOME, **settings}), engine)
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    return documents_folder(tmp_path_factory.mktemp("documents"), [*TEXTS, ""])


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory, corpus: str) -> str:
    folder = str(tmp_path_factory.mktemp("vocabulary"))
    VOCABULARY.run(Call({"dedup": corpus}, folder, VocabularySettings(vocab_size=1_000), Engine()))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "run.json"}


def decoded(folder: Path) -> dict[str, list[tuple[bytes, str]]]:
    """Ids and texts of every document, by split, in order."""
    manifest, tokenizer = Manifest.load(folder), Tokenizer.load(folder)
    return {
        split: [(name, tokenizer.decode(ids)) for shard in manifest.open(split) for name, ids in shard.documents()]
        for split in manifest.splits
    }


def test_every_document_is_in_one_split_whole(tmp_path: Path, corpus: str, vocabulary: str, engine: Engine) -> None:
    manifest = run(tmp_path / "t", corpus, vocabulary, engine)
    splits = decoded(tmp_path / "t")
    documents = [document for split in splits.values() for document in split]
    assert sorted(text for _, text in documents) == TEXTS
    assert [name.hex() for name, _ in documents] == [document_id(text).hex() for _, text in documents]
    assert set(splits) == {"train", "validation", "test"}
    assert (manifest.books.items_in, manifest.books.items_out, manifest.books.dropped) == (
        len(TEXTS) + 1,
        len(TEXTS),
        {"no_text": 1},
    )


def test_the_dataset_section_counts_what_is_there(tmp_path: Path, corpus: str, vocabulary: str, engine: Engine) -> None:
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


def test_the_unigram_entropy_is_that_of_the_tokens(tmp_path: Path, corpus: str, vocabulary: str, engine: Engine) -> None:
    run(tmp_path / "t", corpus, vocabulary, engine)
    dataset = Manifest.load(tmp_path / "t")
    flat = {name: np.concatenate([b.tokens for s in dataset.open(name) for b in s.batches]) for name in dataset.splits}
    training = np.bincount(flat["train"], minlength=1_000) + 1
    expected = -np.log(training[flat["validation"]] / training.sum()).mean()
    assert dataset.unigram_entropy_nats["validation"] == pytest.approx(expected)
    assert 3 < expected < math.log(1_000)


@pytest.mark.slow
def test_two_workers_and_other_document_shards_give_the_same_shards(
    tmp_path: Path, corpus: str, vocabulary: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = run(tmp_path / "one", corpus, vocabulary, engine)
    run(tmp_path / "two", corpus, vocabulary, Engine(workers=2))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    monkeypatch.setattr(sorted_runs, "RUN_TOKENS", 5_000)
    monkeypatch.setattr(sorted_runs, "CHUNK_TOKENS", 900)
    other = run(tmp_path / "other", documents_folder(tmp_path / "documents", TEXTS[::-1], 5), vocabulary, engine)
    assert other.of_kind("tokens") == one.of_kind("tokens")
    assert other.dataset == one.dataset


@pytest.mark.parametrize("encoder", [LIBRARY, TIKTOKEN])
def test_every_encoder_gives_the_same_bytes(tmp_path: Path, corpus: str, vocabulary: str, engine: Engine, encoder: str) -> None:
    run(tmp_path / "ours", corpus, vocabulary, engine)
    run(tmp_path / "theirs", corpus, vocabulary, engine, encoder=encoder)
    assert contents(tmp_path / "ours") == contents(tmp_path / "theirs")


def test_growing_the_corpus_moves_no_document_between_splits(tmp_path: Path, vocabulary: str, engine: Engine) -> None:
    half = documents_folder(tmp_path / "half", TEXTS[::2])
    run(tmp_path / "small", half, vocabulary, engine)
    run(tmp_path / "large", documents_folder(tmp_path / "whole", TEXTS), vocabulary, engine)
    small, large = decoded(tmp_path / "small"), decoded(tmp_path / "large")
    for split, documents in small.items():
        assert [document for document in large[split] if document in documents] == documents


def test_another_seed_gives_another_order(tmp_path: Path, corpus: str, vocabulary: str, engine: Engine) -> None:
    run(tmp_path / "a", corpus, vocabulary, engine)
    run(tmp_path / "b", corpus, vocabulary, engine, order_seed=1)
    a, b = decoded(tmp_path / "a")["train"], decoded(tmp_path / "b")["train"]
    assert a != b
    assert sorted(a) == sorted(b)


def test_an_encoder_that_differs_from_the_oracle_stops_the_stage() -> None:
    tokenizer = train({"ab": 9, "abc": 5}, 259)
    batch = pa.record_batch({"document_id": pa.array([bytes(16)], pa.binary(16)), "text": pa.array(["abc"], pa.large_string())})
    good, offsets = tokenizer.encode_arrow(batch.column("text"))
    assert encode.compare_with_oracle(tokenizer, batch, good, offsets) == 1
    with pytest.raises(RuntimeError, match=f"document {'00' * 16}: this encoder's ids differ"):
        encode.compare_with_oracle(tokenizer, batch, good + np.uint16(1), offsets)


def test_no_training_documents_is_an_error(tmp_path: Path, vocabulary: str, engine: Engine) -> None:
    empty = documents_folder(tmp_path / "documents", [""], 1)
    with pytest.raises(InputError, match="no document is left for training"):
        run(tmp_path / "t", empty, vocabulary, engine)


def test_a_folder_of_another_stage_is_no_vocabulary(tmp_path: Path, corpus: str, engine: Engine) -> None:
    with pytest.raises(InputError, match="holds the output of stage 'documents', needed: vocabulary"):
        run(tmp_path / "t", corpus, corpus, engine)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"validation_share": -0.1}, "--validation_share -0.1"),
        ({"validation_share": 0.6, "test_share": 0.4}, "together below 1"),
        ({"shard_tokens": 0}, "--shard_tokens 0"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TokensSettings(**settings)


def test_hashes_spread_evenly_and_differ_by_seed_and_salt() -> None:
    ids = pa.array([document_id(str(number)) for number in range(20_000)], pa.binary(16))
    assert in_sample(ids, 0.1, 0, b"a").mean() == pytest.approx(0.1, abs=0.01)
    assert in_sample(ids, 1.0, 0, b"a").all()
    assert len({tuple(hash_ids(ids, seed, salt)[:9]) for seed in (0, 1) for salt in (b"a", b"b")}) == 4
    assert np.array_equal(hash_ids(ids.slice(5, 7), 0, b"a"), hash_ids(ids, 0, b"a")[5:12])


@pytest.mark.parametrize("most", [1, 10, 99, 1_000, 10**9])
def test_borders_cut_all_tokens_into_even_groups(most: int) -> None:
    buckets = np.random.default_rng(0).integers(0, 20, 500)
    borders = even_borders(buckets, most)
    sums = [int(buckets[a:b].sum()) for a, b in pairwise(borders)]
    assert (borders[0], borders[-1], sum(sums)) == (0, 500, buckets.sum())
    assert min(sums) > 0
    assert max(sums) <= most + 2 * 20


def test_no_tokens_need_no_shard() -> None:
    assert even_borders(np.zeros(9, np.int64), 5) == []


KILLS = 40


@pytest.mark.slow
def test_kill_9_at_40_moments_of_writing_leaves_no_wrong_file(tmp_path: Path, corpus: str, vocabulary: str) -> None:
    """Each run is killed at another write or rename, checked, and run again to its end."""
    script = Path(__file__).parents[2] / "killed_writers.py"
    finished = subprocess.run(
        [sys.executable, str(script), str(tmp_path), corpus, vocabulary, str(KILLS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert finished.stdout.split() == [str(KILLS)]
