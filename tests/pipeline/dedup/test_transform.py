"""The transform `Deduplicate` in pipelines of its own, against the stage's answer on the same documents."""

import pickle
import random
import tempfile
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from deduplication import OTHER, PROSE, dedup, document, kept_urls, rows, write_documents
from shuffles import record_shuffles

from pipeline.dedup import Deduplicate, DuplicatePair, text_shards
from pipeline.dedup.settings import DedupSettings
from pipeline.engine import shuffle
from pipeline.engine.runner import Engine
from pipeline.records import Document


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder below which local pipelines spill."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def documents() -> list[Document]:
    """Chains of edits, copies, other spellings, texts without shingles; all without a date."""
    draw = random.Random(4)
    words = PROSE.split() + OTHER.split()
    texts = [" ".join(draw.choices(words, k=40)) for _ in range(8)]
    texts += [f"{draw.choice(texts)} {draw.choice(['more', 'more words', text[:40]])}" for text in texts for _ in range(3)]
    texts += [texts[0], texts[0].upper(), "short", "short", "other", ""]
    return [document(text, f"https://example.com/{i}", day=None) for i, text in enumerate(texts)]


def check(
    pipeline: beam.Pipeline,
    pairs: list[tuple[Any, str]],
    kept: list[Any],
    duplicates: list[DuplicatePair],
    transform: Deduplicate | None = None,
) -> None:
    """Run the transform and compare its outputs, in any order."""
    with pipeline:
        outputs = pipeline | beam.Create(pairs, reshuffle=False) | (transform or Deduplicate())
        assert_that(outputs.kept, equal_to(kept), "kept")
        assert_that(outputs.duplicates, equal_to(duplicates), "duplicates")


def stage_answer(folder: Path, settings: DedupSettings | None = None) -> tuple[list[str], list[DuplicatePair]]:
    """The kept URLs and the duplicates of the stage, in three shards."""
    texts = documents()
    dedup(write_documents(folder / "documents", [texts[:5], [], texts[5:]]), folder / "dedup", settings)
    duplicates = [
        DuplicatePair(row["url"], row["kept_url"], row["reason"], row["similarity"])
        for row in rows(folder / "dedup", "duplicates")
    ]
    return kept_urls(folder / "dedup"), duplicates


@pytest.mark.parametrize(
    "flags", [{}, {"transitive": True}, {"threshold": 0.5, "shingle": "chars:6", "bands": 30, "rows": 4, "signature_seed": 3}]
)
def test_the_outputs_are_those_of_the_stage(tmp_path: Path, temporary: Path, flags: dict[str, Any]) -> None:
    kept, duplicates = stage_answer(tmp_path, DedupSettings(**flags))
    assert {pair.reason for pair in duplicates} >= {"same_text", "same_normalised_text", "near_duplicate"}
    check(Engine().pipeline(1), [(d.url, d.text) for d in documents()], kept, duplicates, Deduplicate(**flags))
    assert not list(temporary.glob("webtext-dedup-*"))


@pytest.mark.parametrize("remove", ["exact", "none"])
def test_duplicates_may_stay(tmp_path: Path, temporary: Path, remove: str) -> None:
    kept, duplicates = stage_answer(tmp_path, DedupSettings(remove_duplicates=remove))
    reasons = {pair.reason for pair in duplicates}
    assert reasons == ({"same_text", "same_normalised_text"} if remove == "exact" else set())
    check(Engine().pipeline(1), [(d.url, d.text) for d in documents()], kept, duplicates, Deduplicate(remove_duplicates=remove))


def test_order_and_shards_do_not_matter(tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, duplicates = stage_answer(tmp_path)
    monkeypatch.setattr(text_shards, "SHARD_CHARACTERS", 500)
    monkeypatch.setattr(shuffle, "MAX_RUNS_PER_PART", 1)
    pairs = [(d.url, d.text) for d in documents()]
    random.Random(1).shuffle(pairs)
    check(Engine().pipeline(1), pairs, kept, duplicates)


@pytest.mark.slow
def test_two_workers_give_the_same_outputs(tmp_path: Path, temporary: Path) -> None:
    kept, duplicates = stage_answer(tmp_path)
    check(Engine(workers=2).pipeline(2), [(d.url, d.text) for d in documents()], kept, duplicates)


def test_ids_may_be_bytes(temporary: Path) -> None:
    """With the stage's document ids as ids, the least id of similar texts is kept."""
    texts = [PROSE, f"{PROSE} More.", OTHER]
    one, other, different = (document(text, "").document_id for text in texts)
    kept, removed = sorted([one, other])
    similarity = pytest.approx(0.98, abs=0.02)
    pairs = list(zip([one, other, different], texts, strict=True))
    check(Engine().pipeline(1), pairs, [kept, different], [DuplicatePair(removed, kept, "near_duplicate", similarity)])


@pytest.mark.parametrize("texts", [[], [PROSE], [""]], ids=["empty", "one", "one without words"])
def test_every_text_of_a_small_input_is_kept(temporary: Path, texts: list[str]) -> None:
    ids = list(range(len(texts)))
    check(Engine().pipeline(1), [(f"t{i}", texts[i]) for i in ids], [f"t{i}" for i in ids], [])
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("keys", [("a", "a"), (b"\x01", b"\x01")], ids=["str", "bytes"])
def test_an_id_that_occurs_twice_is_refused(temporary: Path, keys: tuple[Any, Any]) -> None:
    with pytest.raises(Exception, match="this id occurs more than once"):
        check(Engine().pipeline(1), [(keys[0], PROSE), ("b", "x"), (keys[1], OTHER)], [], [])


def test_ids_of_two_types_are_different(temporary: Path) -> None:
    keys = ["\0b61", b"a", "a", "\0a", "\0"]
    check(Engine().pipeline(1), [(key, f"text {i}") for i, key in enumerate(keys)], keys, [])


def test_texts_are_spilled_below_the_temp_location_and_never_shuffled(tmp_path: Path, temporary: Path) -> None:
    options = PipelineOptions([f"--temp_location={tmp_path}/location"])
    with record_shuffles() as shuffled, pytest.raises(Exception, match="more than once"):
        check(beam.Pipeline(FnApiRunner(), options), [("a", PROSE), ("a", OTHER)], [], [])
    assert len(list((tmp_path / "location").glob("webtext-dedup-*"))) == 1
    assert not list(temporary.iterdir())
    assert shuffled
    assert not any(b"best of times" in element or b"Ishmael" in element for element in shuffled)


def test_the_defaults_are_those_of_the_stage() -> None:
    assert Deduplicate().settings == DedupSettings(index=False)


def test_a_parameter_out_of_range_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"threshold 1\.5"):
        Deduplicate(1.5)


def test_the_transform_is_picklable() -> None:
    assert pickle.loads(pickle.dumps(Deduplicate(0.5, bands=3))) == Deduplicate(0.5, bands=3)
