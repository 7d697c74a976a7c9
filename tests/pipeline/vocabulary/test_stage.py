import json
import logging
import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from corpora import TOPICS, documents_folder

from benchmarks import real_text
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.storage import files
from pipeline.storage.manifest import StageManifest
from pipeline.vocabulary.settings import VocabularySettings
from pipeline.vocabulary.stage import STAGE
from tokenizer.bpe import train
from tokenizer.codec import Tokenizer
from tokenizer.errors import InputError
from tokenizer.pre_tokens import pre_tokenize


def run(folder: Path, corpus: str, engine: Engine, **settings: Any) -> StageManifest:
    return STAGE.run(Call({"dedup": corpus}, str(folder), VocabularySettings(**{"vocab_size": 1_000, **settings}), engine))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "run.json"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    return documents_folder(tmp_path_factory.mktemp("documents"), TOPICS)


def test_merges_are_learned_from_all_pre_tokens(tmp_path: Path, corpus: str, engine: Engine) -> None:
    manifest = run(tmp_path / "v", corpus, engine)
    counts: Counter[str] = Counter()
    for text in TOPICS:
        counts.update(pre_tokenize(text))
    assert Tokenizer.load(tmp_path / "v").pairs == train(counts, 1_000).pairs
    assert (manifest.books.items_in, manifest.books.items_out) == (len(TOPICS), len(TOPICS))
    assert manifest.counters["words"] == sum(counts.values())
    assert manifest.counters["distinct_words"] == len(counts)
    assert manifest.counters["text_bytes"] == sum(len(text.encode()) for text in TOPICS)
    names = [entry.name for entry in manifest.of_kind("tokenizer")]
    assert names == ["merges.txt", "ranks.tiktoken", "tokenizer.json", "tokenizer_config.json", "vocab.json"]


@pytest.mark.slow
def test_tokenizer_does_not_depend_on_workers_shards_or_order(tmp_path: Path, corpus: str, engine: Engine) -> None:
    one = run(tmp_path / "one", corpus, engine)
    two = run(tmp_path / "two", corpus, Engine(workers=2))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    shuffled = random.Random(4).sample(TOPICS, len(TOPICS))
    other = run(tmp_path / "other", documents_folder(tmp_path / "shuffled", shuffled, 5), Engine(workers=4))
    assert one.of_kind("tokenizer") == two.of_kind("tokenizer") == other.of_kind("tokenizer")


@pytest.mark.slow
def test_all_merges_of_100_megabytes_equal_the_librarys(tmp_path: Path, engine: Engine) -> None:
    """With 1, 2 and 4 workers and in shuffled order, on source code, documentation and prose of this machine."""
    if "WEBTEXT_FULL" not in os.environ:
        pytest.skip("takes minutes: set WEBTEXT_FULL=1 to run it")
    texts = list(real_text.documents(["/usr/share", "/usr/lib", sys.prefix], 100))
    corpus = documents_folder(tmp_path / "documents", texts, 8)
    shuffled = documents_folder(tmp_path / "shuffled", random.Random(4).sample(texts, len(texts)), 5)
    library = run(tmp_path / "library", corpus, engine, vocab_size=50_257, trainer="tokenizers")
    for workers, folder in ((1, corpus), (2, corpus), (4, corpus), (2, shuffled)):
        output = tmp_path / f"{workers}-{Path(folder).name}"
        ours = run(output, folder, Engine(workers=workers), vocab_size=50_257)
        assert ours.of_kind("tokenizer") == library.of_kind("tokenizer")
        assert ours.counters["vocab_size"] == 50_257


def test_kept_counts_are_in_the_manifest(tmp_path: Path, corpus: str, engine: Engine) -> None:
    manifest = run(tmp_path / "v", corpus, engine, keep_counts=True)
    (entry,) = manifest.of_kind("counts")
    table = files.read_table(str(tmp_path / "v" / entry.name))
    assert table.num_rows == entry.rows == manifest.counters["distinct_words"]
    pieces = table.column("piece").to_pylist()
    assert pieces == sorted(pieces)


def test_sample_trains_on_a_part_and_counts_the_rest(tmp_path: Path, corpus: str, engine: Engine) -> None:
    manifest = run(tmp_path / "v", corpus, engine, sample_bytes=200_000, vocab_size=400)
    counters = manifest.counters
    assert manifest.books.items_in + counters["documents_not_sampled"] == len(TOPICS)
    assert 50_000 < counters["text_bytes"] < 400_000
    again = run(tmp_path / "w", corpus, engine, sample_bytes=200_000, vocab_size=400, sample_seed=1)
    assert again.counters["text_bytes"] != counters["text_bytes"]


@pytest.mark.parametrize(
    "settings", [{}, {"sample_bytes": 200_000}, {"min_frequency": 30, "smaller_vocabulary": True}, {"max_token_length": 4}]
)
def test_library_trainer_gives_the_same_tokenizer(tmp_path: Path, corpus: str, engine: Engine, settings: dict[str, Any]) -> None:
    ours = run(tmp_path / "ours", corpus, engine, **settings)
    theirs = run(tmp_path / "theirs", corpus, engine, trainer="tokenizers", **settings)
    assert ours.of_kind("tokenizer") == theirs.of_kind("tokenizer")
    assert ours.books == theirs.books
    assert ours.counters["text_bytes"] == theirs.counters["text_bytes"]
    for name, value in settings.items():
        assert ours.settings[name] == theirs.settings[name] == value


def test_too_little_text_raises_with_the_flags_that_help(tmp_path: Path, engine: Engine) -> None:
    corpus = documents_folder(tmp_path / "documents", ["ab ab", "cd cd"], 1)
    with pytest.raises(InputError, match=r"--vocab-size 1000: the text runs out of pairs at 261 entries; .*--smaller-vocabulary"):
        run(tmp_path / "v", corpus, engine)
    smaller = run(tmp_path / "w", corpus, engine, smaller_vocabulary=True)
    assert smaller.counters["vocab_size"] == Tokenizer.load(tmp_path / "w").vocab_size == 261


def test_ready_tokenizer_is_published_and_its_content_is_an_input(tmp_path: Path, corpus: str, engine: Engine) -> None:
    ready = train({"hello": 5}, 260)
    ready.save(tmp_path / "ready")
    manifest = run(tmp_path / "v", corpus, engine, tokenizer="given", tokenizer_path=str(tmp_path / "ready"))
    assert Tokenizer.load(tmp_path / "v").pairs == ready.pairs
    assert manifest.inputs["tokenizer_path"].sha256 == files.fingerprint(str(tmp_path / "ready" / "tokenizer.json"))
    with pytest.raises(InputError, match="not GPT-2's own merges"):
        run(tmp_path / "w", corpus, engine, tokenizer="gpt2", tokenizer_path=str(tmp_path / "ready"))
    with pytest.raises(InputError, match="no tokenizer there"):
        run(tmp_path / "x", corpus, engine, tokenizer="given", tokenizer_path=str(tmp_path))


def test_gpt2_files_are_accepted(tmp_path: Path, corpus: str, engine: Engine, shared_data: Path) -> None:
    run(tmp_path / "v", corpus, engine, tokenizer="gpt2", tokenizer_path=str(shared_data / "bpe"))
    assert (tmp_path / "v" / "merges.txt").read_bytes() == (shared_data / "bpe" / "vocab.bpe").read_bytes()
    assert json.loads((tmp_path / "v" / "vocab.json").read_bytes()) == json.loads(
        (shared_data / "bpe" / "encoder.json").read_bytes()
    )


def test_finished_stage_is_not_run_again(tmp_path: Path, corpus: str, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    first = run(tmp_path / "v", corpus, engine)
    with caplog.at_level(logging.INFO):
        assert run(tmp_path / "v", corpus, engine) == first
    assert "vocabulary: up to date" in caplog.messages
