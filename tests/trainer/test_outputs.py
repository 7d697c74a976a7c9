"""No command of `webtext-train` overwrites what another command, or someone else, made."""

from collections.abc import Callable
from pathlib import Path

import pytest
from refusals import contents, refused

from tokenizer.codec import Tokenizer
from trainer import cli
from trainer.config import ModelConfig
from trainer.export import save_hf
from trainer.model import GPT


@pytest.fixture
def corpus(tmp_path: Path, write_corpus: Callable[..., Path], texts: list[str]) -> Path:
    return write_corpus(tmp_path / "corpus", texts[:30], shards=1)


def test_export_writes_into_no_corpus_and_no_run(
    network: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Tokenizer([(0, 1)]).save(tmp_path / "vocabulary")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    for folder in (corpus, tmp_path / "vocabulary", tmp_path / "mine"):
        assert "holds other files" in refused(["export", str(network), str(folder)], tmp_path, capsys)
    assert "give a folder" in refused(["export", str(network), str(corpus / "manifest.json")], tmp_path, capsys)


def test_export_replaces_an_earlier_export(network: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert cli.main(["export", str(network), str(tmp_path / "out")]) == 0
        assert contents(tmp_path / "out") == contents(network)


def test_train_starts_no_run_in_a_folder_of_something_else(
    small_run: Callable[..., list[str]], corpus: Path, network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for folder in (corpus, tmp_path / "mine"):
        assert "holds other files" in refused([*small_run("run"), "--out", str(folder)], tmp_path, capsys)
    assert "choose another --out" in refused([*small_run("run"), "--out", str(network)], network, capsys)


def test_explain_replaces_its_own_page_alone(network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["explain", str(network), "--prompt", "the", "--out"]
    (tmp_path / "index.html").write_text("<h1>mine</h1>")
    (tmp_path / "folder").mkdir()
    for name in ("index.html", "folder"):
        assert "is no page of this command" in refused([*command, str(tmp_path / name)], tmp_path, capsys)
    for _ in range(2):
        assert cli.main([*command, str(tmp_path / "new" / "explain.html")]) == 0


def test_eval_replaces_its_own_report_alone(
    network: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["eval", str(network), "--tasks", "held_out", "--data", str(corpus), "--limit", "64", "--out"]
    for name in ("results.json", "report.html", "report.md"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("mine")
        assert f"holds {name} of something else" in refused([*command, str(tmp_path / name)], tmp_path, capsys)
    assert "is a file" in refused([*command, str(corpus / "manifest.json")], tmp_path, capsys)
    for _ in range(2):
        assert cli.main([*command, str(tmp_path / "evaluation")]) == 0


def test_a_network_of_another_tokenizer_is_no_start(
    small_run: Callable[..., list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    write_corpus: Callable[..., Path],
    texts: list[str],
) -> None:
    """Its embeddings would belong to other tokens."""
    other = Tokenizer([(0, 1)])
    gpt = GPT(ModelConfig(layers=2, heads=2, width=32, context=32, vocabulary=258))
    gpt.init_weights(1)
    save_hf(gpt, other, tmp_path / "other")
    mine = write_corpus(tmp_path / "tokens", texts[:30], shards=1, tokenizer=Tokenizer([(2, 3)]))
    command = [*small_run("run"), "--vocabulary=258", "--data", str(mine), "--init-from", str(tmp_path / "other")]
    assert "the network's tokenizer" in refused(command, tmp_path, capsys)
