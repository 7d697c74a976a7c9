"""A small corpus in the pipeline's format: Python's own language reference (pydoc's topics), one token id per byte."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pytest
import torch

from tokenizer.codec import Tokenizer
from tokenizer.shards import Header, Manifest, ShardEntry, ShardWriter, SplitEntry, TokenBatch, sha256_of
from trainer.config import ModelConfig
from trainer.export import save_hf
from trainer.model import GPT

WriteCorpus = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small networks are slower on several threads, and tests run one process per core."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def byte_tokenizer() -> Tokenizer:
    """A tokenizer without merges: 256 bytes and the end of text."""
    return Tokenizer([])


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, byte_tokenizer: Tokenizer) -> Path:
    """An export of an untrained network."""
    gpt = GPT(ModelConfig(layers=1, heads=2, width=16, context=32, vocabulary=257))
    gpt.init_weights(1)
    return save_hf(gpt, byte_tokenizer, tmp_path_factory.mktemp("export") / "network")


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return [topics[name] for name in sorted(topics)]


def write_split(folder: Path, split: str, texts: list[str], tokenizer: Tokenizer, shards: int) -> SplitEntry:
    entries = []
    for shard in range(shards):
        mine = texts[shard::shards]
        documents = [[*tokenizer.encode(text), tokenizer.eot_id] for text in mine]
        offsets = np.cumsum([0, *(len(document) for document in documents)])
        tokens = np.concatenate([np.array(document, np.uint16) for document in documents])
        ids = np.array([list(hashlib.blake2b(text.encode(), digest_size=16).digest()) for text in mine], np.uint8)
        header = Header(split, shard, shards, len(mine), len(tokens), tokenizer.sha256, tokenizer.vocab_size, tokenizer.eot_id)
        path = folder / header.name
        with path.open("wb") as sink:
            writer = ShardWriter(sink, header)
            half = len(mine) // 2
            for low, high in ((0, half), (half, len(mine))):
                part = slice(offsets[low], offsets[high])
                writer.write(TokenBatch(tokens[part], offsets[low : high + 1] - offsets[low], ids[low:high]))
            writer.close()
        entries.append(ShardEntry(header.name, len(mine), len(tokens), path.stat().st_size, sha256_of(path)))
    sizes = sum(len(text.encode()) for text in texts)
    return SplitEntry(len(texts), sum(entry.tokens for entry in entries), sizes, tuple(entries))


@pytest.fixture(scope="session")
def write_corpus(byte_tokenizer: Tokenizer) -> WriteCorpus:
    """Function that writes a folder of token shards: `write_corpus(folder, texts, held_out)`."""

    def write(folder: Path, texts: list[str], held_out: int = 4, shards: int = 2, tokenizer: Tokenizer = byte_tokenizer) -> Path:
        folder.mkdir(parents=True)
        splits = {
            "train": write_split(folder, "train", texts[held_out:], tokenizer, shards),
            "validation": write_split(folder, "validation", texts[:held_out], tokenizer, 1),
        }
        manifest = Manifest(str(folder), tokenizer.sha256, tokenizer.vocab_size, tokenizer.eot_id, splits)
        (folder / "manifest.json").write_text(json.dumps({"dataset": manifest.section()}))
        tokenizer.save(folder)
        return folder

    return write


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory, write_corpus: WriteCorpus, texts: list[str]) -> Path:
    """Token shards with about 750,000 training tokens."""
    return write_corpus(tmp_path_factory.mktemp("corpus") / "tokens", texts)


SMALL_RUN = (
    "--vocabulary=257", "--layers=2", "--heads=2", "--width=32", "--context=32", "--batch-tokens=512", "--micro-batch=4",
    "--steps=30", "--warmup-steps=1", "--log-every=1", "--validate-every=10", "--validation-tokens=2048", "--checkpoint-every=5",
)  # fmt: skip


@pytest.fixture
def small_run(corpus_folder: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Function that returns the command line of a run of a few seconds: `small_run("name", "--steps=5")`."""

    def command(name: str, *more: str) -> list[str]:
        return ["train", "tiny", "--data", str(corpus_folder), "--out", str(tmp_path / name), *SMALL_RUN, *more]

    return command


def losses(run: Path) -> list[tuple[int, float | None, float | None]]:
    """Step, loss and validation loss from each line of a run's log, except lines that name the device."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [(line["step"], line.get("loss"), line.get("val_loss")) for line in lines if "device" not in line]


@pytest.fixture(name="losses")
def losses_fixture() -> Callable[[Path], list[tuple[int, float | None, float | None]]]:
    return losses
