import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tokenizer.__main__ import main
from tokenizer.bpe import train
from tokenizer.codec import Tokenizer
from tokenizer.convert import write_folder
from tokenizer.evaluate import Fit, longest, never_final
from tokenizer.folder_lock import LOCK
from tokenizer.shards import Manifest


@pytest.fixture
def folder(trained: Tokenizer, english: list[str], tmp_path: Path) -> Path:
    """A folder of token shards with 50 documents."""
    tokens, _ = trained.encode_arrow(pa.array(english[:50], pa.large_string()))
    write_folder(tmp_path / "shards", {"train": tokens}, trained)
    return tmp_path / "shards"


def test_train_writes_the_vocabulary_that_bpe_train_learns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("the cat and the hat " * 50)
    pq.write_table(pa.table({"text": ["the bat", "the rat"]}), tmp_path / "b.parquet")
    arguments = [
        "train",
        str(tmp_path / "a.txt"),
        str(tmp_path / "b.parquet"),
        "--output",
        str(tmp_path / "t"),
        "--vocab-size",
        "262",
    ]
    assert main(arguments) == 0
    tokenizer = Tokenizer.load(tmp_path / "t")
    assert (
        tokenizer.pairs
        == train({"the": 2, " cat": 50, " and": 50, " the": 99, " hat": 50, " ": 1, " bat": 1, " rat": 1}, 262).pairs
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "8 distinct words"
    assert lines[1].startswith("262 entries: ")
    assert main([*arguments[:-3], str(tmp_path / "library"), *arguments[-2:], "--trainer", "tokenizers"]) == 0
    assert Tokenizer.load(tmp_path / "library").pairs == tokenizer.pairs


def test_evaluate_compares_tokenizers(tmp_path: Path, trained: Tokenizer, capsys: pytest.CaptureFixture[str]) -> None:
    trained.save(tmp_path / "t")
    train({"ab": 3}, 258).save(tmp_path / "bytes")
    texts = ["a function returns", "eine Funktion gibt zurück", "the list"]
    columns = {"text": texts, "language": ["en", "de", None], "domain": ["a.example", "b.example", "a.example"]}
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    (tmp_path / "plain.txt").write_text("abc")
    files, paths = [str(tmp_path / "d.parquet"), str(tmp_path / "plain.txt")], [str(tmp_path / "t"), str(tmp_path / "bytes")]
    assert main(["evaluate", *files, "--tokenizers", *paths, "--by", "language", "domain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "4 documents, 55 bytes"
    assert lines[2].split()[:2] == [paths[0], "5,000"]
    assert lines[3].split()[:5] == [paths[1], "258", "54", "1.019", "5.400"]
    assert lines[3].split()[-2:] == ["0", "0"]
    assert lines[4] == "bytes per token by language, the 3 largest of 3:"
    assert [line.split()[0] for line in lines[5:8]] == ["de", "en", "unknown"]
    assert lines[5].split()[1:5] == ["1", "documents", "26", "bytes"]
    assert float(lines[5].split()[5]) > float(lines[5].split()[6]) == 1
    assert [line.split()[0] for line in lines[9:12]] == ["a.example", "b.example", "unknown"]
    assert lines[12].startswith(f"longest tokens of {paths[0]}")
    assert ": 'ab' (2), '!' (1), " in lines[13]


def test_decode_prints_the_document(folder: Path, english: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    shard = str(folder / "tokens-train-00000-of-00001.arrow")
    assert main(["decode", shard, "--document", "7"]) == 0
    assert capsys.readouterr().out == english[7] + "\n"
    assert main(["decode", shard, "--document", "50"]) == 2
    assert capsys.readouterr().err == "error: --document 50: the shard holds 50 documents, numbered from 0\n"


def test_decode_refuses_another_tokenizer(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train({"ab": 3}, 258).save(tmp_path / "other")
    assert main(["decode", str(folder / "tokens-train-00000-of-00001.arrow"), "--tokenizer", str(tmp_path / "other")]) == 2
    assert "made with another tokenizer" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["nanogpt", "llmc", "megatron"])
def test_export_and_import_round_trip(folder: Path, tmp_path: Path, kind: str) -> None:
    file, back = str(tmp_path / "file"), str(tmp_path / "back")
    assert main(["export", str(folder), "--format", kind, "--output", file]) == 0
    name = f"{file}.bin" if kind == "megatron" else file
    assert main(["import", file, "--format", kind, "--tokenizer", str(folder), "--output", back]) == 0
    ours, theirs = Manifest.load(folder), Manifest.load(back)
    assert ours.splits == theirs.splits
    flat = np.concatenate([b.tokens for s in ours.open("train") for b in s.batches])
    header_bytes = 1_024 if kind == "llmc" else 0
    raw = np.fromfile(name, "<u2", offset=header_bytes)
    assert np.array_equal(np.roll(raw, -1) if kind == "llmc" else raw, flat)


@pytest.mark.parametrize("kind", ["nanogpt", "llmc", "megatron"])
def test_truncated_file_is_refused(folder: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    assert main(["export", str(folder), "--format", kind, "--output", str(file)]) == 0
    cut = file.with_name("file.bin") if kind == "megatron" else file
    cut.write_bytes(cut.read_bytes()[:-4])
    assert main(["import", str(file), "--format", kind, "--tokenizer", str(folder), "--output", str(tmp_path / "back")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {file}")
    assert not (tmp_path / "back").exists()


def test_verify_prints_counts_and_finds_damage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(folder)]) == 0
    assert "train: 1 shards, 50 documents" in capsys.readouterr().out
    path = folder / "tokens-train-00000-of-00001.arrow"
    data = bytearray(path.read_bytes())
    data[5_000] ^= 4
    path.write_bytes(data)
    assert main(["verify", str(folder)]) == 2
    assert "damaged" in capsys.readouterr().err


def test_bad_input_prints_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(tmp_path / "none.txt"), "--output", str(tmp_path / "t")]) == 2
    assert main(["verify", str(tmp_path)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert str(tmp_path / "none.txt") in errors[0]
    assert "no manifest.json" in errors[1]


def test_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(tmp_path / "none.txt"), "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/none.txt: no such file or folder; check the path\n"
    assert not (tmp_path / "out").exists()


def test_interrupted_command_prints_one_line(tmp_path: Path) -> None:
    """Opening the pipe for writing waits until the command reads it, so the interrupt comes while the command runs."""
    pipe = tmp_path / "endless.txt"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "tokenizer", "train", str(pipe), "--output", str(tmp_path / "out")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running, pipe.open("w"):
        running.send_signal(signal.SIGINT)
        _, stderr = running.communicate(timeout=60)
    assert (running.returncode, stderr) == (130, "\ninterrupted: run the same command again\n")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [LOCK]  # it names no one who runs: the next command takes it


def test_fit_counts_bytes_tokens_and_words() -> None:
    fit = Fit(train({"ab": 5, " ab": 3}, 259))
    fit.add(pa.array(["ab ab", "é"]))
    assert (fit.documents, fit.text_bytes, fit.tokens, fit.words, fit.not_restored) == (2, 7, 4, 3, 0)
    assert fit.bytes_per_token == pytest.approx(7 / 4)
    assert fit.unused == 258 - 4
    assert fit.unigram_bits_per_byte == pytest.approx(2 * 4 / 7)


def test_few_tokens_are_never_final(trained: Tokenizer) -> None:
    assert never_final(trained) < trained.vocab_size / 100
    assert len(longest(trained)[0]) >= len(longest(trained)[1]) > 10
