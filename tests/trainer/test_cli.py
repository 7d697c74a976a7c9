"""Command line: bad input gives one line and exit code 2 before anything is written."""

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from damage import flip_a_bit

from tokenizer.codec import Tokenizer
from tokenizer.errors import DISK_FAILED, InputError
from tokenizer.shards import Manifest, sha256_of
from trainer import cli
from trainer.checkpoint.folders import checkpoints
from trainer.checkpoint.load import load_model
from trainer.checkpoint.tensors import HuggingFaceStorageWriter
from trainer.export import save_hf
from trainer.model import GPT
from trainer.presets import PRESETS, RECIPES
from trainer.train import _load_initial

Command = Callable[..., list[str]]


def error_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The single line that a rejected command prints."""
    capsys.readouterr()
    assert cli.main(words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--lerning-rate=1"], "--lerning-rate"),
        (["--learning-rate=-1"], "must be above 0"),
        (["--width=33"], "not a multiple of --heads"),
        (["--context=4000000", "--batch-tokens=4000000"], "longer than the data"),
        (["--batch-tokens=100"], "not a multiple of --context"),
        (["--vocabulary=50257"], "--vocabulary 257"),
        (["--tokenizer=/nowhere"], "/nowhere"),
        (["--data=/nowhere"], "/nowhere"),
        (["--resume"], "no checkpoint to resume from"),
        (["--init-from=/nowhere"], "/nowhere"),
        (["--optimizer=sgd"], "sgd"),
    ],
)
def test_bad_input_is_reported_before_anything_is_written(
    small_run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert message in error_line(small_run("run", *more), capsys)
    assert not (tmp_path / "run").exists()


def test_more_ranks_than_windows_are_rejected(
    small_run: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "64")
    assert "64 ranks, but 16 windows per step" in error_line(small_run("run"), capsys)


def test_message_for_another_tokenizer_contains_both_hashes(
    small_run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Tokenizer([(0, 1)])
    other.save(tmp_path / "other")
    line = error_line(small_run("run", "--tokenizer", str(tmp_path / "other")), capsys)
    assert other.sha256 in line
    assert Tokenizer([]).sha256 in line


def test_message_for_a_damaged_shard_names_it(
    small_run: Command, corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(corpus_folder, copy)
    shard = next(copy.glob("tokens-train-*"))
    flip_a_bit(shard)
    assert shard.name in error_line([*small_run("run"), "--data", str(copy)], capsys)


def test_message_for_a_shard_of_another_version_names_it(
    small_run: Command, write_corpus: Callable[..., Path], texts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_corpus(tmp_path / "tokens", texts[:20], shards=1)
    manifest = Manifest.load(folder)
    (entry,) = manifest.splits["train"].shards
    reader = pa.ipc.open_file(pa.BufferReader((folder / entry.name).read_bytes()))
    schema = reader.schema.with_metadata({**reader.schema.metadata, b"version": b"2"})
    with pa.ipc.new_file(folder / entry.name, schema) as writer:
        for batch in range(reader.num_record_batches):
            writer.write_batch(reader.get_batch(batch).replace_schema_metadata(schema.metadata))
    changed = replace(entry, bytes=(folder / entry.name).stat().st_size, sha256=sha256_of(folder / entry.name))
    manifest.splits["train"] = replace(manifest.splits["train"], shards=(changed,))
    manifest.save()
    line = error_line([*small_run("run"), "--data", str(folder)], capsys)
    assert entry.name in line
    assert "version 1" in line


def test_an_empty_data_folder_is_rejected(small_run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert "no manifest.json there" in error_line([*small_run("run"), "--data", str(tmp_path / "empty")], capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("held_out", [[], ["a"], ["only 31 bytes, and context is 32"[:31]]])
def test_a_run_without_a_validation_loss_says_so_in_one_line(
    small_run: Command,
    write_corpus: Callable[..., Path],
    texts: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    held_out: list[str],
) -> None:
    folder = write_corpus(tmp_path / "few", [*(held_out or ["x"]), *texts[:9]], max(1, len(held_out)), shards=1)
    if not held_out:
        manifest = Manifest.load(folder)
        del manifest.splits["validation"]
        manifest.save()
    assert cli.main([*small_run("run", "--steps=1"), "--data", str(folder)]) == 0
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "no validation loss" in line)
    assert "--validation-share" in line
    assert "val_loss" not in (tmp_path / "run/log.jsonl").read_text()


def test_message_for_a_run_with_other_settings_lists_the_differences(
    small_run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(small_run("run", "--steps=2")) == 0
    line = error_line(small_run("run", "--steps=3", "--width=16"), capsys)
    assert "steps 3, not 2" in line
    assert "width 16, not 32" in line


def test_message_for_another_corpus_contains_both_fingerprints(
    small_run: Command, write_corpus: Callable[..., Path], texts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_corpus(tmp_path / "other", texts[::-1])
    assert cli.main(small_run("run", "--steps=2")) == 0
    line = error_line([*small_run("run", "--steps=2"), "--data", str(other)], capsys)
    fingerprint = json.loads((tmp_path / "run/config.json").read_text())["corpus_sha256"]
    assert fingerprint in line
    assert Manifest.load(other).sha256 in line


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "removed":
        path.unlink()
        return
    if how == "tampered":
        data[len(data) // 2] ^= 1
    path.write_bytes(data[: len(data) // 2] if how == "truncated" else data)


@pytest.mark.parametrize("how", ["truncated", "tampered", "removed"])
def test_a_damaged_checkpoint_is_rejected_and_fall_back_uses_an_earlier_one(
    small_run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    words = small_run("run", "--steps=10", "--keep=5")
    assert cli.main(words) == 0
    newest = checkpoints(tmp_path / "run")[-1]
    (weights,) = (newest / "model").iterdir()
    damage(weights, how)
    assert weights.name in error_line(words, capsys)
    assert weights.name in error_line(["verify", str(newest)], capsys)
    assert cli.main([*words, "--fall-back"]) == 0
    assert "resuming from step 5" in capsys.readouterr().err
    assert cli.main(["verify", str(tmp_path / "run")]) == 0


def test_after_falling_back_the_damaged_checkpoint_is_kept_aside_and_new_ones_are_not_pruned(
    small_run: Command, tmp_path: Path
) -> None:
    assert cli.main(small_run("run", "--steps=6", "--keep=9", "--checkpoint-every=2")) == 0
    first, second, third = checkpoints(tmp_path / "run")
    shutil.copytree(first, first.with_name("step_best"))
    for broken in (second, third):
        damage(next((broken / "model").iterdir()), "truncated")
    stop = small_run("run", "--steps=6", "--keep=1", "--checkpoint-every=1", "--fall-back")
    assert cli.main(stop) == 0
    names = {path.name for path in (tmp_path / "run/checkpoints").iterdir()}
    assert names == {"step_best", "step_00000006", f"damaged_{second.name}", f"damaged_{third.name}"}
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["step_00000006"]
    assert cli.main(["verify", str(tmp_path / "run")]) == 0


def test_weights_of_another_tokenizer_are_no_start(
    small_run: Command, byte_tokenizer: Tokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two tokenizers of one size: the same id stands for different tokens."""
    assert cli.main(small_run("run", "--steps=1")) == 0
    other = Tokenizer([(1, 2)])
    model, _, _ = load_model(tmp_path / "run")
    wider = GPT(replace(model.config, vocabulary=other.vocab_size))
    wider.init_weights(1)
    one, two = Tokenizer([(3, 4)]), other
    for name, tokenizer in (("one", one), ("two", two)):
        save_hf(wider, tokenizer, tmp_path / name)
    config = RECIPES["gpt2"](PRESETS["tiny"]())
    fitting = replace(config, model=wider.config)
    assert _load_initial(str(tmp_path / "one"), fitting, one).config == wider.config
    with pytest.raises(InputError, match=r"tokenizer .* is not the token shards'"):
        _load_initial(str(tmp_path / "two"), fitting, one)
    assert byte_tokenizer.sha256 not in (one.sha256, two.sha256)


def test_a_full_disk_leaves_earlier_checkpoints_intact(
    small_run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = small_run("run", "--steps=10", "--checkpoint-every=4", "--keep=5")
    inner = HuggingFaceStorageWriter.write_data
    writes = []

    def write_data(self: object, *rest: object) -> object:
        writes.append(rest)
        if len(writes) > 2:
            raise OSError(28, "No space left on device")
        return inner(self, *rest)

    monkeypatch.setattr(HuggingFaceStorageWriter, "write_data", write_data)
    assert cli.main(words) == DISK_FAILED
    monkeypatch.undo()
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["step_00000004"]
    assert cli.main(["verify", str(tmp_path / "run")]) == 0
    assert cli.main(words) == 0


def test_a_checkpoint_contains_no_pickle(small_run: Command, tmp_path: Path) -> None:
    assert cli.main(small_run("run", "--steps=2")) == 0
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".json", ".jsonl", ".safetensors", ".txt", ".tiktoken"}


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def test_pickles_in_checkpoints_are_never_loaded(small_run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mark = tmp_path / "mark"
    harmful = pickle.dumps(Payload(mark))
    words = small_run("run", "--steps=5")
    assert cli.main(words) == 0
    newest = checkpoints(tmp_path / "run")[-1]
    for place in ("model/.metadata", "optimizer/.metadata", ".metadata"):  # names of pickles in torch's own format
        (newest / place).write_bytes(harmful)
    assert cli.main(["sample", str(newest), "--tokens=1"]) == 0
    assert cli.main(small_run("next", "--steps=2", "--init-from", str(newest))) == 0
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("pytorch_model.bin", "model.pt", "checkpoint.json", "model.safetensors", "config.json"):
        (foreign / name).write_bytes(harmful)
        error_line(["sample", str(foreign)], capsys)
        error_line(small_run("other", "--init-from", str(foreign)), capsys)
    assert not mark.exists()
    pickle.loads(harmful)
    assert mark.exists()


def test_sampling_a_checkpoint_is_repeatable(small_run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(small_run("run", "--steps=5")) == 0
    words = ["sample", str(tmp_path / "run"), "--prompt", "The ", "--prompt", "A cl", "--tokens", "10", "--seed", "3"]
    outputs = []
    for _ in range(2):
        capsys.readouterr()
        assert cli.main(words) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert outputs[0].startswith("The ")
    assert "A cl" in outputs[0]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in ("train", "sample", "eval", "export", "rehearse", "verify"))
    assert len(text.splitlines()) < 25


def test_the_trainer_imports_no_network_library_no_beam_and_no_tracker() -> None:
    banned = {"apache_beam", "praw", "requests", "urllib3", "httpx", "aiohttp", "pipeline", "tensorboard", "wandb"}
    program = f"import sys, trainer.train, trainer.commands; print(*({{m.split('.')[0] for m in sys.modules}} & {banned}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_presets_are_listed_with_their_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["presets"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["preset", "parameters"]
    assert [line.split()[0] for line in lines] == list(PRESETS)
    assert [int(line.split()[1].replace(",", "")) for line in lines[1:]] == [124_439_808, 354_823_168, 774_030_080, 1_557_611_200]


def test_the_recipe_of_flags_can_be_printed_without_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "gpt2-xl", "--recipe", "modern", "--steps", "77", "--print-config"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == RECIPES["modern"](PRESETS["gpt2-xl"]()).with_options(steps=77).to_json()
    assert "--steps -1" in error_line(["train", "tiny", "--steps", "-1", "--print-config"], capsys)


@pytest.mark.parametrize(
    ("words", "code"), [(("--warmup-steps=31",), 2), (("--warmup-steps=30",), 0), (("--steps=40", "--warmup-steps=41"), 2)]
)
def test_a_warm_up_longer_than_the_run_is_refused(words: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "tiny", "--print-config", "--steps=30", *words]) == code
    assert ("longer than the run" in capsys.readouterr().err) is (code == 2)
    assert cli.main(["train", "tiny", "--print-config", "--steps=5"]) == 0, "a preset's own warm-up is no fault of the user's"


@pytest.mark.parametrize("flag", ["--data", "--out"])
def test_data_and_out_are_required_to_train(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    other = {"--data": "--out", "--out": "--data"}[flag]
    assert f"{flag} DIR is required" in error_line(["train", "tiny", other, "x"], capsys)


def test_a_long_prompt_keeps_its_last_tokens(small_run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(small_run("run", "--steps=2")) == 0
    capsys.readouterr()
    words = ["sample", str(tmp_path / "run"), "--tokens", "10", "--temperature", "0", "--device", "cpu"]
    ends = []
    for prompt in ("x" * 100 + "the end of a long prompt", "the end of a long prompt"[-22:]):
        assert cli.main([*words, "--prompt", prompt]) == 0
        ends.append(capsys.readouterr().out.removeprefix(prompt))
    assert ends[0] == ends[1]
    assert "--tokens 32: the model's context is 32" in error_line(["sample", str(tmp_path / "run"), "--tokens", "32"], capsys)


def test_one_validation_loss_is_said_by_train_log_and_eval(
    small_run: Command, corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A split of at most --validation-tokens is scored whole, by one protocol."""
    assert cli.main(small_run("run", "--steps=2", "--validation-tokens=1000000")) == 0
    shown = capsys.readouterr().err
    logged = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    loss = next(line for line in logged if "val_loss" in line)
    words = [
        "eval",
        str(tmp_path / "run"),
        "--data",
        str(corpus_folder),
        "--tasks",
        "held_out",
        "--out",
        str(tmp_path / "evaluation"),
    ]
    assert cli.main(words) == 0
    results = json.loads((tmp_path / "evaluation/results.json").read_text())["results"]
    found = {entry["metric"]: entry["value"] for entry in results}
    assert found["nats per token"] == loss["val_loss"]
    assert found["bits per byte"] == loss["bits_per_byte"]
    assert f"validation loss {loss['val_loss']:.3f} nats per token" in shown
    assert "(the whole split, windows of 32)" in shown
    table = capsys.readouterr().out.splitlines()
    assert table[0].split()[:2] == ["task", "metric"]
    row = next(line for line in table if "nats per token" in line)
    assert f"{loss['val_loss']:,.4g}" in row
    assert "validation split as one stream" in row


def test_eval_where_nothing_runs_exits_2_with_a_line(
    small_run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(small_run("run", "--steps=2")) == 0
    capsys.readouterr()
    words = ["eval", str(tmp_path / "run"), "--tasks", "lambada", "winograd", "--out", str(tmp_path / "evaluation")]
    assert cli.main(words) == 2
    out = capsys.readouterr()
    assert "no task ran: lambada: " in out.err
    assert "--where" in out.err
    assert out.out == ""
    assert not (tmp_path / "evaluation").exists()
