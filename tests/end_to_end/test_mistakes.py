"""What people mistype: each command ends with exit code 2 and one line that names the mistake, and writes nothing.

The commands run in this process, which is the same as theirs but for the signals; a few also run as programs, for what only a
program shows: encodings, closed pipes, missing packages.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from corpora import TOPICS, documents_folder

from pipeline.cli.main import run as pipeline_run
from pipeline.storage.manifest import Books, StageManifest, stage_input
from tokenizer.__main__ import main as tokenizer_main
from tokenizer.bpe import train
from tokenizer.convert import write_folder
from trainer.cli import main as trainer_main
from trainer.config import ModelConfig
from trainer.export import save_hf
from trainer.model import GPT

ROOT = Path(__file__).parents[2]
MAINS: dict[str, Callable[[list[str]], int]] = {"pipeline": pipeline_run, "tokenizer": tokenizer_main, "trainer": trainer_main}


def code_of(program: str, words: list[str]) -> int:
    """The exit code of a program."""
    try:
        return MAINS[program](words)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1


PIPELINE = {
    "lnks --urls {urls}": "no command 'lnks'; did you mean links?",
    "links --output {new}": "no source of links",
    "links --urls {urls}": "--output is required",
    "links --urls {missing} --output {new}": "--urls {missing}: no such file",
    "links --urls {folder} --output {new}": "--urls {folder}: a folder; give the files in it",
    "links --urls {page} --output {new}": "--urls {page}: ",
    "links --submissions {urls} --output {new}": "--submissions {urls}:1: none of its",
    "links --submissions {zero} --output {new}": "--submissions {zero}: empty",
    "links --urls {urls} {urls} --output {new}": "2 sources of that name",
    "links --urls {urls} --output {urls}": "is an input and the --output",
    "links --urls {urls} --output {text}": "{text}: ",
    "links --urls {urls} --output {text}/new": "{text}/new: ",
    "links --urls {urls} --output {long}": "the path is too long; give a shorter one",
    "links --urls {urls} --output {folder}": "holds files that no stage made",
    "links --urls {urls} --output {dedup}": "holds the output of stage 'dedup'",
    "links --urls {urls} --output {dedup} --replace": "holds the output of stage 'dedup'",
    "links --urls {urls} --output /proc/new": "/proc/new: cannot write there",
    "links --urls {urls} --output {new} --min_kamra 5": "unknown flag: --min_kamra 5",
    "links --urls {urls} --output {new} --min-karma five": "'five' is not a whole number",
    "links --urls {urls} --output {new} --min-karma 3.5": "'3.5' is not a whole number",
    "links --urls {urls} --output {new} --min-karma 99999999999999999999": "beyond 64 bits",
    "links --urls {urls} --output {new} --created-before yesterday": "--created-before yesterday: not a day",
    "links --urls {urls} --output {new} --karma median": "invalid choice: 'median'",
    "links --urls {urls} --output {new} --subreddits r/science": "give bare names",
    "links --urls {urls} --output {new} --domain-policy strict": "--domain-policy strict: no such file",
    "links --urls {urls} --output {new} --workers 0": "'0' is not a whole number of at least 1",
    "links --urls {urls} --output {new} --workers many": "'many' is not a whole number",
    "links --urls {urls} --output {new} --workers 1000000": "at most 1,024",
    "links --urls {urls} --output {new} --runner Local": "--runner Local: Beam has no such runner here",
    "links --urls {urls} --output {new} --runner DataflowRunner": "--runner DataflowRunner: ",
    "links --urls {urls} --output {new} --dry_run true": "--dry_run: the local engine has none",
    "links --urls {urls} --output {new} --dry_run": "argument --dry_run: expected one argument",
    "links --urls {urls} --output gs://bucket/new": "gs://bucket/new: no file system for gs:// is installed; run pip install",
    "links --urls gs://bucket/list --output {new}": "gs://bucket/list: no file system for gs:// is installed",
    "links --urls {urls} --output ftp://host/new": "ftp://host/new: no file system for ftp:// is installed",
    "pages --input {missing} --output {new}": "{missing}: no manifest.json",
    "pages --input {dedup} --output {new} --fetch-from {missing}": "--fetch-from {missing}: no such file or folder",
    "pages --input {dedup} --output {new} --fetch-from {text}": "--fetch-from {text}: not a WARC or ARC file",
    "pages --input {dedup} --output {new} --fetch-from {warc}": "--fetch-from {warc}: not a WARC or ARC file",
    "pages --input {dedup} --output {new} --fetch-from {empty}": "--fetch-from {empty}: no *.warc",
    "pages --input {dedup} --output {new} --ca-bundle {text}": "--ca-bundle {text}: not certificates",
    "pages --input {dedup} --output {new} --proxy localhost:3128": "not of the form http://host:port",
    "pages --input {dedup} --output {new} --threads 100000": "--threads 100000: at most 4,096",
    "pages --input {dedup} --output {new} --host-delay nan": "'nan' is not a finite number",
    "pages --input {dedup} --output {new} --deadline-seconds inf": "'inf' is not a finite number",
    "documents --input {dedup} --output {new}": "dedup/manifest.json: names an input at",
    "documents --input {dedup} --output {new} --languages english": "--languages english: not a language that the language model knows",
    "documents --input {dedup} --output {new} --languages": "--languages: name at least one",
    "documents --input {dedup} --output {new} --filters c5": "--filters",
    "documents --input {dedup} --output {new} --bad-words {missing}": "--bad-words {missing}: no such file",
    "documents --input {dedup} --output {new} --bad-words {zero}": "the file has no words",
    "documents --input {dedup} --output {new} --takedown {folder}": "--takedown {folder}: a folder; give a file",
    "documents --input {dedup} --output {new} --takedown {page}": "is neither a URL",
    "documents --input {dedup} --output {new} --page-memory-mb 9999999": "--page-memory-mb 9999999: at most",
    "dedup --input {urls} --output {new}": "{urls}: no manifest.json",
    "dedup --input {documents} --output {new} --threshold 70": "--threshold 70.0: from 0 to 1",
    "dedup --input {documents} --output {new} --shingle 5": "--shingle 5: words:N or chars:N",
    "dedup --input {documents} --output {new} --against {documents}": "--against {documents}: holds the output of stage",
    "dedup --input {documents} --output {new} --rows 100000": "--rows 100000",
    "dedup --input {documents} --output {new} --signature-seed -1": "--signature-seed -1: from 0",
    "vocabulary --input {dedup} --output {new} --vocab-size 100": "--vocab-size 100: must be from 257",
    "vocabulary --input {dedup} --output {new} --vocab-size 70000": "--vocab-size 70000: must be from 257",
    "vocabulary --input {dedup} --output {new} --min-frequency -1": "--min-frequency -1: must be at least 0",
    "vocabulary --input {dedup} --output {new} --tokenizer gpt2": "--tokenizer gpt2 needs --tokenizer-path",
    "vocabulary --input {dedup} --output {new} --tokenizer gpt2 --tokenizer-path {ready}": "not GPT-2's own merges",
    "vocabulary --input {dedup} --output {new} --tokenizer given --tokenizer-path {text}": "not a GPT-2 tokenizer",
    "tokens --input {dedup} --vocabulary {dedup} --output {new}": "dedup/manifest.json: names an input at",
    "tokens --input {dedup} --vocabulary {dedup} --output {new} --validation-share 5": "their sum below 1",
    "tokens --input {dedup} --vocabulary {dedup} --output {new} --shard-tokens 0": "--shard-tokens 0: must be at least 1",
    "overlap --input {dedup} --output {new}": "--evaluation-sets: name at least one",
    "overlap --input {dedup} --output {new} --evaluation-sets {missing}": "--evaluation-sets {missing}: no such file",
    "overlap --input {dedup} --output {new} --evaluation-sets {json}": "{json}, line 1: not JSON",
    "report --corpus {empty} --output {new}": "no finished stage in any of",
    "report --corpus {corpus} --output {new} --run {empty}": "{empty}: no log.jsonl in this folder; --run takes",
    "report --corpus {corpus} --output {new} --watch 99999": "--watch 99999: a port is a number",
    "run --urls {urls} --output {new} --dry_run true": "unknown flag: true",
    "run --urls {urls} --output {new} --config {text}": "{text}",
    "run --urls {urls} --output {new} --takedown {missing}": "--takedown {missing}: no such file",
    "run --urls {urls} --output {new} --languages klingon": "--languages klingon: not a language that the language model knows",
    "run --urls {urls} --output {new} --dedup_threshold 0.5": "unknown flag: --dedup_threshold 0.5",
    "run --urls {urls} --output {new} --limit 0": "--limit 0: at least 1",
    "run --urls {urls} --output {new} --limit ten": "'ten' is not a whole number",
    "run --urls {urls} --output {new} --limt 10": "unknown flag: --limt 10; did you mean --limit?",
    "run --urls {urls} --output {new} --config webtxt": "--config webtxt: no such file, and no recipe of that name",
    "run --urls {urls} --output {new} --log-format xml": "--log-format xml: give text or json",
    "run --urls {urls} --output {new} -q -v": "-q and -v: give one of them",
    "run --urls {urls} --output {new} --threshold 70%": "'70%' is not a number",
    "run --urls {urls} --output {new} --filters gohper": "gohper",
    "run --urls {urls} --output {new} --watch 8080x": "'8080x' is not a whole number",
    "run --urls {urls}": "the following arguments are required: --output",
    "run --urls {urls} --ouput {new}": "--ouput is not known, did you mean --output?",
    "status --corups {corpus}": "--corups is not known, did you mean --corpus?",
    "run {urls} --output {new}": "unknown flag: {urls}",
    "rnu --urls {urls}": "no command 'rnu'; did you mean run?",
    "stats --corpus {corpus}": "no command 'stats'; did you mean status?",
    "status --corpus {missing}": "{missing}: no such folder",
    "status": "the following arguments are required: --corpus",
    "vary --corpus {corpus} --set dedup.threshold=0.8": "the following arguments are required: --output",
    "vary --set dedup.threshold=0.8 --output {new}": "--corpus DIR is required",
    "vary --corpus {missing} --output {new}": "{missing}: no finished stage there",
    "vary --corpus {corpus} --output {new} --set threshold=0.8": "write STAGE.SETTING=VALUE",
    "vary --corpus {corpus} --output {new} --set dedup.treshold=0.8": "did you mean threshold?",
    "vary --corpus {corpus} --output {new} --set dedup.threshold=much": "'much' is not a number",
    "export --corpus {corpus} --output {new} --format csv": "invalid choice: 'csv'",
    "export --corpus {corpus} --output {new} --format parqet": "did you mean parquet?",
    "recipe shwo": "invalid choice: 'shwo' (choose from 'list', 'show'); did you mean show?",
    "recipe show --config {missing}": "--config {missing}: no such file, and no recipe of that name",
    "completion tcsh": "invalid choice: 'tcsh'",
    "completion": "the following arguments are required: SHELL",
    "inspect --corpus {missing}": "no finished stage in any of",
    "inspect --corpus {corpus} --start 0": "no token shards yet",
    "inspect --corpus {corpus} --start -1": "no token shards yet",
    "inspect --corpus {corpus} --document xyz": "xyz: a document id has 32 hexadecimal digits",
    "inspect --corpus {corpus} --like {empty}": "{empty}: is a folder",
    "verify --corpus {urls}": "no finished stage in this folder",
    "card --corpus {corpus}": "the following arguments are required: --contact",
    "remove --corpus {corpus} --output {new} --sites nowhere.example": "no documents there yet",
    "join --tokens {dedup} --output {new}": "holds the output of stage 'dedup', needed: tokens",
}
TOKENIZER = {
    "": "the following arguments are required: COMMAND",
    "trian {text} --output {new}": "invalid choice: 'trian'",
    "train {missing} --output {new}": "{missing}: no such file",
    "train {folder} --output {new}": "{folder}: a folder; give a file",
    "train {text}": "the following arguments are required: --output",
    "train {text} --output {new} --vocab-size 70000": "--vocab-size 70000: must be from 257 to 65,535",
    "train {text} --output {new} --vocab-size 0": "'0' is not a whole number of at least 1",
    "train {text} --output {new} --vocab-size 1e3": "'1e3' is not a whole number",
    "train {text} --output {ready}": "{ready}: holds other files",
    "train {text} --output {text}": "{text}: ",
    "train {parquet} --output {new} --vocab-size 300": "{parquet}: no column 'text'",
    "train {wrong} --output {new} --vocab-size 300": "{wrong}: not a Parquet file",
    "evaluate {text} --tokenizers {missing}": "{missing}: no tokenizer there",
    "evaluate {documents_file} --tokenizers {ready} --by continent": "invalid choice: 'continent'",
    "evaluate {parquet} --tokenizers {ready} --by language": "{parquet}: no column",
    "decode {text} --tokenizer {ready}": "{text}: cannot be mapped as a shard",
    "decode {missing}": "{missing}: ",
    "export {empty} --format nanogpt --output {new}": "{empty}: no manifest.json there",
    "export {shards} --format nanogpt --output {new} --split test": "no split 'test'; it has train",
    "export {shards} --format nanogpt --output {text}": "{text}: exists",
    "export {shards} --format csv --output {new}": "invalid choice: 'csv'",
    "import {missing} --format nanogpt --tokenizer {ready} --output {new}": "{missing}: no such file",
    "import {text} --format llmc --tokenizer {ready} --output {new}": "does not begin with the header",
    "import {missing} --format megatron --tokenizer {ready} --output {new}": "{missing}.idx: no such file",
    "import {odd} --format nanogpt --tokenizer {ready} --output {new}": "are not 16-bit tokens",
    "verify {text}": "{text}",
}
TRAIN = "--data {shards} --out {new} --vocabulary 259 --context 16 --batch-tokens 64"
TRAINER = {
    "": "the following arguments are required: COMMAND",
    "trian tiny": "invalid choice: 'trian'",
    "train gpt3 --data {shards} --out {new}": "invalid choice: 'gpt3'",
    "train tiny --out {new}": "--data DIR is required",
    "train tiny --data {missing} --out {new}": "{missing}: no manifest.json there",
    "train tiny --data {text} --out {new}": "{text}",
    "train tiny --data {dedup} --out {new}": "not a manifest of token shards",
    f"train tiny {TRAIN} --out {{text}}": "{text}: ",
    f"train tiny {TRAIN} --out {{shards}}": "{shards}: holds other files",
    f"train tiny {TRAIN} --steps ten": "'ten' is not a whole number",
    f"train tiny {TRAIN} --steps 0": "--steps 0: must be at least 1",
    f"train tiny {TRAIN} --learning-rate nan": "'nan' is not a finite number",
    f"train tiny {TRAIN} --clip -1": "--clip -1.0: must be at least 0",
    f"train tiny {TRAIN} --weight-decay -1": "--weight-decay -1.0: must be at least 0",
    f"train tiny {TRAIN} --beta1 1.5": "--beta1 1.5: must be at least 0 and below 1",
    f"train tiny {TRAIN} --final-fraction 2": "--final-fraction 2.0: must be between 0 and 1",
    f"train tiny {TRAIN} --seed -1": "--seed -1: must be at least 0",
    f"train tiny {TRAIN} --heads 0": "--heads 0: must be at least 1",
    f"train tiny {TRAIN} --context 1000 --batch-tokens 1000": "longer than the data",
    f"train tiny {TRAIN} --init-from {{missing}}": "{missing}: not a checkpoint",
    f"train tiny {TRAIN} --tokenizer {{missing}}": "{missing}: no tokenizer there",
    f"train tiny {TRAIN} --eval-tasks lambda": "no such task",
    f"train tiny {TRAIN} --eval-tasks lambada --eval-data {{missing}}": "{missing}: no such folder",
    "sample {missing}": "{missing}: not a checkpoint",
    "sample {empty}": "{empty}: not a checkpoint",
    "sample {shards}": "{shards}: not a checkpoint",
    "sample {network} --top-k -1": "--top-k -1: must be at least 1, or 0 for no limit",
    "sample {network} --top-p 0": "--top-p 0.0: must be above 0",
    "sample {network} --temperature -1": "--temperature -1.0: must be at least 0",
    "sample {network} --samples 0": "'0' is not a whole number of at least 1",
    "sample {network} --tokens -5": "'-5' is not a whole number of at least 1",
    "sample {network} --tokens 99999": "the model's context is 32",
    "sample {network} --seed 99999999999999999999": "beyond 64 bits",
    "export {network} {shards}": "{shards}: holds other files",
    "verify {network}": "{network}: not a checkpoint",
    "rehearse tiny --ranks 1": "--ranks 1: must be from 2",
    "rehearse tiny --ranks 99999999999": "--ranks 99999999999: must be from 2",
    "eval": "no checkpoint: name a run",
    "eval {missing}": "{missing}: not a checkpoint",
    "eval {network} --tasks poetry --out {new}": "--tasks poetry: no such task",
    "eval {network} --data {missing} --out {new}": "--data {missing}: no such folder",
    "eval {network} --limit 0 --out {new}": "'0' is not a whole number of at least 1",
    "eval {network} --out {text}": "--out {text}: is a file",
    "explain {network}": "the following arguments are required: --prompt",
    "explain {network} --prompt the --out {folder}": "is no page of this command",
}
MISTAKES = [
    pytest.param(program, words, line, id=f"{program} {words}")
    for program, mistakes in (("pipeline", PIPELINE), ("tokenizer", TOKENIZER), ("trainer", TRAINER))
    for words, line in mistakes.items()
]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths of what the mistakes name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = tmp_path_factory.mktemp("place")
    names = {name: str(place / name) for name in ("new", "missing", "empty", "folder", "corpus", "documents", "ready", "shards")}
    (place / "empty").mkdir()
    (place / "folder").mkdir()
    (place / "folder" / "notes").write_text("mine")
    files = {
        "urls": b"http://a.example/1\nhttp://b.example/2\n",
        "text": b"the cat and the hat\n" * 9,
        "page": b"<!doctype html><html><body><p>Not found</p></body></html>\n" * 9,
        "zero": b"",
        "pages.warc.gz": b"Not found\n" * 9,
        "set.jsonl": b"{'text': 1}\n",
        "wrong.parquet": b"PAR1 no\n",
        "odd": b"abc",
    }
    for name, data in files.items():
        (place / name).write_bytes(data)
        names[name] = str(place / name)
    pq.write_table(pa.table({"body": ["a b"]}), place / "body.parquet")
    names |= {"warc": names["pages.warc.gz"], "json": names["set.jsonl"], "parquet": str(place / "body.parquet")}
    names |= {"wrong": names["wrong.parquet"], "long": str(place / ("x" * 300))}
    documents_folder(place / "documents", TOPICS[:3], 1)
    names["documents_file"] = str(next((place / "documents").glob("*.parquet")))
    names["dedup"] = str(place / "corpus" / "dedup")
    StageManifest("dedup", {}, {"documents": stage_input(names["documents"], names["dedup"])}, (), Books()).save(names["dedup"])
    ready = train({"the": 9, "then": 5}, 259)
    ready.save(place / "ready")
    tokens = np.array([*ready.encode("the then"), ready.eot_id] * 99, "<u2")
    write_folder(place / "shards", {"train": tokens}, ready)
    gpt = GPT(ModelConfig(layers=1, heads=2, width=16, context=32, vocabulary=259))
    gpt.init_weights(1)
    names["network"] = str(save_hf(gpt, ready, place / "network"))
    return names


def everything(names: dict[str, str]) -> set[tuple[str, int]]:
    place = Path(names["empty"]).parent
    return {(str(p), p.stat().st_mtime_ns if p.is_file() else 0) for p in place.rglob("*")}


@pytest.mark.parametrize(("program", "words", "line"), MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(
    names: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    words: str,
    line: str,
) -> None:
    monkeypatch.chdir(names["empty"])
    before = everything(names)
    capsys.readouterr()
    code = code_of(program, shlex.split(words.format(**names)))
    output = capsys.readouterr()
    assert code == 2, output.err
    (said,) = output.err.splitlines()
    assert line.format(**names) in said
    assert output.out == ""
    assert everything(names) == before


def start(program: str, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", program, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False, env={**os.environ, **environment})


def one_line(ended: subprocess.CompletedProcess[bytes]) -> str:
    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.decode().splitlines()
    return line


@pytest.mark.parametrize("program", ["pipeline", "tokenizer"])
def test_a_program_whose_reader_went_away_ends_in_silence(names: dict[str, str], program: str) -> None:
    """As under `| head`: the pipe is closed before the first line is written."""
    words = {"pipeline": ["inspect", "--corpus", names["corpus"]], "tokenizer": ["verify", names["shards"]]}
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", program, *words[program]]
    try:
        ended = subprocess.run(command, cwd=ROOT, stdout=write, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(write)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize("program", MAINS)
def test_an_argument_that_is_not_utf8_is_refused(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(program, [os.fsdecode(b"caf\xe9")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert r"the argument caf\xe9 is no text in this terminal's encoding, utf-8; run with LC_ALL=C.UTF-8" in line


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"PYTHONIOENCODING": "ascii"}, r"caf\xe9: no such file"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0"}, "terminal's encoding, ascii; run with LC_ALL=C.UTF-8"),
    ],
    ids=["ascii output", "ascii arguments"],
)
def test_a_terminal_of_ascii_ends_no_command_with_a_traceback(environment: dict[str, str], line: str) -> None:
    assert line in one_line(start("tokenizer", "train", "café", "--output", "new", **environment))


def test_a_sample_reaches_a_terminal_of_ascii_as_escapes(names: dict[str, str]) -> None:
    ended = start("trainer", "sample", names["network"], "--prompt", "café", "--tokens", "3", PYTHONIOENCODING="ascii")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(rb"caf\xe9")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("tokenizer", ["train", "no\nsuch", "--output", "new"]),
        ("trainer", ["sample", "no\nsuch"]),
        ("pipeline", ["verify", "--corpus", "no\nsuch"]),
        ("pipeline", ["links", "--urls", "no\nsuch", "--output", "new"]),
    ],
)
def test_a_path_with_a_line_end_is_shown_on_one_line(program: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(program, words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert r"no\nsuch" in line


@pytest.mark.parametrize("command", ["sample x", "train tiny --data x --out y", "eval x"])
def test_a_missing_package_is_one_line(tmp_path: Path, command: str) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    ended = start("trainer", *command.split(), PYTHONPATH=path)
    assert "the package torch is not installed; run pip install '.[train]' in webtext's source folder" in one_line(ended)
