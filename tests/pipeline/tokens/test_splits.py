"""Held-out splits of corpora that are too small for their shares, against a brute-force choice."""

import hashlib
from collections import Counter

import pyarrow as pa
import pytest

from pipeline.tokens.splits import SPLITS, Splitting


def batches(texts: list[str], rows: int = 3) -> list[pa.RecordBatch]:
    ids = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    table = pa.table({"document_id": pa.array(ids, pa.binary(16)), "text": pa.array(texts, pa.large_string())})
    return table.to_batches(rows)


def counts(splitting: Splitting, texts: list[str]) -> dict[str, int]:
    full = [text for text in texts if text]
    numbers = splitting.split(batches(full, len(full))[0].column("document_id"))
    return dict(Counter(SPLITS[number] for number in numbers))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("validation", "test"), [(0.0005, 0.0), (0.0005, 0.0005), (0.0, 0.01), (0.3, 0.001), (0.001, 0.3)])
def test_each_split_with_a_share_gets_a_document_and_no_more_than_needed(seed: int, validation: float, test: float) -> None:
    texts = ["", *(f"document {i}" for i in range(9)), ""]
    asked = Splitting(validation, validation + test, seed, 0)
    before, after = counts(asked, texts), counts(asked.filled(batches(texts)), texts)
    for split, share in (("validation", validation), ("test", test)):
        if before.get(split) or not share:
            assert after.get(split, 0) <= before.get(split, 0)
        else:
            assert after[split] == 1
    assert after["train"] >= 1
    assert sum(after.values()) == 9


@pytest.mark.parametrize("documents", [1, 2, 3])
def test_training_keeps_the_last_document(documents: int) -> None:
    texts = [f"document {i}" for i in range(documents)]
    after = counts(Splitting(0.0005, 0.001, 0, 0).filled(batches(texts)), texts)
    assert after["train"] == 1
    assert sum(after.values()) == documents


def test_a_splitting_that_fills_every_split_is_unchanged_and_reads_no_further() -> None:
    texts = [f"document {i}" for i in range(1_000)]
    splitting = Splitting(0.1, 0.2, 0, 0)
    read = []
    assert splitting.filled(batch for batch in batches(texts, 100) if read.append(batch) is None) == splitting
    assert len(read) < 3


def test_the_choice_does_not_depend_on_the_order_of_documents() -> None:
    texts = [f"document {i}" for i in range(50)]
    splitting = Splitting(0.0005, 0.001, 0, 0)
    assert splitting.filled(batches(texts)) == splitting.filled(batches(texts[::-1], 7)) != splitting
