"""Import of shard sets, pairs and folders: the documents are those of one stream, wherever its files are cut."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tokenizer.__main__ import main
from tokenizer.bpe import train
from tokenizer.codec import Tokenizer
from tokenizer.convert import LLMC_HEADER_BYTES, LLMC_MAGIC, LLMC_VERSION
from tokenizer.shards import Manifest


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    tokenizer = train({"the": 3, "then": 2}, 259)
    tokenizer.save(tmp_path_factory.mktemp("t") / "t")
    return tokenizer


def documents(count: int) -> list[list[int]]:
    rows = np.random.default_rng(5)
    return [rows.integers(0, 258, int(rows.integers(1, 40))).tolist() for _ in range(count)]


def write_llmc(path: Path, tokens: list[int]) -> Path:
    header = np.zeros(LLMC_HEADER_BYTES // 4, "<i4")
    header[:3] = LLMC_MAGIC, LLMC_VERSION, len(tokens)
    path.write_bytes(header.tobytes() + np.array(tokens, "<u2").tobytes())
    return path


def write_nanogpt(path: Path, tokens: list[int]) -> Path:
    np.array(tokens, "<u2").tofile(path)
    return path


def ingest(tmp_path: Path, tokenizer: Tokenizer, kind: str, *words: str) -> int:
    tokenizer.save(tmp_path / "t")
    return main(["import", *words, "--format", kind, "--tokenizer", str(tmp_path / "t"), "--output", str(tmp_path / "data")])


def read(folder: Path, split: str = "train") -> list[list[int]]:
    dataset = Manifest.load(folder)
    dataset.verify()
    batches = [batch for shard in dataset.open(split) for batch in shard.batches]
    eot = dataset.eot_id
    found = [b.tokens[start:stop].tolist() for b in batches for start, stop in pairwise(b.offsets)]
    assert all(document[-1] == eot for document in found)
    return [document[:-1] for document in found]


CUTS = {
    "one file": [],
    "between documents": [None],
    "within a document": [37],
    "behind the first end of text": [1],
    "a file without an end of text": [300, 303],
    "many": [50, 90, 91, 200, 333, 334, 480],
}


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("kind", ["llmc", "nanogpt"])
def test_a_set_of_shards_gives_the_documents_of_one_stream(tmp_path: Path, tokenizer: Tokenizer, kind: str, cuts: str) -> None:
    expected = documents(40)
    eot = tokenizer.eot_id
    order = (lambda d: [eot, *d]) if kind == "llmc" else (lambda d: [*d, eot])
    stream = [token for document in expected for token in order(document)]
    places = [sum(len(d) + 1 for d in expected[:7]) if cut is None else cut for cut in CUTS[cuts]]
    write = write_llmc if kind == "llmc" else write_nanogpt
    bounds = [0, *places, len(stream)]
    files = [write(tmp_path / f"x_{n:03}.bin", stream[a:b]) for n, (a, b) in enumerate(pairwise(bounds))]
    assert ingest(tmp_path, tokenizer, kind, *map(str, files)) == 0
    assert read(tmp_path / "data") == expected
    assert len(Manifest.load(tmp_path / "data").splits["train"].shards) <= len(files)


def test_a_later_shard_of_llmc_alone_begins_within_a_document(tmp_path: Path, tokenizer: Tokenizer) -> None:
    eot = tokenizer.eot_id
    file = write_llmc(tmp_path / "fineweb_train_000002.bin", [7, 8, eot, 1, 2, 3, eot, 9])
    assert ingest(tmp_path, tokenizer, "llmc", str(file)) == 0
    assert read(tmp_path / "data") == [[7, 8], [1, 2, 3], [9]]


def test_a_folder_of_a_pair_becomes_two_splits(tmp_path: Path, tokenizer: Tokenizer) -> None:
    eot = tokenizer.eot_id
    (tmp_path / "pair").mkdir()
    write_nanogpt(tmp_path / "pair" / "train.bin", [1, 2, eot, 3, eot])
    write_nanogpt(tmp_path / "pair" / "val.bin", [4, eot])
    (tmp_path / "pair" / "meta.pkl").write_bytes(b"x")
    assert ingest(tmp_path, tokenizer, "nanogpt", str(tmp_path / "pair")) == 0
    assert read(tmp_path / "data") == [[1, 2], [3]]
    assert read(tmp_path / "data", "validation") == [[4]]


def test_a_folder_of_llmcs_shards_becomes_two_splits_in_order(tmp_path: Path, tokenizer: Tokenizer) -> None:
    eot = tokenizer.eot_id
    (tmp_path / "set").mkdir()
    for name, tokens in (("train_000002", [3, eot, 4]), ("train_000001", [eot, 1, 2]), ("val_000000", [eot, 5])):
        write_llmc(tmp_path / "set" / f"edu_fineweb_{name}.bin", tokens)
    assert ingest(tmp_path, tokenizer, "llmc", str(tmp_path / "set")) == 0
    assert read(tmp_path / "data") == [[1, 2, 3], [4]]
    assert read(tmp_path / "data", "validation") == [[5]]


def test_a_fault_in_any_file_leaves_nothing(tmp_path: Path, tokenizer: Tokenizer, capsys: pytest.CaptureFixture[str]) -> None:
    eot = tokenizer.eot_id
    (tmp_path / "pair").mkdir()
    write_nanogpt(tmp_path / "pair" / "train.bin", [1, eot])
    for content, message in (([1, 999, eot], "holds id 999"), ([1, eot, 2], "ends with 2"), ([], "holds no tokens")):
        write_nanogpt(tmp_path / "pair" / "val.bin", content)
        assert ingest(tmp_path, tokenizer, "nanogpt", str(tmp_path / "pair")) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "val.bin" in line
        assert message in line
        assert not (tmp_path / "data").exists()


def test_folders_that_are_no_sets_are_refused(tmp_path: Path, tokenizer: Tokenizer, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "set").mkdir()
    write_nanogpt(tmp_path / "set" / "data.bin", [1, tokenizer.eot_id])
    write_nanogpt(tmp_path / "one.bin", [1, tokenizer.eot_id])
    for words, message in (
        ([tmp_path / "set"], "no *.bin named after a split"),
        ([tmp_path / "one.bin", tmp_path / "set"], "give it alone"),
        ([tmp_path / "set", "--split", "train"], "without --split"),
    ):
        assert ingest(tmp_path, tokenizer, "nanogpt", *map(str, words)) == 2
        assert message in capsys.readouterr().err
    foreign = write_llmc(tmp_path / "gpt2.bin", [1, 2, 3])
    assert ingest(tmp_path, tokenizer, "llmc", str(foreign)) == 2
    assert "holds no end of text" in capsys.readouterr().err


def test_the_folders_manifest_lists_the_shards_in_order(tmp_path: Path, tokenizer: Tokenizer) -> None:
    eot = tokenizer.eot_id
    files = [write_nanogpt(tmp_path / f"{n}.bin", [n, eot]) for n in range(3)]
    assert ingest(tmp_path, tokenizer, "nanogpt", *map(str, reversed(files))) == 0
    body = json.loads((tmp_path / "data" / "manifest.json").read_bytes())["dataset"]["splits"]["train"]
    assert len(body["shards"]) == 3
    assert read(tmp_path / "data") == [[2], [1], [0]]
