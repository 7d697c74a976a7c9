import pickle
import random
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from corpora import TOPICS, document_id

from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.tokens import transform
from pipeline.tokens.stage import STAGE, TokensSettings
from pipeline.tokens.transform import Tokenize
from tokenizer.codec import ENCODERS, Tokenizer
from tokenizer.shards import Manifest

ROWS = [(document_id(text), text) for text in TOPICS]


def listed(row: tuple[Any, Any]) -> tuple[Any, list[int]]:
    """The row with its ids as a list, which compares."""
    key, ids = row
    assert ids.dtype == np.uint16
    return key, ids.tolist()


@pytest.fixture(scope="module")
def stage_rows(tmp_path_factory: pytest.TempPathFactory, corpus: str, vocabulary: str) -> list[tuple[bytes, list[int]]]:
    """The rows of the stage's token shards, of all splits."""
    folder = str(tmp_path_factory.mktemp("tokens"))
    settings = TokensSettings(validation_share=0.2, shard_tokens=40_000)
    STAGE.run(Call({"dedup": corpus, "vocabulary": vocabulary}, folder, settings, Engine()))
    manifest = Manifest.load(folder)
    shards = [shard for split in manifest.splits for shard in manifest.open(split)]
    return [
        (bytes(batch.document_ids[i]), batch.tokens[batch.offsets[i] : batch.offsets[i + 1]].tolist())
        for shard in shards
        for batch in shard.batches
        for i in range(len(batch))
    ]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_rows_equal_the_stages_in_any_order(stage_rows: list[tuple[bytes, list[int]]], vocabulary: str, encoder: str) -> None:
    rows = random.Random(3).sample([*ROWS, (bytes(16), "")], len(ROWS) + 1)
    with beam.Pipeline(FnApiRunner()) as pipeline:
        tokens = pipeline | beam.Create(rows) | Tokenize(vocabulary, encoder)
        assert_that(tokens | beam.Map(listed), equal_to(stage_rows))


def test_rows_do_not_depend_on_batches(
    stage_rows: list[tuple[bytes, list[int]]], vocabulary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transform, "BATCH_DOCUMENTS", 7)
    monkeypatch.setattr(transform, "BATCH_CHARACTERS", 20_000)
    with beam.Pipeline(FnApiRunner()) as pipeline:
        assert_that(pipeline | beam.Create(ROWS) | Tokenize(vocabulary) | beam.Map(listed), equal_to(stage_rows))


@pytest.mark.slow
def test_rows_do_not_depend_on_workers(tmp_path: Path, stage_rows: list[tuple[bytes, list[int]]], vocabulary: str) -> None:
    with Engine(workers=2).pipeline(2) as pipeline:
        tokens = pipeline | beam.Create(ROWS) | Tokenize(vocabulary) | beam.MapTuple(lambda key, ids: repr((key, ids.tolist())))
        _ = tokens | beam.io.WriteToText(str(tmp_path / "tokens"))
    lines = [line for path in tmp_path.glob("tokens*") for line in path.read_text().splitlines()]
    assert sorted(lines) == sorted(map(repr, stage_rows))


def test_texts_are_encoded_in_batches(vocabulary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    encode = transform.CheckedEncoder.encode

    def count(self: transform.CheckedEncoder, texts: Any, name: Any) -> Any:
        sizes.append(len(texts))
        return encode(self, texts, name)

    monkeypatch.setattr(transform.CheckedEncoder, "encode", count)
    with beam.Pipeline(FnApiRunner()) as pipeline:
        _ = pipeline | beam.Create(ROWS, reshuffle=False) | Tokenize(vocabulary)
    assert sum(sizes) == len(ROWS)
    assert len(sizes) < len(ROWS) / 10


def test_ids_are_strings_or_bytes_and_elements_keep_their_windows(vocabulary: str) -> None:
    tokenizer = Tokenizer.load(vocabulary)
    with beam.Pipeline(FnApiRunner()) as pipeline:
        rows = pipeline | beam.Create([(("a", "one"), 1), (("b", "two"), 70)])
        windowed = rows | beam.MapTuple(TimestampedValue) | beam.WindowInto(FixedWindows(60))
        seen = (
            windowed
            | Tokenize(vocabulary)
            | beam.Map(
                lambda row, window=beam.DoFn.WindowParam, timestamp=beam.DoFn.TimestampParam: (
                    row[0],
                    row[1].tolist(),
                    int(timestamp),
                    int(window.start),
                )
            )
        )
        expected = [
            (key, [*tokenizer.encode(text), tokenizer.eot_id], *times)
            for key, text, times in (("a", "one", (1, 0)), ("b", "two", (70, 60)))
        ]
        assert_that(seen, equal_to(expected))


def test_texts_without_characters_are_counted(vocabulary: str) -> None:
    pipeline = beam.Pipeline(FnApiRunner())
    _ = pipeline | beam.Create([("a", ""), ("b", "text"), ("c", "")]) | Tokenize(vocabulary)
    result = pipeline.run()
    result.wait_until_finish()
    counters = {counter.key.metric.name: counter.committed for counter in result.metrics().query()["counters"]}
    assert counters["dropped_no_text"] == 2


def test_encoder_that_differs_from_the_oracle_stops_the_pipeline(vocabulary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encode_arrow = Tokenizer.encode_arrow

    def wrong(self: Tokenizer, texts: Any, **options: Any) -> Any:
        tokens, offsets = encode_arrow(self, texts, **options)
        return tokens + np.uint16(options.get("encoder") == "compiled"), offsets

    monkeypatch.setattr(Tokenizer, "encode_arrow", wrong)
    with pytest.raises(RuntimeError, match="document 'x': this encoder's ids differ"), beam.Pipeline(FnApiRunner()) as pipeline:
        _ = pipeline | beam.Create([("x", "text")]) | Tokenize(vocabulary)


def test_transform_is_pickled_with_its_fields() -> None:
    copy = pickle.loads(pickle.dumps(Tokenize("folder", "tokenizers")))
    assert (copy.tokenizer, copy.encoder) == ("folder", "tokenizers")
