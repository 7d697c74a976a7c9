"""Checkpoints and Hugging Face folders of others: names, sizes, shapes and headers are checked before anything is built."""

import json
import os
import struct
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch

from tokenizer.codec import Tokenizer
from tokenizer.errors import InputError
from trainer.checkpoint.folders import newest
from trainer.checkpoint.load import load_model
from trainer.checkpoint.metadata import CheckpointMetadata
from trainer.checkpoint.save import write
from trainer.config import ModelConfig, TrainConfig
from trainer.distributed import World
from trainer.export import save_hf
from trainer.model import GPT

SHAPE = ModelConfig(layers=1, heads=1, width=16, context=8, vocabulary=257)
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with one checkpoint of an untrained network."""
    model, tokenizer = GPT(SHAPE), Tokenizer([])
    model.init_weights(1)
    config = TrainConfig(model=SHAPE, batch_tokens=8)
    metadata = CheckpointMetadata(3, 24, 1, "ab" * 32, tokenizer.sha256, config)
    parts = {"model": {name: weight.detach() for name, weight in model.named_parameters()}}
    write(tmp_path / "run", metadata, parts, tokenizer, World())
    return tmp_path / "run"


def seal(folder: Path, change: Change = lambda _: None, *, entries: bool = False) -> None:
    """Change checkpoint.json; its hashes are right afterwards."""
    path = folder / "checkpoint.json"
    body = json.loads(path.read_bytes())
    for name, entry in body["files"].items() if entries else ():
        data = (folder / name).read_bytes()
        entry |= {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    change(body)
    body.pop("sha256")
    body["sha256"] = sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(body))


def refused(folder: Path, said: str) -> None:
    with pytest.raises(InputError, match=said) as refusal:
        load_model(folder)
    assert "\n" not in str(refusal.value)
    assert str(folder) in str(refusal.value)


METADATA: dict[str, tuple[Change, str]] = {
    "width 10^7": (lambda body: body["config"]["model"].update(width=10**7), "--width 10000000: must be at most"),
    "large width": (lambda body: body["config"]["model"].update(width=1 << 16, heads=1), "parameters .width 65536"),
    "many layers": (lambda body: body["config"]["model"].update(layers=4000), "layers 4000"),
    "layers of text": (lambda body: body["config"]["model"].update(layers="1"), "model.layers is '1'"),
    "half a layer": (lambda body: body["config"]["model"].update(layers=1.5), "model.layers is 1.5"),
    "no heads": (lambda body: body["config"]["model"].update(heads=0), "--heads 0"),
    "negative context": (lambda body: body["config"]["model"].update(context=-8), "--context -8"),
    "unknown activation": (lambda body: body["config"]["model"].update(activation="os.system"), "--activation os.system"),
    "unknown field": (lambda body: body["config"].update(surprise=1), "it has no 'surprise'"),
    "no model": (lambda body: body["config"].pop("model"), "'model' is missing"),
    "NaN as rate": (lambda body: body["config"].update(learning_rate=float("nan")), "learning_rate is nan"),
    "step of text": (lambda body: body.update(step="3"), "step is '3'"),
    "negative step": (lambda body: body.update(step=-3), "step is -3"),
    "files of a list": (lambda body: body.update(files=[]), r"files is \[\]"),
    "climbing name": (lambda body: body["files"].update({"../../x": {"bytes": 0, "sha256": ""}}), "'../../x' leads out"),
    "absolute name": (lambda body: body["files"].update({"/etc/passwd": {"bytes": 0, "sha256": ""}}), "'/etc/passwd' leads out"),
    "remote name": (lambda body: body["files"].update({"s3://b/x": {"bytes": 0, "sha256": ""}}), "'s3://b/x' leads out"),
    "no files": (lambda body: body["files"].clear(), "not listed in checkpoint.json"),
    "another format": (lambda body: body.update(format="pickle"), "not a webtext-checkpoint"),
}


@pytest.mark.parametrize("kind", METADATA)
def test_each_field_of_a_checkpoint_has_its_type_and_range(run: Path, kind: str) -> None:
    change, said = METADATA[kind]
    seal(newest(run), change)
    refused(run, said)


def tensors_of(folder: Path) -> Path:
    return next((folder / "model").glob("*.safetensors"))


def rewrite_header(path: Path, change: Change) -> None:
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    body = json.loads(data[8 : 8 + size])
    change(body)
    header = json.dumps(body).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data[8 + size :])


def shard_at(name: str, start: list[Any]) -> Change:
    def change(body: dict[str, Any]) -> None:
        parts = json.loads(body["__metadata__"]["DCP_SHARDING_INFO"])
        parts[name]["saved_offsets"] = start
        body["__metadata__"]["DCP_SHARDING_INFO"] = json.dumps(parts)

    return change


NAME = "token_embedding.weight"
HEADERS: dict[str, tuple[Change, str]] = {
    "another shape": (lambda body: body[NAME].update(shape=[16, 257]), "is no part of|hold"),
    "a huge shape": (lambda body: body[NAME].update(shape=[1 << 40, 16]), "model: "),
    "a negative shape": (lambda body: body[NAME].update(shape=[-1, 16]), "model: "),
    "offsets beyond": (lambda body: body[NAME].update(data_offsets=[0, 1 << 50]), "model: "),
    "offsets of text": (lambda body: body[NAME].update(data_offsets=["0", "4"]), "model: "),
    "another type": (lambda body: body[NAME].update(dtype="X9"), "model: "),
    "a tensor less": (lambda body: body.pop("norm.weight"), "model: "),
    "a part beyond": (shard_at(NAME, [10**9, 0]), "is no part of"),
    "a part before": (shard_at(NAME, [-5, 0]), "is -5"),
    "a part of text": (shard_at(NAME, ["0", 0]), r"saved_offsets\[0\] is '0'"),
    "a part without a place": (lambda body: body["__metadata__"].update(DCP_SHARDING_INFO="{}"), "does not say where"),
    "parts that are none": (lambda body: body["__metadata__"].update(DCP_SHARDING_INFO="["), "Expected `object`"),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_wrong_header_of_tensors_is_refused(run: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    change, said = HEADERS[kind]
    folder = newest(run)
    rewrite_header(tensors_of(folder), change)
    seal(folder, entries=True)
    refused(run, said)
    assert "Traceback" not in capfd.readouterr().err


def test_tensors_that_nobody_listed_are_refused(run: Path) -> None:
    tensors = tensors_of(newest(run))
    tensors.with_name("more.safetensors").write_bytes(tensors.read_bytes())
    refused(run, "more.safetensors: not listed")


@pytest.mark.parametrize("name", ["checkpoints", "checkpoints/step_00000003", "checkpoints/step_00000003/model"])
def test_a_folder_that_is_a_link_out_is_refused(run: Path, name: str) -> None:
    (run / name).rename(run.parent / "outside")
    (run / name).symlink_to(run.parent / "outside")
    refused(run, "outside its folder|not a checkpoint")


KINDS: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "zero": lambda path: path.symlink_to("/dev/zero"),
    "outside": lambda path: path.symlink_to("/etc/hostname"),
    "folder": lambda path: path.mkdir(),
    "2 GB": lambda path: path.touch() or os.truncate(path, 2 << 30),  # type: ignore[func-returns-value]
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["checkpoint.json", "tokenizer/tokenizer.json", "hf/config.json", "hf/tokenizer.json"])
def test_a_file_that_is_none_is_refused(run: Path, kind: str, name: str) -> None:
    folder = newest(run)
    if name.startswith("hf/"):
        model, tokenizer, _ = load_model(run)
        folder = save_hf(model, tokenizer, run / "hf").parent
    (folder / name).unlink()
    KINDS[kind](folder / name)
    with pytest.raises(InputError, match=r"checkpoint\.json|tokenizer\.json|config\.json|hf"):
        load_model(folder / "hf" if name.startswith("hf/") else run)


CONFIGS: dict[str, tuple[Change, str]] = {
    "a wide network": (lambda body: body.update(n_embd=1 << 16), "n_embd 65536"),
    "width 10^7": (lambda body: body.update(n_embd=10**7), "--width 10000000"),
    "layers of text": (lambda body: body.update(n_layer="1"), "n_layer is '1'"),
    "tied is text": (lambda body: body.update(tie_word_embeddings="yes"), "tie_word_embeddings is 'yes'"),
    "no vocabulary": (lambda body: body.pop("vocab_size"), "vocab_size"),
    "another model": (lambda body: body.update(model_type="bert"), "model_type is 'bert'"),
    "context 10^18": (lambda body: body.update(n_positions=10**18), "--context 1000000000000000000"),
    "another width": (lambda body: body.update(n_embd=8), "size mismatch"),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_each_field_of_a_hugging_face_config_is_checked(tmp_path: Path, kind: str) -> None:
    change, said = CONFIGS[kind]
    model = GPT(SHAPE)
    with torch.no_grad():
        save_hf(model, Tokenizer([]), tmp_path)
    body = json.loads((tmp_path / "config.json").read_bytes())
    change(body)
    (tmp_path / "config.json").write_text(json.dumps(body))
    refused(tmp_path, said)
