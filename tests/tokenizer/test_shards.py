import json
import os
import random
import subprocess
import sys
from pathlib import Path

import datasets
import duckdb
import numpy as np
import polars
import pyarrow as pa
import pyarrow.dataset
import pytest

from tokenizer.errors import FormatError
from tokenizer.shards import Header, Manifest, Shard, ShardEntry, ShardWriter, SplitEntry, TokenBatch, sha256_of
from tokenizer.stream import Stream

EOT = 50_256


def batch(seed: int, documents: int) -> TokenBatch:
    """Random documents of 1 to 300 tokens."""
    generator = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(generator.integers(1, 300, documents))])
    tokens = generator.integers(0, EOT, offsets[-1]).astype(np.uint16)
    tokens[offsets[1:] - 1] = EOT
    return TokenBatch(tokens, offsets, generator.integers(0, 256, (documents, 16)).astype(np.uint8))


def write_shard(folder: Path, batches: list[TokenBatch], *, shard: int = 0, shards: int = 1) -> ShardEntry:
    documents, tokens = sum(map(len, batches)), sum(len(b.tokens) for b in batches)
    header = Header("train", shard, shards, documents, tokens, "cafe", 50_257, EOT)
    path = folder / header.name
    with path.open("wb") as file:
        writer = ShardWriter(file, header)
        for item in batches:
            writer.write(item)
        writer.close()
    return ShardEntry(header.name, documents, tokens, path.stat().st_size, sha256_of(path))


def write_dataset(folder: Path, shards: list[list[TokenBatch]]) -> Manifest:
    folder.mkdir(exist_ok=True)
    entries = tuple(write_shard(folder, s, shard=i, shards=len(shards)) for i, s in enumerate(shards))
    split = SplitEntry(sum(e.documents for e in entries), sum(e.tokens for e in entries), 12_345, entries)
    manifest = Manifest(str(folder), "cafe", 50_257, EOT, {"train": split}, {"train": 7.25})
    manifest.save()
    return manifest


SHARDS = [[batch(1, 3), batch(2, 500), batch(3, 1)], [batch(4, 40)]]


@pytest.fixture
def dataset(tmp_path: Path) -> Manifest:
    return write_dataset(tmp_path / "tokens", SHARDS)


def test_written_dataset_is_read_back(dataset: Manifest) -> None:
    manifest = Manifest.load(dataset.folder)
    assert manifest == dataset
    for shard, batches in zip(manifest.open("train"), SHARDS, strict=True):
        shard.verify_batches()
        for actual, expected in zip(shard.batches, batches, strict=True):
            assert np.array_equal(actual.tokens, expected.tokens)
            assert np.array_equal(actual.offsets, expected.offsets)
            assert np.array_equal(actual.document_ids, expected.document_ids)


def test_reading_copies_nothing_and_token_buffers_are_aligned(dataset: Manifest) -> None:
    before = pa.total_allocated_bytes()
    shards = Manifest.load(dataset.folder).open("train")
    views = [item.tokens for shard in shards for item in shard.batches]
    assert pa.total_allocated_bytes() == before
    assert all(view.ctypes.data % 64 == 0 and not view.flags.owndata and not view.flags.writeable for view in views)


def test_arrow_tools_open_the_files(dataset: Manifest) -> None:
    paths = [str(Path(dataset.folder, entry.name)) for entry in dataset.split("train").shards]
    table = pyarrow.dataset.dataset(paths, format="ipc").to_table()
    table.validate(full=True)
    assert table.column("tokens").combine_chunks().flatten().to_numpy().tolist() == [
        t for s in SHARDS for b in s for t in b.tokens.tolist()
    ]
    assert pa.ipc.open_file(paths[1]).read_all().num_rows == 40


def test_polars_duckdb_and_datasets_open_the_files(dataset: Manifest, tmp_path: Path) -> None:
    """`datasets.Dataset.from_file` cannot open them: it reads only Arrow's stream format."""
    paths = [str(Path(dataset.folder, entry.name)) for entry in dataset.split("train").shards]
    documents = [document for shard in dataset.open("train") for document in shard.documents()]
    tokens = [ids.tolist() for _, ids in documents]
    frame = polars.concat([polars.read_ipc(path) for path in paths])
    assert frame["tokens"].to_list() == tokens
    assert frame["document_id"].to_list() == [name for name, _ in documents]
    rows = duckdb.from_arrow(pyarrow.dataset.dataset(paths, format="ipc"))
    sums = rows.aggregate("count(*), sum(len(tokens)), min(list_last(tokens)), max(octet_length(document_id))").fetchall()
    assert sums == [(len(tokens), sum(map(len, tokens)), EOT, 16)]
    loaded = datasets.load_dataset("arrow", data_files={"train": paths}, split="train", cache_dir=str(tmp_path / "cache"))
    assert [list(ids) for ids in loaded["tokens"]] == tokens
    assert loaded.features["tokens"].feature.dtype == "uint16"


def test_shard_is_at_most_two_percent_larger_than_its_tokens(tmp_path: Path) -> None:
    lengths = np.full(2_000, 1_000)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    tokens = np.zeros(offsets[-1], np.uint16)
    tokens[offsets[1:] - 1] = EOT
    entry = write_shard(tmp_path, [TokenBatch(tokens, offsets, np.zeros((2_000, 16), np.uint8))])
    assert entry.bytes <= 1.02 * 2 * entry.tokens


def test_equal_batches_give_equal_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert write_shard(tmp_path / "a", SHARDS[0]) == write_shard(tmp_path / "b", SHARDS[0])


def test_documents_are_in_order(dataset: Manifest) -> None:
    documents = [document for shard in dataset.open("train") for document in shard.documents()]
    assert len(documents) == 544
    assert documents[503][0] == SHARDS[0][2].document_ids[0].tobytes()
    assert all(tokens[-1] == EOT and EOT not in tokens[:-1] for _, tokens in documents)


def test_stream_reads_across_batches_and_shards(dataset: Manifest) -> None:
    stream = Stream(dataset.open("train"))
    flat = np.concatenate([item.tokens for shard in SHARDS for item in shard])
    assert len(stream) == len(flat)
    generator = np.random.default_rng(0)
    for start in [0, len(flat) - 700, *generator.integers(0, len(flat) - 700, 300)]:
        out = np.empty(700, np.int64)
        stream.read(int(start), out)
        assert np.array_equal(out, flat[start : start + 700])
    everything = np.empty(len(flat), np.uint16)
    stream.read(0, everything)
    assert np.array_equal(everything, flat)


@pytest.mark.parametrize("length", [1, 700, 40_000])
def test_windows_read_at_once_equal_those_read_one_by_one(dataset: Manifest, length: int) -> None:
    stream = Stream(dataset.open("train"))
    flat = np.concatenate([item.tokens for shard in SHARDS for item in shard])
    last = len(flat) - length
    starts = np.array([0, last, *np.random.default_rng(0).integers(0, last + 1, 300)])
    windows = stream.windows(starts, length)
    assert windows.dtype == np.int64
    assert all(np.array_equal(window, flat[start : start + length]) for window, start in zip(windows, starts, strict=True))
    assert stream.windows(starts[:0], length).shape == (0, length)
    for outside in (-1, -50_000, last + 1, 10**9):
        with pytest.raises(IndexError, match="the stream holds"):
            stream.windows(np.array([0, outside]), length)


@pytest.mark.parametrize("start", [-1, 10**9, 2**63 - 1, -(2**63)])
def test_stream_refuses_positions_outside(dataset: Manifest, start: int) -> None:
    with pytest.raises(IndexError, match="the stream holds"):
        Stream(dataset.open("train")).read(start, np.empty(10, np.int64))


@pytest.mark.parametrize(
    "broken",
    [
        TokenBatch(np.array([1, 2], np.uint16), np.array([0, 2]), np.zeros((1, 16), np.uint8)),
        TokenBatch(np.array([EOT, 2, EOT], np.uint16), np.array([0, 3]), np.zeros((1, 16), np.uint8)),
        TokenBatch(np.array([60_000, EOT], np.uint16), np.array([0, 2]), np.zeros((1, 16), np.uint8)),
        TokenBatch(np.array([1, EOT], np.uint16), np.array([0, 2, 2]), np.zeros((2, 16), np.uint8)),
    ],
)
def test_invalid_documents_are_not_written(tmp_path: Path, broken: TokenBatch) -> None:
    with pytest.raises(ValueError, match="50256 once, at its end"):
        write_shard(tmp_path, [broken])


def test_header_with_wrong_counts_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        writer = ShardWriter(file, Header("train", 0, 1, 7, 7, "cafe", 50_257, EOT))
        writer.write(batch(1, 3))
        with pytest.raises(ValueError, match="promises 7 documents and 7 tokens, its batches hold 3 and"):
            writer.close()


def test_vocabulary_beyond_16_bit_ids_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file, pytest.raises(ValueError, match="vocab_size 70000"):
        ShardWriter(file, Header("train", 0, 1, 0, 0, "cafe", 70_000, EOT))


CORRUPTIONS = 600


@pytest.mark.slow
def test_600_corrupted_folders_are_refused_before_use(tmp_path: Path) -> None:
    """Flips bits, overwrites bytes and truncates files, in shards and manifests, in a separate process that must not crash."""
    dataset = write_dataset(tmp_path / "tokens", [[batch(1, 3), batch(2, 60)], [batch(4, 20)]])
    process = subprocess.run(
        [sys.executable, "-c", CORRUPT, dataset.folder, str(CORRUPTIONS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == [str(CORRUPTIONS)]


CORRUPT = """
import random, sys
from pathlib import Path
from tokenizer.errors import FormatError
from tokenizer.shards import Manifest
from tokenizer.stream import Stream
folder, times = Path(sys.argv[1]), int(sys.argv[2])
generator = random.Random(5)
files = sorted(folder.iterdir())
refused = 0
for turn in range(times):
    path = files[turn % len(files)]
    good = path.read_bytes()
    bad = bytearray(good)
    at = generator.randrange(len(bad))
    kind = generator.randrange(4)
    if kind < 2:
        bad[at] ^= 1 << generator.randrange(8)
    elif kind == 2:
        bad[at : at + 8] = generator.randbytes(len(bad[at : at + 8]))
    else:
        del bad[at:]
    assert bad != good
    path.write_bytes(bad)
    try:
        Stream(Manifest.load(folder).open("train"))
    except FormatError as error:
        assert str(folder) in str(error), error
        refused += 1
    path.write_bytes(good)
assert len(Manifest.load(folder).open("train")) == 2
print(refused)
"""


def test_batch_checksum_finds_a_flipped_bit(dataset: Manifest) -> None:
    entry = dataset.split("train").shards[0]
    path = Path(dataset.folder, entry.name)
    data = bytearray(path.read_bytes())
    place = bytes(data).index(SHARDS[0][1].tokens[100:200].tobytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"train-00000-of-00002\.arrow: record batch 1 does not match"):
        Shard(path).verify_batches()
    with pytest.raises(FormatError, match="damaged"):
        Manifest.load(dataset.folder).open("train")


@pytest.mark.parametrize("seed", range(60))
def test_unverified_damaged_shard_is_mapped_or_refused(dataset: Manifest, seed: int) -> None:
    path = Path(dataset.folder, dataset.split("train").shards[0].name)
    data, generator = bytearray(path.read_bytes()), random.Random(seed)
    beside_the_tokens = (generator.randrange(1200), len(data) - 1 - generator.randrange(1200))
    data[beside_the_tokens[seed % 2]] ^= 1 << generator.randrange(8)
    path.write_bytes(data)
    try:
        message = f"{path}: {len(Shard(path).batches)} batches"
    except FormatError as error:
        message = str(error)
    assert message.startswith(f"{path}: ")


def test_missing_shard_and_missing_manifest_are_named(dataset: Manifest) -> None:
    Path(dataset.folder, dataset.split("train").shards[1].name).unlink()
    with pytest.raises(FormatError, match=r"tokens-train-00001-of-00002\.arrow: missing"):
        Manifest.load(dataset.folder)
    Path(dataset.folder, "manifest.json").unlink()
    with pytest.raises(FormatError, match=r"no manifest\.json"):
        Manifest.load(dataset.folder)


@pytest.mark.parametrize("change", [1, -1, 4096])
def test_a_shard_of_another_size_is_named_before_anything_is_hashed(dataset: Manifest, change: int) -> None:
    path = Path(dataset.folder, dataset.split("train").shards[0].name)
    size = path.stat().st_size
    os.truncate(path, size + change)
    with pytest.raises(FormatError, match=rf"{path.name}: has {size + change} bytes, but the manifest says {size}"):
        Manifest.load(dataset.folder)


def test_shard_of_another_tokenizer_is_refused(dataset: Manifest) -> None:
    section = dataset.section()
    other = Manifest(dataset.folder, "beef", 50_257, EOT, dataset.splits)
    other.save()
    assert section["sha256"] != other.sha256
    with pytest.raises(FormatError, match="not of this dataset"):
        Manifest.load(dataset.folder).open("train")


def test_other_arrow_files_are_refused(tmp_path: Path) -> None:
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), pa.schema([("a", pa.int64())])) as writer:
        writer.write_table(pa.table({"a": [1]}))
    with pytest.raises(FormatError, match="not a webtext-tokens file"):
        Shard(tmp_path / "a.arrow")


def test_unknown_split_is_named_with_the_existing_ones(dataset: Manifest) -> None:
    with pytest.raises(FormatError, match="no split 'dev'; it has train"):
        dataset.open("dev")


def test_manifest_with_a_pipelines_own_keys_is_read(dataset: Manifest) -> None:
    path = Path(dataset.folder, "manifest.json")
    path.write_text(json.dumps({"stage": "tokens", "settings": {}, **json.loads(path.read_bytes())}, indent=1))
    assert Manifest.load(dataset.folder) == dataset


def test_random_batches_round_trip(tmp_path: Path) -> None:
    generator = random.Random(9)
    for shard_number in range(20):
        batches = [batch(generator.randrange(10**6), generator.randint(1, 30)) for _ in range(generator.randint(1, 5))]
        shard = Shard(tmp_path / write_shard(tmp_path, batches, shard=shard_number).name)
        assert np.array_equal(np.concatenate([b.tokens for b in shard.batches]), np.concatenate([b.tokens for b in batches]))
        assert all(item.tokens.ctypes.data % 64 == 0 for item in shard.batches)
