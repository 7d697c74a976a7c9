import pickle
import random
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from corpora import TOPICS, documents_folder
from shuffles import record_shuffles

from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.storage import files
from pipeline.vocabulary.settings import VocabularySettings
from pipeline.vocabulary.stage import STAGE
from pipeline.vocabulary.transform import CountWords
from tokenizer.bpe import train


@pytest.fixture(scope="module")
def stage_counts(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[bytes, int]]:
    """Pre-tokens and counts of the stage."""
    folder = tmp_path_factory.mktemp("vocabulary")
    settings = VocabularySettings(vocab_size=300, keep_counts=True)
    corpus = documents_folder(tmp_path_factory.mktemp("documents"), TOPICS)
    (entry,) = STAGE.run(Call({"dedup": corpus}, str(folder), settings, Engine())).of_kind("counts")
    table = files.read_table(str(folder / entry.name))
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


@pytest.mark.parametrize("partitions", [1, 5])
def test_counts_equal_the_stages_in_any_order(stage_counts: list[tuple[bytes, int]], partitions: int) -> None:
    texts = random.Random(partitions).sample(TOPICS, len(TOPICS))
    with beam.Pipeline(FnApiRunner()) as pipeline:
        assert_that(pipeline | beam.Create(texts) | CountWords(partitions), equal_to(stage_counts))


@pytest.mark.slow
def test_counts_do_not_depend_on_workers(tmp_path: Path, stage_counts: list[tuple[bytes, int]]) -> None:
    with Engine(workers=2).pipeline(2) as pipeline:
        counts = pipeline | beam.Create(TOPICS) | CountWords()
        _ = counts | beam.Map(repr) | beam.io.WriteToText(str(tmp_path / "counts"))
    lines = [line for path in tmp_path.glob("counts*") for line in path.read_text().splitlines()]
    assert sorted(lines) == sorted(map(repr, stage_counts))


def test_no_word_is_an_element_of_a_shuffle(stage_counts: list[tuple[bytes, int]]) -> None:
    """Many texts in few bundles give at most one element per bundle and partition, smaller than their text."""
    texts = TOPICS * 3
    with record_shuffles() as shuffled, beam.Pipeline(FnApiRunner()) as pipeline:
        _ = pipeline | beam.Create(texts, reshuffle=False) | CountWords(partitions=3)
    assert 0 < len(shuffled) < len(texts) / 10
    assert sum(map(len, shuffled)) < sum(map(len, texts)) / 2


def test_windows_are_counted_apart() -> None:
    with beam.Pipeline(FnApiRunner()) as pipeline:
        texts = pipeline | beam.Create([("to be", 1), ("or", 2), ("to", 70)])
        windowed = texts | beam.MapTuple(TimestampedValue) | beam.WindowInto(FixedWindows(60))
        counts = windowed | CountWords() | beam.Map(lambda count, window=beam.DoFn.WindowParam: (*count, int(window.start)))
        assert_that(counts, equal_to([(b"to", 1, 0), (b" be", 1, 0), (b"or", 1, 0), (b"to", 1, 60)]))


def test_a_dict_of_the_counts_trains_a_tokenizer(stage_counts: list[tuple[bytes, int]]) -> None:
    assert train(dict(stage_counts), 300).vocab_size == 300


def test_no_texts_give_no_counts() -> None:
    with beam.Pipeline(FnApiRunner()) as pipeline:
        assert_that(pipeline | beam.Create([]) | CountWords(), equal_to([]))


def test_transform_is_pickled_with_its_fields() -> None:
    assert pickle.loads(pickle.dumps(CountWords(7))).partitions == 7


def test_partitions_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="partitions 0: must be at least 1"):
        CountWords(0)
