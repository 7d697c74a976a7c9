"""Each run draws its own documents by hash: the same for the same seed, shared where corpora share documents."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tokenizer.codec import Tokenizer
from tokenizer.shards import Manifest
from trainer.compare.origins import page_ids
from trainer.compare.plan import open_corpora
from trainer.compare.sample import Drawn, draw, draw_order, write_sample
from trainer.data import TokenDataset

HALF = 0.5


def documents(folder: Path) -> dict[bytes, bytes]:
    return {key: tokens.tobytes() for shard in Manifest.load(folder).open("train") for key, tokens in shard.documents()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, write_corpus: Callable[..., Path], texts: list[str]) -> Path:
    return write_corpus(tmp_path_factory.mktemp("sampled") / "tokens", texts)


def sample(corpus: Path, folder: Path, seed: int, tokens: int) -> Drawn:
    manifest = Manifest.load(corpus)
    return write_sample(manifest, manifest.open("train"), seed, tokens, folder)


def test_a_sample_holds_whole_documents_of_the_corpus_and_enough_tokens(corpus: Path, tmp_path: Path) -> None:
    drawn = sample(corpus, tmp_path / "s", 1, 100_000)
    whole, part = documents(corpus), documents(tmp_path / "s")
    assert part.items() <= whole.items()
    assert 0 < len(part) < len(whole)
    dataset = TokenDataset.open(tmp_path / "s")
    assert 100_000 <= len(dataset.train) == drawn.tokens
    assert drawn.documents == len(part)
    assert drawn.share == pytest.approx(drawn.tokens / Manifest.load(corpus).split("train").tokens)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_documents(corpus: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        sample(corpus, tmp_path / name, seed, 100_000)
    files = {name: sorted((tmp_path / name).glob("*.arrow"))[0].read_bytes() for name in "abc"}
    assert files["a"] == files["b"] != files["c"]
    assert Manifest.load(tmp_path / "a").sha256 == Manifest.load(tmp_path / "b").sha256


def test_at_most_the_share_is_drawn_however_many_tokens_are_wanted(corpus: Path, tmp_path: Path) -> None:
    drawn = sample(corpus, tmp_path / "s", 1, 10**12)
    longest = max(len(tokens) // 2 for tokens in documents(corpus).values())
    total = Manifest.load(corpus).split("train").tokens
    assert HALF * total <= drawn.tokens <= HALF * total + longest
    few = sample(corpus, tmp_path / "few", 1, 5)
    assert 0.1 * total <= few.tokens <= 0.1 * total + longest


def test_corpora_that_share_documents_draw_the_same_ones(
    write_corpus: Callable[..., Path], texts: list[str], tmp_path: Path, corpus: Path, byte_tokenizer: Tokenizer
) -> None:
    other = write_corpus(tmp_path / "other" / "tokens", [*texts[:4], *texts[8:]])
    shared = documents(corpus).keys() & documents(other).keys()
    for folder, name in ((corpus, "a"), (other, "b")):
        sample(folder, tmp_path / name, 5, 100_000)
    first, second = (documents(tmp_path / name).keys() & shared for name in "ab")
    assert len(first & second) >= 0.9 * max(len(first), len(second))


def write_documents(folder: Path, texts: list[str], urls: list[str]) -> None:
    """The part of a stage's folder that tells the page of each document."""
    folder.mkdir(parents=True)
    ids = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    pq.write_table(pa.table({"document_id": pa.array(ids, pa.binary(16)), "url": urls}), folder / "d.parquet")
    (folder / "manifest.json").write_text(json.dumps({"files": [{"name": "d.parquet", "kind": "documents"}]}))


def test_two_extractors_documents_of_a_page_are_drawn_together(
    write_corpus: Callable[..., Path], texts: list[str], tmp_path: Path
) -> None:
    """No document of one corpus is in the other, but each has a page that is."""
    forms = {"a": texts, "b": [f"Menu\n{text}" for text in texts]}
    urls = [f"http://site.example/{i}" for i in range(len(texts))]
    drawn = dict[str, set[str]]()
    for name, form in forms.items():
        write_corpus(tmp_path / name / "tokens", form)
        write_documents(tmp_path / name / "documents", form, urls)
        corpus = open_corpora([str(tmp_path / name)] * 2)[0][0]
        manifest, pages = Manifest.load(corpus.tokens), page_ids(corpus)
        write_sample(manifest, manifest.open("train"), 5, 100_000, tmp_path / f"{name}-drawn", pages)
        by_document = {hashlib.blake2b(text.encode(), digest_size=16).digest(): url for text, url in zip(form, urls, strict=True)}
        drawn[name] = {by_document[document] for document in documents(tmp_path / f"{name}-drawn")}
    assert 0 < len(drawn["a"]) < len(texts) - 4
    assert len(drawn["a"] & drawn["b"]) >= len(drawn["a"]) - 1


def test_a_text_of_several_pages_has_the_first_address_and_lost_tables_name_no_pages(
    write_corpus: Callable[..., Path], texts: list[str], tmp_path: Path
) -> None:
    write_corpus(tmp_path / "c" / "tokens", texts)
    write_documents(tmp_path / "c" / "documents", [texts[0], texts[0]], ["http://b.example/", "http://a.example/"])
    corpus = open_corpora([str(tmp_path / "c")] * 2)[0][0]
    assert list(page_ids(corpus).values()) == [hashlib.blake2b(b"http://a.example/", digest_size=16).digest()]
    (tmp_path / "c" / "documents" / "d.parquet").write_bytes(b"damaged")
    assert page_ids(corpus) == {}


def test_the_order_of_the_draw_is_even() -> None:
    ids = np.random.default_rng(1).integers(0, 256, (4000, 16), np.uint8)
    for seed in (1, 2, 1 << 62):
        numbers = draw_order(ids, seed) / 2**64
        assert abs(numbers.mean() - 0.5) < 0.03
        assert len(np.unique(numbers)) == len(ids)
    correlation = np.corrcoef(draw_order(ids, 1).astype(float), draw_order(ids, 2).astype(float))[0, 1]
    assert abs(correlation) < 0.06
    # ids that differ in one bit, of either half, go apart
    for byte in (0, 7, 8, 15):
        near = ids.copy()
        near[:, byte] ^= 1
        moved = np.corrcoef(draw_order(ids, 1).astype(float), draw_order(near, 1).astype(float))[0, 1]
        assert abs(moved) < 0.06


def test_every_document_is_drawn_about_equally_often(corpus: Path) -> None:
    shards = Manifest.load(corpus).open("train")
    counts = np.sum([np.concatenate(draw(shards, seed, 10**12)[0]) for seed in range(200)], axis=0)
    assert counts.min() > 60
    assert counts.max() < 140
