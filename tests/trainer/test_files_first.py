"""Every file that a command of `webtext-train` names is opened before any work; a refused command changes no folder."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from refusals import refused

from tokenizer.folder_lock import folder_lock
from trainer import cli
from trainer.checkpoint.folders import checkpoints
from trainer.evals.suite import Suite

Command = Callable[..., list[str]]
WSD = ("--schedule=wsd", "--decay-fraction=0.4", "--validate-every=100", "--checkpoint-every=100")


def test_a_mistyped_file_leaves_the_checkpoints_of_a_run_that_is_to_be_prolonged(
    small_run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The decay's checkpoints are set aside when the work starts, and not before."""
    assert cli.main(small_run("run", *WSD, "--steps=10")) == 0
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals" / "lambada_test.jsonl").write_text('{"text": \n')
    longer = small_run("run", *WSD, "--steps=20")
    lambada = [*longer, "--eval-tasks", "lambada", "--eval-data"]
    for words, named in (
        ([*lambada, str(tmp_path / "nowhere")], "nowhere: no such folder"),
        ([*lambada, str(tmp_path / "evals")], "lambada_test.jsonl"),
        ([*longer, "--eval-tasks", "lambda", "--eval-data", str(tmp_path / "evals")], "lambda"),
        ([*longer, "--tokenizer", str(tmp_path / "nowhere")], "nowhere"),
        ([*longer, "--data", str(tmp_path / "nowhere")], "nowhere"),
    ):
        assert named in refused(words, tmp_path, capsys)
    with folder_lock(tmp_path / "run"):
        assert "works in this folder" in refused(longer, tmp_path / "run", capsys)
    assert cli.main(longer) == 0
    assert [path.name for path in checkpoints(tmp_path / "run")][-1] == "step_00000020"
    assert (tmp_path / "run/checkpoints/decayed_step_00000010").is_dir()


BAD: dict[str, Callable[[Path], object]] = {
    "missing": shutil.rmtree,
    "without weights": lambda folder: (folder / "model.safetensors").unlink(),
    "of short weights": lambda folder: (folder / "model.safetensors").write_bytes(b"short"),
    "of weights outside": lambda folder: (
        (folder / "model.safetensors").rename(folder.parent / "w"),
        (folder / "model.safetensors").symlink_to(folder.parent / "w"),
    ),
    "without a shape": lambda folder: (folder / "config.json").unlink(),
    "of a shape that is no JSON": lambda folder: (folder / "config.json").write_text("{"),
    "of another architecture": lambda folder: (folder / "config.json").write_text(
        json.dumps(json.loads((folder / "config.json").read_text()) | {"activation_function": "relu"})
    ),
    "without a tokenizer": lambda folder: [
        path.unlink() for path in folder.iterdir() if path.suffix not in (".safetensors",) and path.name != "config.json"
    ],
    "with a tokenizer that is no JSON": lambda folder: (folder / "tokenizer.json").write_text("{"),
    "of an empty run": lambda folder: (shutil.rmtree(folder), (folder / "checkpoints").mkdir(parents=True)),
    "of a checkpoint without a record": lambda folder: (
        shutil.rmtree(folder),
        (folder / "checkpoints/step_00000001").mkdir(parents=True),
    ),
    "that is a pipe": lambda folder: (shutil.rmtree(folder), os.mkfifo(folder)),
}
"""How the last of several networks is wrong."""


@pytest.mark.parametrize("how", BAD)
def test_a_bad_last_network_is_refused_before_the_first_is_evaluated(
    network: Path,
    corpus_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    monkeypatch.setattr(Suite, "run", lambda *_: pytest.fail("a network was evaluated"))
    shutil.copytree(network, tmp_path / "bad")
    BAD[how](tmp_path / "bad")
    out = tmp_path / "new" / "out"
    command = [
        "eval",
        str(network),
        str(tmp_path / "bad"),
        "--tasks",
        "held_out",
        "--data",
        str(corpus_folder),
        "--out",
        str(out),
    ]
    assert cli.main(command) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert str(tmp_path / "bad") in line
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("command", ["eval", "export", "compare"])
def test_a_folder_in_use_is_refused_and_untouched(
    network: Path, corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    out = tmp_path / "out"
    words = {
        "eval": ["eval", str(network), "--tasks", "held_out", "--data", str(corpus_folder), "--out", str(out)],
        "export": ["export", str(network), str(out)],
        "compare": ["compare", f"a={corpus_folder}", f"b={corpus_folder}", "--tokens", "100000", "--out", str(out)],
    }[command]
    with folder_lock(out):
        assert f"{out}: process {os.getpid()} on host" in refused(words, tmp_path, capsys)
