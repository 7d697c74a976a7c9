"""Whole comparisons with networks of a few thousand parameters: outcome, resuming, damage, and what is refused."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tokenizer.bpe import train as train_bpe
from tokenizer.pre_tokens import pre_tokenize
from trainer.cli import main
from trainer.compare.plan import Plan, TrialRun
from trainer.compare.run import finished

NETWORK = (
    "--preset=tiny", "--vocabulary=257", "--layers=1", "--heads=2", "--width=16", "--context=32", "--batch-tokens=512", "--jobs=2",
)  # fmt: skip
BEGUN_AT_KILLS = (1, 2, 3) if os.environ.get("WEBTEXT_FULL") else (3,)
"""How many of the four runs have begun when a comparison is killed."""
RUN = (*NETWORK, "--tokens=20000", "--seeds=2", "--held-out-documents=40", "--device=cpu")


@pytest.fixture(scope="module")
def pieces(texts: list[str]) -> list[str]:
    """Some hundred documents of about a kilobyte, no two alike."""
    parts = {text[i : i + 1200].strip() for text in texts for i in range(0, len(text), 1200)}
    return sorted((part for part in parts if len(part) > 500), key=lambda part: part[::-1])


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory, write_corpus: Callable[..., Path], pieces: list[str]) -> dict[str, Path]:
    """A corpus, and one whose training documents are noise."""
    folder = tmp_path_factory.mktemp("corpora")
    held_out = pieces[:40]
    noise = [piece[::-1].swapcase() for piece in pieces[40:]]
    return {
        "text": write_corpus(folder / "text" / "tokens", [*held_out, *pieces[40:]], held_out=40),
        "noise": write_corpus(folder / "noise" / "tokens", [*held_out, *noise], held_out=40),
    }


def compare(*words: object) -> int:
    return main(["compare", *map(str, words)])


def answer(out: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((out / "comparison.json").read_text())
    return body


@pytest.fixture(scope="module")
def compared(corpora: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compared") / "out"
    assert compare(corpora["text"], corpora["noise"].parent, "--out", out, *RUN) == 0
    return out


def test_a_comparison_ends_with_its_answer_a_page_and_a_section_for_the_card(compared: Path) -> None:
    body = answer(compared)
    outcome = body["outcome"]
    assert [row["corpus"] for row in outcome["ranking"]] == ["text", "noise"]
    assert outcome["seeds"] == [1, 2]
    assert outcome["cost"]["runs"] == 4
    assert set(outcome["matrix"]) == {"text", "noise"}
    (pair,) = outcome["pairs"]
    assert pair["difference"]["value"] < 0
    assert pair["difference"]["low"] < pair["difference"]["value"] < pair["difference"]["high"]
    for curve in outcome["curves"]["text"].values():
        assert len(curve) >= 4
        assert curve[-1][1] < curve[0][1]
    page = (compared / "comparison.html").read_text()
    assert outcome["sentence"].split(" (")[0] in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "| held-out set |" in (compared / "card.md").read_text()
    assert not list(compared.rglob("*.arrow")), "samples are deleted"
    assert not list(compared.rglob("step_*")), "checkpoints are deleted"
    facts = {each["name"]: each for each in body["facts"]["corpora"]}
    assert facts["text"]["bytes_per_token"] == pytest.approx(1, abs=0.01)
    assert body["facts"]["pairs"][0]["word_divergence"] > 0.5


def test_a_finished_comparison_is_not_done_again(compared: Path, corpora: dict[str, Path]) -> None:
    before = {path: path.stat().st_mtime_ns for path in compared.rglob("run.json")}
    old = answer(compared)["outcome"]
    assert compare(corpora["text"], corpora["noise"].parent, "--out", compared, *RUN) == 0
    assert {path: path.stat().st_mtime_ns for path in compared.rglob("run.json")} == before
    assert answer(compared)["outcome"] == old


def test_more_seeds_join_those_that_are_done(compared: Path, corpora: dict[str, Path], tmp_path: Path) -> None:
    out = shutil.copytree(compared, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("run.json")}
    more = [word for word in RUN if word != "--seeds=2"]
    assert compare(corpora["text"], corpora["noise"].parent, "--out", out, *more, "--seeds=3") == 0
    assert before.items() < {path: path.stat().st_mtime_ns for path in out.rglob("run.json")}.items()
    assert answer(out)["outcome"]["seeds"] == [1, 2, 3]


@pytest.mark.parametrize("flag", ["--tokens=30000", "--learning-rate=0.1", "--level=0.1", "--about=corpora", "--layers=2"])
def test_other_settings_on_the_same_folder_are_refused(
    flag: str, compared: Path, corpora: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(corpora["text"], corpora["noise"].parent, "--out", compared, *RUN, flag) == 2
    assert "other settings" in capsys.readouterr().err


def kill_after(words: list[str], out: Path, runs: int) -> None:
    """Start the comparison, and kill all its processes once so many of its runs have begun."""
    command = [sys.executable, "-m", "trainer", "compare", *words]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, start_new_session=True, **quiet) as process:
        try:
            while len({path.parent for name in ("log.jsonl", "run.json") for path in out.rglob(name)}) < runs:
                with suppress(subprocess.TimeoutExpired):
                    pytest.fail(f"ended with {process.wait(0.05)} before {runs} runs had begun")
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_killed_comparison_gives_the_same_answer_to_the_digit(corpora: dict[str, Path], compared: Path, tmp_path: Path) -> None:
    words = [str(corpora["text"]), str(corpora["noise"].parent), "--out", str(tmp_path / "out"), *RUN]
    for runs in BEGUN_AT_KILLS:
        kill_after(words, tmp_path / "out", runs)
    assert compare(*words) == 0
    outcomes = [answer(out)["outcome"] for out in (tmp_path / "out", compared)]
    for outcome in outcomes:
        del outcome["cost"]["run_seconds"]
    assert outcomes[0] == outcomes[1]


def test_one_corpus_that_cannot_be_read_does_not_lose_the_others(
    corpora: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "manifest.json").write_text("{}")
    out = tmp_path / "out"
    quick = [word for word in RUN if not word.startswith(("--seeds", "--tokens"))]
    assert compare(corpora["text"], bad, corpora["noise"], "--out", out, *quick, "--seeds=1", "--tokens=2048") == 2
    assert {row["corpus"] for row in answer(out)["outcome"]["ranking"]} == {"text", "noise"}
    assert str(bad) in (out / "comparison.html").read_text()
    assert "One seed per corpus" in answer(out)["outcome"]["sentence"]


def test_a_comparison_of_these_very_corpora_trains_on_all_of_their_documents(corpora: dict[str, Path], tmp_path: Path) -> None:
    quick = [word for word in RUN if not word.startswith("--tokens")]
    out = tmp_path / "out"
    assert compare(corpora["text"], corpora["noise"], "--out", out, *quick, "--tokens=2048", "--about=corpora") == 0
    outcome = answer(out)["outcome"]
    assert outcome["share"] == 0
    assert outcome["seeds"] == [1, 2]
    record = finished(TrialRun(0, 1).folder(Plan.load(out), out))
    assert record is not None
    assert record["drawn"]["documents"] == Plan.load(out).corpora[0].train_documents


def shuffled(text: str, share: float = 0.3) -> str:
    """The text with a share of its words in each other's places."""
    draw, words = random.Random(text), text.split(" ")
    places = [i for i in range(len(words)) if draw.random() < share]
    moved = [words[i] for i in draw.sample(places, len(places))]
    for place, word in zip(places, moved, strict=True):
        words[place] = word
    return " ".join(words)


@pytest.mark.slow
def test_a_corpus_with_shuffled_words_is_found_worse(
    write_corpus: Callable[..., Path], pieces: list[str], tmp_path: Path
) -> None:
    """Tokens are words and their parts, so that a small network soon learns which follow each other."""
    counts = Counter(word for piece in pieces for word in pre_tokenize(piece))
    tokenizer = train_bpe(counts, 512)
    common = tmp_path / "common.jsonl"
    common.write_text("".join(json.dumps({"text": piece}) + "\n" for piece in pieces[:60]))
    forms = {"whole": pieces[60:], "shuffled": [shuffled(piece) for piece in pieces[60:]]}
    folders = [
        write_corpus(tmp_path / name, [*pieces[:4], *form], tokenizer=tokenizer, held_out=4) for name, form in forms.items()
    ]
    flags = ("--recipe=modern", "--vocabulary=512", "--layers=1", "--heads=2", "--width=32", "--context=64", "--batch-tokens=1024",
             "--learning-rate=1e-2", "--no-compile", "--tokens=90000", "--seeds=3", "--device=cpu", "--about=corpora")  # fmt: skip
    assert compare(*folders, "--out", tmp_path / "out", "--held-out", common, *flags) == 0
    outcome = answer(tmp_path / "out")["outcome"]
    (pair,) = outcome["pairs"]
    assert outcome["sentence"].startswith("whole is better than shuffled: ")
    assert pair["p"] <= 0.05
    assert pair["difference"]["high"] < 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["text"], "needs two corpora"),
        (["text", "/nowhere"], "needs two corpora that can be read: /nowhere"),
        (["text", "noise", "--seeds=-1"], "--seeds -1"),
        (["text", "noise", "--level=0"], "--level 0"),
        (["text", "noise", "--power=1.5"], "--power 1.5"),
        (["text", "noise", "--detect=0"], "--detect 0"),
        (["text", "noise", "--held-out", "/nowhere.jsonl"], "--held-out /nowhere.jsonl: no such file"),
        (["text", "noise", "--tasks", "wikitext2"], "--eval-data"),
        (["text", "noise", "--tasks", "nonsense", "--eval-data", "."], "nonsense"),
        (["text", "noise", "--tasks", "wikitext2", "--eval-data", "/nowhere"], "/nowhere: no such folder"),
        (["text", "noise", "--tasks", "wikitext2", "lambada", "--eval-data", "empty"], "no file of theirs in"),
        (["text", "noise", "--tasks", "lambada", "--eval-data", "broken"], "lambada_test.jsonl"),
        (["text", "noise", "--tokens=5"], "--tokens 5: fewer than a step's"),
        (["text", "noise", "--heads=3"], "--heads 3"),
        (["text", "noise", "--preset=huge"], "huge"),
        (["text", "noise", "--sed=3"], "did you mean --seed"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    words: list[str], says: str, corpora: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "lambada_test.jsonl").write_text('{"text": \n')
    words = [str(tmp_path / word) if word in ("empty", "broken") else word for word in words]
    network = () if any(word.startswith(("--preset", "--heads", "--tokens")) for word in words) else NETWORK
    assert compare(*[corpora.get(word, word) for word in words], "--out", out, *network) == 2
    error = capsys.readouterr().err.strip()
    assert says in error
    assert "\n" not in error
    assert not out.exists()


def test_a_corpus_without_held_out_documents_asks_for_texts(
    write_corpus: Callable[..., Path],
    pieces: list[str],
    corpora: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bare = write_corpus(tmp_path / "bare", pieces, held_out=1)
    assert compare(corpora["text"], bare, "--out", tmp_path / "out", *RUN) == 2
    assert "give more with --held-out" in capsys.readouterr().err


def test_held_out_documents_that_a_corpus_trains_on_are_taken_out(
    write_corpus: Callable[..., Path], pieces: list[str], corpora: dict[str, Path], tmp_path: Path
) -> None:
    """The other corpus trains on 15 of the first one's held-out documents."""
    leaky = write_corpus(tmp_path / "leaky" / "tokens", [*pieces[60:100], *pieces[:15], *pieces[100:200]], held_out=40)
    out = tmp_path / "out"
    quick = [word for word in RUN if not word.startswith(("--seeds", "--tokens"))]
    texts = tmp_path / "common.jsonl"
    texts.write_text("".join(json.dumps({"text": "Other words: " + piece[::-1]}) + "\n" for piece in pieces[:30]))
    words = (corpora["text"], leaky, "--out", out, *quick, "--seeds=1", "--tokens=2048", "--held-out", texts)
    assert compare(*words) == 0
    plan = Plan.load(out)
    assert plan.removed["text"] >= 15  # more, since some pieces quote others
    assert plan.removed["common"] == 0
    assert plan.primary == ("common",)
    assert f"{plan.removed['text']} documents of text taken out" in (out / "comparison.html").read_text()


@pytest.mark.slow
def test_corpora_with_tokenizers_of_their_own_are_compared_in_bits_per_byte(
    write_corpus: Callable[..., Path], pieces: list[str], corpora: dict[str, Path], tmp_path: Path
) -> None:
    counts: dict[str, int] = {}
    for piece in pieces:
        for word in piece.split(" "):
            counts[f" {word}"] = counts.get(f" {word}", 0) + 1
    tokenizer = train_bpe(counts, 400)
    merged = write_corpus(tmp_path / "merged" / "tokens", pieces, held_out=40, tokenizer=tokenizer)
    out = tmp_path / "out"
    assert compare(corpora["text"], merged, "--out", out, *RUN) == 0
    scores = {row["corpus"]: row["bits_per_byte"] for row in answer(out)["outcome"]["ranking"]}
    assert scores["merged"] < scores["text"], "at equal tokens, merges see more text"
    records = [finished(TrialRun(corpus, 1).folder(Plan.load(out), out)) for corpus in (0, 1)]
    sizes = [record["parameters"] for record in records if record]
    assert sizes[1] - sizes[0] == 16 * (400 - 257)


@pytest.mark.slow
def test_a_pilot_names_the_seeds(corpora: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in RUN if not word.startswith(("--seeds", "--tokens"))]
    out = tmp_path / "out"
    flags = ["--tokens=6000", "--most-seeds=3", "--detect=5"]
    assert compare(corpora["text"], corpora["noise"], "--out", out, *words, *flags) == 0
    error = capsys.readouterr().err
    assert "2 seeds find a difference of" in error
    assert answer(out)["outcome"]["seeds"] == [1, 2]
    assert sorted(path.name for path in (out / "pilot").iterdir()) == [
        f"{name}-{1_000_001 + seed}" for name in ("noise", "text") for seed in range(3)
    ]


def test_a_corpus_that_changed_is_refused(
    write_corpus: Callable[..., Path],
    pieces: list[str],
    corpora: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    changing = write_corpus(tmp_path / "changing" / "tokens", [*pieces[:40], *pieces[50:150]], held_out=40)
    quick = [word for word in RUN if not word.startswith(("--seeds", "--tokens"))]
    words = (corpora["text"], changing, "--out", tmp_path / "out", *quick, "--seeds=1", "--tokens=1024")
    assert compare(*words) == 0
    shutil.rmtree(changing)
    write_corpus(changing, [*pieces[:40], *pieces[50:140]], held_out=40)
    assert compare(*words) == 2
    assert "other settings (corpora" in capsys.readouterr().err


def test_names_of_folders_cannot_forge_marks_or_files(
    write_corpus: Callable[..., Path], pieces: list[str], tmp_path: Path
) -> None:
    odd = [write_corpus(tmp_path / name, pieces[: 80 + i], held_out=40) for i, name in enumerate(["<b>x", "a|b\x1b[2J", "…"])]
    quick = [word for word in RUN if not word.startswith(("--seeds", "--tokens"))]
    out = tmp_path / "out"
    assert compare(*odd, f"é ü={odd[0]}", "--out", out, *quick, "--seeds=1", "--tokens=1024") == 0
    names = [corpus.name for corpus in Plan.load(out).corpora]
    assert len(set(names)) == 4
    assert all("/" not in name and "\x1b" not in name and "<" not in name for name in names)
    page = (out / "comparison.html").read_text()
    assert "<b>x" not in page
    assert "\x1b" not in page
