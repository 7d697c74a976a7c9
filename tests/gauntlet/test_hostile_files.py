"""Files that attack their reader: each is refused by name, and the sentinel that it would write never appears."""

import json
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.storage.manifest import StageManifest
from tokenizer.codec import Tokenizer
from tokenizer.errors import FormatError, InputError
from tokenizer.shards import Header, ShardEntry, SplitEntry, sha256_of
from tokenizer.shards import Manifest as Dataset
from trainer.checkpoint.load import load_model

HERE = Path(__file__).parents[2]
PANICS = "(" * 40_000
"""A pattern on which the library's regular expressions recurse until the process or the thread gives up."""


class Touch:
    """Writes the sentinel when unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.sentinel}",)


@pytest.fixture
def sentinel(tmp_path: Path) -> Path:
    return tmp_path / "sentinel"


def test_a_pickled_checkpoint_never_runs(tmp_path: Path, sentinel: Path) -> None:
    folder = tmp_path / "run" / "checkpoints" / "step_00000001"
    (folder / "model").mkdir(parents=True)
    for name in ("checkpoint.json", "model/shard-00001-model-00001-of-00001.safetensors", "pytorch_model.bin", "ckpt.pt"):
        (folder / name).write_bytes(pickle.dumps(Touch(sentinel)))
    for path in (tmp_path / "run", folder, folder / "ckpt.pt"):
        with pytest.raises(InputError, match=str(path)):
            load_model(path)
    assert not sentinel.exists()


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<Q", 1 << 62) + b"{}",
        struct.pack("<Q", 90)
        + json.dumps({"wte.weight": {"dtype": "F32", "shape": [1 << 40, 4], "data_offsets": [0, 16]}}).encode(),
        struct.pack("<Q", 90)
        + json.dumps({"wte.weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 1 << 60]}}).encode(),
        struct.pack("<Q", 2) + b"[]",
    ],
)
def test_a_false_safetensors_header_is_refused_by_name(tmp_path: Path, header: bytes) -> None:
    Tokenizer([]).save(tmp_path)
    config = {"model_type": "gpt2", "vocab_size": 257, "n_positions": 8, "n_embd": 16, "n_layer": 1, "n_head": 1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(header.ljust(98, b" ") + bytes(1 << 16))
    with pytest.raises(InputError, match=r"not a Hugging Face GPT-2 folder \(.*(header|Header|metadata)"):
        load_model(tmp_path)


@pytest.mark.parametrize("kind", ["Split", "Sequence"])
def test_a_tokenizer_with_a_hostile_pattern_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    """The tokenizers library panics at some patterns, which is not an Exception in Python. Our code never hands a file to it."""
    Tokenizer([]).save(tmp_path)
    path = tmp_path / "tokenizer.json"
    body = json.loads(path.read_bytes())
    split = {"type": "Split", "pattern": {"Regex": PANICS}, "behavior": "Isolated", "invert": False}
    body["pre_tokenizer"] = split if kind == "Split" else {"type": "Sequence", "pretokenizers": [split]}
    path.write_text(json.dumps(body))
    with pytest.raises(FormatError, match=str(path)):
        Tokenizer.load(tmp_path)


def test_an_arrow_bomb_is_refused_in_little_memory(tmp_path: Path) -> None:
    """A shard of a few kilobytes whose compressed buffers expand to 1 GiB, with a matching manifest."""
    header = Header("train", 0, 1, 1, 1 << 29, Tokenizer([]).sha256, 257, 256)
    path = tmp_path / header.name
    values = pa.array([bytes(1 << 30)], pa.large_binary())
    with pa.OSFile(str(path), "wb") as sink:
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        schema = header.schema()
        bomb = pa.schema([pa.field("tokens", pa.large_binary()), schema.field(1)], metadata=schema.metadata)
        with pa.ipc.new_file(sink, bomb, options=options) as writer:
            writer.write_batch(pa.record_batch([values, pa.array([bytes(16)], pa.binary(16))], schema=bomb))
    del values
    assert path.stat().st_size < 1 << 20
    entry = ShardEntry(header.name, 1, 1 << 29, path.stat().st_size, sha256_of(path))
    Dataset(str(tmp_path), header.tokenizer_sha256, 257, 256, {"train": SplitEntry(1, 1 << 29, 1, (entry,))}).save()
    script = (
        "import resource, sys; from tokenizer.errors import FormatError; from tokenizer.shards import Manifest\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: Manifest.load(sys.argv[1]).open('train')\n"
        "except FormatError as error: print(error, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, grown = done.stdout.strip().rsplit(" ", 1)
    assert header.name in said
    assert int(grown) < 64 << 10


def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path, sentinel: Path) -> None:
    """A manifest's names are joined to folders, so `../` in one could lead out, as in an archive."""
    sentinel.write_bytes(b"")
    dataset = tmp_path / "tokens"
    dataset.mkdir()
    entry = ShardEntry("sentinel", 0, 0, 0, sha256_of(sentinel))
    Dataset(str(dataset), "cafe", 257, 256, {"train": SplitEntry(0, 0, 0, (entry,))}).save()
    manifest = dataset / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"sentinel"', '"../sentinel"'))
    with pytest.raises(FormatError, match="leads out of its folder"):
        Dataset.load(dataset)
    body = {"name": "../sentinel", "kind": "x", "rows": 0, "bytes": 0, "sha256": entry.sha256}
    written = {"stage": "links", "settings": {}, "inputs": {}, "files": [body], "books": {}, "format_version": 1}
    (dataset / "manifest.json").write_text(json.dumps(written))
    with pytest.raises(InputError, match="leads out of its folder"):
        StageManifest.load(str(dataset))


def test_nothing_that_runs_code_or_unpacks_is_imported() -> None:
    """No YAML, and no archive is unpacked to disk; pickle only between the sandbox's own processes.

    wacz.py lists a ZIP file's members, evaluation_files.py reads members of the user's own evaluation sets in memory, weights.py
    writes our own weights.
    """
    allowed = {
        "pipeline/documents/blocks/weights.py",
        "pipeline/documents/forkserver.py",
        "pipeline/documents/sandbox.py",
        "pipeline/overlap/evaluation_files.py",
        "pipeline/pages/wacz.py",
    }
    words = (
        "import pickle",
        "import yaml",
        "from yaml",
        "import tarfile",
        "import zipfile",
        "shutil.unpack_archive",
        "import dill",
    )
    sources = [path for package in ("pipeline", "tokenizer", "trainer") for path in (HERE / package).rglob("*.py")]
    found = {str(path.relative_to(HERE)) for path in sources if any(word in path.read_text() for word in words)}
    assert found == allowed
    torch_load = [path for path in sources if "torch.load(" in path.read_text()]
    assert torch_load == []
    unpacking = ("extract", ".open(", "decompress")
    assert [word for word in unpacking if word in (HERE / "pipeline/pages/wacz.py").read_text()] == []
