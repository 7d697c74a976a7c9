"""Every value of every JSON file, replaced by a huge or wrong one: `json_values.py FOLDER CASES SEED`.

Each case replaces one value of one file of a small corpus with its training run, its exports and its evaluation. The hashes are
right again afterwards. Then the commands that read the file run, each in a watched fork: it must do its work or refuse the file by
exit code 2 and one line, in 20 s of processor time and 200 MB. CASES 0 takes all of them. Prints JSON: file to
[refused, used], and the list of faults, which must be empty.
"""

import contextlib
import io
import itertools
import json
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from gauntlet import foreign
from gauntlet.foreign_records import FILL
from gauntlet.foreign_seals import canonical, seal_corpus, seal_section, sha256
from gauntlet.watched import Watch
from gauntlet.whole import train_words

from pipeline.cli.main import run as pipeline_command
from tokenizer.errors import InputError
from trainer.cli import main as trainer_command

MOST_MEGABYTES = 200
LONG = 10_000_000
MANY = 1_000_000
READ = 700_000
"""Values in a list that is still read."""


def _repeated(old: Any) -> str:
    """A list or object with its first part over and over, up to what is read; any other value in a list."""
    parts = list(old.values()) if isinstance(old, dict) else old if isinstance(old, list) else [old]
    part = json.dumps(parts[0] if parts else 0)
    times = min(20_000_000 // (len(part) + 12), READ // (1 + sum(part.count(sign) for sign in ",[{")))
    if isinstance(old, dict):
        return "{" + ",".join(f'"k{n:07}":{part}' for n in range(times)) + "}"
    return "[" + ",".join([part] * times) + "]"


VALUES: dict[str, Callable[[Any], str]] = {
    "a wide text": lambda _: '"' + "a" * LONG + '\U0001f600"',
    "a long text": lambda _: '"' + "a" * LONG + '"',
    "words in one text": lambda _: '"' + "word " * (LONG // 5) + '"',
    "nested arrays": lambda _: "[" * 100_000 + "]" * 100_000,
    "nested objects": lambda _: '{"a":' * 100_000 + "1" + "}" * 100_000,
    "a million numbers": lambda _: "[" + "999," * MANY + "1]",
    "many numbers": lambda _: "[" + "999," * READ + "1]",
    "many words": lambda _: "[" + '"ab",' * READ + '"ab"]',
    "many keys": lambda _: "{" + ",".join(f'"{n:x}":1000' for n in range(READ)) + "}",
    "few wide texts": lambda _: "[" + ",".join(f'"{chr(0x1F600) * 400_000}"' for _ in range(9)) + "]",
    "many of its parts": lambda old: _repeated(old),
    "10^18": lambda _: "1" + "0" * 18,
    "10^5000": lambda _: "1" + "0" * 5000,
    "1e999": lambda _: "1e999",
    "NaN": lambda _: "NaN",
    "-1": lambda _: "-1",
    "1.5": lambda _: "1.5",
    "null": lambda _: "null",
    "true": lambda _: "true",
    "an empty list": lambda _: "[]",
    "an empty object": lambda _: "{}",
    "a digit as text": lambda _: '"7"',
    "half a surrogate pair": lambda _: '"\\ud800"',
    "no text": lambda _: '""',
}


def corpus_commands(world: Path) -> list[list[str]]:
    """Commands that read a corpus."""
    corpus, new = ["--corpus", str(world / "corpus")], ["--output", str(world / "new")]
    return [
        ["status", *corpus],
        ["verify", *corpus],
        ["inspect", *corpus],
        ["inspect", *corpus, "--start", "0", "--tokens", "50"],
        ["report", *corpus, *new, "--workers", "1"],
        ["card", *corpus, "--contact", "a@b.example"],
        ["export", *corpus, "--format", "txt", *new],
        ["join", "--tokens", str(world / "corpus" / "tokens"), *new],
    ]


def run_commands(world: Path) -> list[list[str]]:
    """Commands that read a training run or one of its checkpoints."""
    run, device = str(world / "run"), ["--device", "cpu"]
    report = ["report", "--corpus", str(world / "corpus"), "--output", str(world / "new"), "--workers", "1", "--run", run]
    remove = ["remove", "--corpus", str(world / "corpus"), "--urls", foreign.URL, "--output", str(world / "new"), "--runs", run]
    return [
        ["train", "sample", run, "--tokens", "2", *device],
        ["train", "verify", run],
        ["train", "export", run, str(world / "new")],
        ["train", *train_words(world, "run")],
        report,
        remove,
    ]


def commands_of(world: Path, path: Path) -> list[list[str]]:
    """The commands that read a file."""
    tokenizer = ["tokenizer", "evaluate", str(world / "text.txt"), "--tokenizers", str(world / "tokenizer")]
    again = ["--corpus", str(world / "corpus"), "--format", "jsonl.zst", "--output", str(world / "export")]
    evaluation = ["--evaluation", str(world / "evaluation"), "--output", str(world / "new"), "--workers", "1"]
    return {
        "corpus": lambda: corpus_commands(world),
        "run": lambda: run_commands(world),
        "hf": lambda: [["train", "sample", str(world / "hf"), "--tokens", "2", "--device", "cpu"]],
        "tokenizer": lambda: [tokenizer],
        "export": lambda: [["export", *again]],
        "joined": lambda: [["join", "--tokens", str(world / "corpus" / "tokens"), "--output", str(world / "joined")]],
        "evaluation": lambda: [["report", "--corpus", str(world / "corpus"), *evaluation]],
    }[path.relative_to(world).parts[0]]()


def build(folder: Path) -> None:
    """A corpus, a run, a Hugging Face folder, a tokenizer and an evaluation; an export and a joined dataset of the corpus."""
    foreign.build(folder)
    (folder / "text.txt").write_text("the cat and the hat " * 50)
    for path in sorted(folder.glob("run/checkpoints/*"))[:-1]:
        shutil.rmtree(path)
    for name, words in (("export", ["--format", "jsonl.zst"]), ("joined", [])):
        source = ["--tokens", str(folder / "corpus" / "tokens")] if name == "joined" else ["--corpus", str(folder / "corpus")]
        command = "join" if name == "joined" else name
        assert pipeline_command([command, *source, "--output", str(folder / name), *words]) == 0


def call(world: Path, words: list[str]) -> None:
    """Run a command. Raises InputError with its line where it refuses a file, and AssertionError for any other end."""
    stderr = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(stderr):
        code = trainer_command(words[1:]) if words[0] == "train" else pipeline_command(words)
    said = stderr.getvalue()
    tells = words[0] in ("verify", "status") or words[:2] == ["train", "verify"]  # its exit code says what it found
    assert code in (0, 2) or (code == 1 and tells), f"exit code {code}: {said[-900:]}"
    assert "Traceback" not in said, said[-900:]
    if code == 2:
        lines = said.splitlines()
        assert sum(line.startswith("error: ") for line in lines) == (words[0] != "train"), said[-900:]
        raise InputError(lines[-1])


def places_of(body: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Path, parent and key of each value of a JSON text, but of each list and of each large object the first and the last."""
    keys = list(body) if isinstance(body, dict) else range(len(body)) if isinstance(body, list) else []
    shown = keys if isinstance(body, dict) and len(keys) < 60 else sorted({*keys[:1], *keys[-1:]})
    for key in shown:
        step = f"{path}.{key}" if isinstance(body, dict) else f"{path}[{key}]"
        yield step, body, key
        yield from places_of(body[key], step)


def replace(world: Path, path: Path, number: int, make: Callable[[Any], str]) -> str:
    """Replace the value number `number` of a file. Its own hash, and those in manifests, are right again. Returns its place."""
    lines = path.read_bytes().splitlines() if path.suffix == ".jsonl" else [path.read_bytes()]
    body = json.loads(lines[-1])
    where, parent, key = next(itertools.islice(places_of(body, ""), number, None))
    value, parent[key] = make(parent[key]), FILL
    filled = f'"{FILL}"'
    if path.name == "manifest.json" and where.startswith(".dataset.") and "sha256" not in where:
        with contextlib.suppress(ValueError, RecursionError):
            sealed = json.loads(json.dumps(body["dataset"]).replace(filled, value))
            seal_section(sealed)
            body["dataset"]["sha256"] = sealed["sha256"]
    text = canonical if path.name == "manifest.json" else json.dumps
    if path.name in ("manifest.json", "checkpoint.json") and body.pop("sha256", None) and where != ".sha256":
        sorted_text = text(body) if text is canonical else json.dumps(body, sort_keys=True)
        body["sha256"] = sha256(sorted_text.replace(filled, value).encode("utf-8", "surrogatepass"))
    elif where == ".sha256":
        body["sha256"] = FILL
    lines[-1] = text(body).replace(filled, value).encode("utf-8", "surrogatepass")
    path.write_bytes(b"\n".join(lines))
    seal_corpus(world / "corpus", entries=path.name != "manifest.json")
    return where


def values_in(path: Path) -> int:
    """Number of places in a JSON file, or in the last line of a file of lines."""
    data = path.read_bytes()
    return sum(1 for _ in places_of(json.loads(data.splitlines()[-1] if path.suffix == ".jsonl" else data), ""))


def cases_of(whole: Path, number: int, draw: random.Random) -> Iterator[tuple[Path, int, str]]:
    """File, number of the place, and kind of value of each case: all in any order, or so many drawn ones, each file as often."""
    paths = [path for path in sorted(whole.rglob("*.json*")) if path.suffix in (".json", ".jsonl")]
    places = {path.relative_to(whole): values_in(path) for path in paths}
    if number:
        for path in itertools.islice(itertools.cycle(draw.sample(list(places), len(places))), number):
            yield path, draw.randrange(places[path]), draw.choice(list(VALUES))
    else:
        every = [(path, at, value) for path, count in places.items() for at in range(count) for value in VALUES]
        yield from draw.sample(every, len(every))


def main() -> None:
    """Build the world in another process, whose threads a fork would lose; then replace, read, over and over."""
    folder, number, seed = Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3])
    if seed < 0:
        build(folder)
        return
    whole, world = folder / "whole", folder / "world"
    if not whole.exists():
        subprocess.run([sys.executable, __file__, str(whole), "0", "-1"], check=True, stdout=subprocess.DEVNULL)
    torch.set_num_threads(1)
    copy(whole, world)
    for words in unchanged(world):
        call(world, words)  # an unchanged folder is read; and what is loaded once is loaded before the forks
        shutil.rmtree(world / "new", ignore_errors=True)
    (folder / "outside").mkdir(exist_ok=True)
    watch = Watch([Path("/")], folder / "outside")
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    faults: list[Any] = []
    most = 0.0
    for path, at, value in cases_of(whole, number, random.Random(seed)):
        copy(whole, world)
        where = replace(world, world / path, at, VALUES[value])
        refused = 0
        for words in commands_of(world, world / path):
            ending = watch.run(lambda words=words: call(world, words), world)
            refused += ending.said is not None
            most = max(most, ending.megabytes)
            wrong = [*ending.faults, *([f"{ending.megabytes:.0f} MB"] if ending.megabytes > MOST_MEGABYTES else [])]
            faults += [[str(path), where, value, " ".join(words[:2]), fault] for fault in wrong]
            shutil.rmtree(world / "new", ignore_errors=True)
        counts[str(path)][0 if refused else 1] += 1
    print(json.dumps({"counts": counts, "faults": faults, "most_megabytes": round(most)}))


def copy(whole: Path, world: Path) -> None:
    """A world as it was built."""
    shutil.rmtree(world, ignore_errors=True)
    shutil.copytree(whole, world)


def unchanged(world: Path) -> list[list[str]]:
    """All commands."""
    return [
        words
        for part in ("corpus", "run", "hf", "tokenizer", "export", "joined", "evaluation")
        for words in commands_of(world, world / part)
    ]


if __name__ == "__main__":
    main()
