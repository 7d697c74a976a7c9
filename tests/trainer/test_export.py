"""Hugging Face folders: bitwise round trip, and agreement with an independent GPT-2 and with `transformers`."""

import json
import math
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks import peers
from tokenizer.codec import Tokenizer
from tokenizer.errors import InputError
from trainer.checkpoint.load import load_model
from trainer.cli import main
from trainer.config import ModelConfig
from trainer.export import load_hf, names, save_hf
from trainer.model import GPT

SHAPE = ModelConfig(layers=3, heads=4, width=48, context=24, vocabulary=257)


@pytest.fixture
def model() -> GPT:
    model = GPT(SHAPE)
    model.init_weights(11)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


def reference_logits(weights: dict[str, torch.Tensor], tokens: torch.Tensor, heads: int, layers: int) -> torch.Tensor:
    """GPT-2 written out from its definition, with the published names and layouts (Conv1D is x @ W + b)."""

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return (
            centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + 1e-5) * weights[f"{name}.weight"]
            + weights[f"{name}.bias"]
        )

    def conv1d(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def gelu(x: torch.Tensor) -> torch.Tensor:
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    rows, length = tokens.shape
    x = weights["wte.weight"][tokens] + weights["wpe.weight"][:length]
    for layer in range(layers):
        q, k, v = conv1d(norm(x, f"h.{layer}.ln_1"), f"h.{layer}.attn.c_attn").split(x.shape[-1], dim=-1)
        q, k, v = (part.view(rows, length, heads, -1).transpose(1, 2) for part in (q, k, v))
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(~torch.ones(length, length, dtype=torch.bool).tril(), -math.inf)
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(rows, length, -1)
        x = x + conv1d(mixed, f"h.{layer}.attn.c_proj")
        x = x + conv1d(gelu(conv1d(norm(x, f"h.{layer}.ln_2"), f"h.{layer}.mlp.c_fc")), f"h.{layer}.mlp.c_proj")
    return norm(x, "ln_f") @ weights["wte.weight"].T


def test_export_and_import_round_trip_bitwise(model: GPT, byte_tokenizer: Tokenizer, tmp_path: Path) -> None:
    back = load_hf(save_hf(model, byte_tokenizer, tmp_path / "hf"))
    assert back.config == model.config
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), back.parameters(), strict=True))
    save_hf(back, byte_tokenizer, tmp_path / "again")
    assert (tmp_path / "again/model.safetensors").read_bytes() == (tmp_path / "hf/model.safetensors").read_bytes()


def test_logits_and_gradients_equal_gpt2s(model: GPT, byte_tokenizer: Tokenizer, tmp_path: Path) -> None:
    folder = save_hf(model, byte_tokenizer, tmp_path / "hf")
    weights = {name: value.double().requires_grad_() for name, value in load_file(folder / "model.safetensors").items()}
    tokens = torch.randint(0, 257, (3, 25), generator=torch.Generator().manual_seed(2))
    expected = reference_logits(weights, tokens[:, :-1], SHAPE.heads, SHAPE.layers)
    assert (model(tokens[:, :-1]) - expected).abs().max() < 1e-4

    model.double()
    model(tokens[:, :-1], tokens[:, 1:]).backward()
    torch.nn.functional.cross_entropy(expected.flatten(0, 1), tokens[:, 1:].flatten()).backward()
    pairs = {"token_embedding.weight": "wte.weight", "position_embedding.weight": "wpe.weight", "norm.bias": "ln_f.bias"}
    mine = dict(model.named_parameters())
    for ours, theirs in pairs.items():
        assert (mine[ours].grad - weights[theirs].grad).abs().max() < 1e-8
    for layer in range(SHAPE.layers):
        for ours, theirs in (("attention.qkv", "attn.c_attn"), ("feed_forward.projection", "mlp.c_proj")):
            gradient = mine[f"blocks.{layer}.{ours}.weight"].grad.T
            assert (gradient - weights[f"h.{layer}.{theirs}.weight"].grad).abs().max() < 1e-8


WITH_TORCH = ("transformers==5.14.0", "torch==2.13.0", "safetensors")
THEIRS = """
import json, sys
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, GPT2LMHeadModel
folder = sys.argv[1]
tokens = load_file(f"{folder}/tokens.safetensors")["tokens"]
model = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="eager").eval()
assert model.dtype == torch.float32
results = {"logits": model(tokens[:, :-1]).logits.detach()}
model.double()
logits = model(tokens[:, :-1]).logits
torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()
results.update({name: parameter.grad for name, parameter in model.named_parameters()})
save_file({name: value.contiguous().clone() for name, value in results.items()}, f"{folder}/results.safetensors")
tokenizer = AutoTokenizer.from_pretrained(folder)
texts = json.loads(sys.argv[2])
print(json.dumps([tokenizer(text)["input_ids"] for text in texts]), tokenizer.eos_token_id)
"""


@pytest.mark.slow
def test_logits_gradients_and_ids_equal_those_of_transformers(model: GPT, byte_tokenizer: Tokenizer, tmp_path: Path) -> None:
    python = peers.installed("transformers", *WITH_TORCH)
    if python is None:
        pytest.skip(f"no transformers: python benchmarks/peers.py transformers {' '.join(WITH_TORCH)}")
    folder = save_hf(model, byte_tokenizer, tmp_path / "hf")
    tokens = torch.randint(0, 257, (3, 25), generator=torch.Generator().manual_seed(2))
    save_file({"tokens": tokens}, folder / "tokens.safetensors")
    texts = ["A text, its 2nd\nline.", "naïve  \t日本語 🙂", " "]
    command = [str(python), "-c", THEIRS, str(folder), json.dumps(texts)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    ids, _, eos = done.stdout.strip().rpartition(" ")
    assert json.loads(ids) == [byte_tokenizer.encode(text) for text in texts]
    assert int(eos) == byte_tokenizer.eot_id

    results = load_file(folder / "results.safetensors")
    assert (model(tokens[:, :-1]) - results.pop("logits")).abs().max() < 1e-4
    model.double()
    model(tokens[:, :-1], tokens[:, 1:]).backward()
    mine = dict(model.named_parameters())
    compared = {f"transformer.{theirs}": mine[ours].grad for ours, theirs in names(SHAPE)}
    assert compared.keys() == results.keys()
    for name, gradient in compared.items():
        conv1d = name.startswith("transformer.h.") and gradient.ndim == 2
        assert ((gradient.T if conv1d else gradient) - results[name]).abs().max() < 1e-8, name


def test_a_hugging_face_folder_loads_as_a_model(model: GPT, byte_tokenizer: Tokenizer, tmp_path: Path) -> None:
    loaded, tokenizer, config = load_model(save_hf(model, byte_tokenizer, tmp_path / "hf"))
    assert tokenizer.sha256 == byte_tokenizer.sha256
    assert config.model == SHAPE
    assert not loaded.training


def test_export_rejects_architectures_other_than_gpt2(byte_tokenizer: Tokenizer, tmp_path: Path) -> None:
    others = {"positions": "rotary", "qk_norm": True, "activation": "relu2", "norm": "rms", "softcap": 15.0, "skips": True}
    for name, value in {**others, "value_embeddings": True}.items():
        with pytest.raises(InputError, match=f"--{name.replace('_', '-')} {value}"):
            save_hf(GPT(replace(SHAPE, **{name: value})), byte_tokenizer, tmp_path)


@pytest.mark.parametrize(("name", "value"), [("activation_function", "gelu"), ("model_type", "llama"), ("n_layer", 99)])
def test_import_rejects_another_architecture(
    model: GPT, byte_tokenizer: Tokenizer, tmp_path: Path, name: str, value: object
) -> None:
    folder = save_hf(model, byte_tokenizer, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, name: value}))
    with pytest.raises(InputError, match="not a Hugging Face GPT-2 folder"):
        load_hf(folder)


SWITCHES = {
    "scale_attn_weights": False,
    "scale_attn_by_inverse_layer_idx": True,
    "add_cross_attention": True,
    "activation_function": "gelu",
    "layer_norm_epsilon": 1e-6,
    "n_inner": 100,
    "model_type": "gpt_neo",
    "quantization_config": {"quant_method": "gptq"},
}


def change_config(folder: Path, **entries: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_that_changes_the_network_is_refused(model: GPT, byte_tokenizer: Tokenizer, tmp_path: Path, name: str) -> None:
    change_config(save_hf(model, byte_tokenizer, tmp_path / "hf"), **{name: SWITCHES[name]})
    with pytest.raises(InputError, match=f"{name} is "):
        load_model(tmp_path / "hf")


def test_entries_that_say_what_gpt2_is_are_accepted(model: GPT, byte_tokenizer: Tokenizer, tmp_path: Path) -> None:
    folder = save_hf(model, byte_tokenizer, tmp_path / "hf")
    change_config(folder, scale_attn_weights=True, n_inner=4 * SHAPE.width, reorder_and_upcast_attn=True, use_cache=True)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), load_hf(folder).parameters(), strict=True))


def shard_weights(folder: Path, parts: int) -> None:
    """Split model.safetensors as `save_pretrained(max_shard_size=…)` does."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    files = {}
    for part in range(parts):
        name = f"model-{part + 1:05d}-of-{parts:05d}.safetensors"
        chosen = dict(list(weights.items())[part::parts])
        save_file(chosen, folder / name, metadata={"format": "pt"})
        files |= dict.fromkeys(chosen, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_weights_in_several_files_are_read(model: GPT, byte_tokenizer: Tokenizer, tmp_path: Path, parts: int) -> None:
    folder = save_hf(model, byte_tokenizer, tmp_path / "hf")
    shard_weights(folder, parts)
    loaded, _, _ = load_model(folder)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True))


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "a/b.safetensors", ".."])
def test_an_index_that_leads_out_of_the_folder_is_refused(
    model: GPT, byte_tokenizer: Tokenizer, tmp_path: Path, name: str
) -> None:
    folder = save_hf(model, byte_tokenizer, tmp_path / "hf")
    shard_weights(folder, 1)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"wte.weight": name}}))
    with pytest.raises(InputError, match=r"leads (out of its|into another) folder"):
        load_model(folder)


@pytest.mark.parametrize(
    ("name", "why"),
    [("pytorch_model.bin", "pickle"), ("pytorch_model.bin.index.json", "pickle"), ("tf_model.h5", "not safetensors")],
)
def test_other_formats_are_named_as_what_they_are(
    model: GPT, byte_tokenizer: Tokenizer, tmp_path: Path, name: str, why: str
) -> None:
    folder = save_hf(model, byte_tokenizer, tmp_path / "hf")
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(InputError, match=f"{name}: .*{why}.*save_pretrained"):
        load_model(folder)


def test_a_shard_that_is_missing_is_named(model: GPT, byte_tokenizer: Tokenizer, tmp_path: Path) -> None:
    folder = save_hf(model, byte_tokenizer, tmp_path / "hf")
    shard_weights(folder, 3)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(InputError, match="model-00002-of-00003"):
        load_model(folder)


@pytest.mark.parametrize("tied", [True, False])
def test_padded_embeddings_are_left_out(byte_tokenizer: Tokenizer, tmp_path: Path, *, tied: bool) -> None:
    """A vocabulary padded from 257 to 320 gives the logits of the 257 ids, and loss and samples of those alone."""
    padded = GPT(replace(SHAPE, vocabulary=320, tied=tied))
    padded.init_weights(5)
    loaded, tokenizer, _ = load_model(save_hf(padded, byte_tokenizer, tmp_path / "hf"))
    tokens = torch.randint(0, 257, (2, 12), generator=torch.Generator().manual_seed(1))
    assert loaded.config.vocabulary == tokenizer.vocab_size == 257
    assert torch.allclose(loaded(tokens), padded.eval()(tokens)[..., :257], atol=1e-6)


def test_ids_without_an_embedding_are_refused(byte_tokenizer: Tokenizer, tmp_path: Path) -> None:
    short = GPT(replace(SHAPE, vocabulary=200))
    with pytest.raises(InputError, match="200 embeddings, its tokenizer 257 ids"):
        load_model(save_hf(short, byte_tokenizer, tmp_path / "hf"))


def test_a_diverged_network_gives_one_line(
    model: GPT, byte_tokenizer: Tokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with torch.no_grad():
        model.norm.bias.fill_(math.nan)
    folder = str(save_hf(model, byte_tokenizer, tmp_path / "hf"))
    for command in (
        ["sample", folder, "--prompt", "a", "--tokens", "3"],
        ["explain", folder, "--prompt", "ab", "--out", str(tmp_path / "x")],
    ):
        assert main(command) == 2
        assert "not numbers: its training diverged" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
