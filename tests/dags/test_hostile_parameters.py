"""Parameters of the DAG are words of a command: no shell and no template of Jinja ever reads them. Skips without Airflow."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MONTH = "2017-12"
HOSTILE = (
    "{{ 7 * 7 }}; touch PWNED",
    "{{ params }}{% endraw %}{% raw %}",
    "{% if true %}x{% endif %}",
    "{# gone #}",
    "{{ '{' }}",
    "}} %} #} {",
    "$(touch PWNED)",
    "`touch PWNED`",
    "'; touch PWNED; '",
    '" && touch PWNED && "',
    "two  words",
    "*",
    "~",
    "a\\b\\",
    "new\nline",
    "carriage\rreturn\r\n",
    "name.sh",
    "-n",
    "$HOME ${PATH} !!",
    "# comment",
    "été {month} {python}",
    "{{{{ 7 * 7 }}}}",
    "{%- set x = 1 -%}{{- x -}}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ macros.datetime.now() }} {{ ds }} {{ var.value.secret }}",
    "{{\n7 * 7\n}}",
    "{# open",
    "{{ open",
    "{% endfor %}",
    "\\{{ 7 }}\\",
    "x.bash",
    "x.sh ",
    "a\tb",
    "%s %(x)s %%",
    "\u202e\x1b[31m",
    "'\"'\"'",
)
RECORDER = r"""#!/bin/sh
printf '%s\0' "$#" "$@" >> "$RECORD"
"""


@pytest.fixture(scope="module")
def airflow() -> str:
    """The interpreter that has Airflow."""
    beside = ROOT / ".venv-airflow" / "bin" / "python"
    if beside.exists():
        return str(beside)
    if find_spec("airflow"):
        return sys.executable
    pytest.skip("no Airflow here (.venv-airflow): the DAGs are not tested")


def prepare(folder: Path, text: str) -> tuple[dict[str, Any], Path]:
    """Parameters that are all hostile, a finished earlier month, and a program in place of Python that records its arguments."""
    name = text.replace("/", "")
    base = folder / f"out {name}"
    for stage in ("2017-11/documents", "2017-11/dedup", "2017-11/tokens", "2018-01/dedup"):
        (base / stage).mkdir(parents=True)
        (base / stage / "manifest.json").write_text("{}")
    recorder = folder / f"python {name}"
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    return {
        "dump": f"{text}/RS_{{month}}",
        "output": str(base),
        "python": str(recorder),
        "created_before": text,
        "only_subreddits": text,
        "contact": text,
        "takedown": text,
        "vocabulary_month": "",
        "runner": text,
        "flags": [text, f"--x={text}"],
        "pages_flags": [text],
        "vocabulary_flags": [text],
        "tokens_flags": [text],
        "train_flags": [text, "eval.sh"],
        "launcher": "python",
        "train": True,
        "month": "",
    }, base


def commands(given: dict[str, Any], base: Path, text: str) -> dict[str, list[list[str]]]:
    """The arguments of the commands that each task has to run."""
    corpus, more = f"{base}/{MONTH}", ["--replace", f"--runner={text}", text, f"--x={text}"]
    dump = f"{text}/RS_{{month}}".replace("{month}", MONTH)
    rules = ["--submissions", dump, "--min-karma", "3", "--created-before", text, "--only-subreddits", text]
    before, after = f"{base}/2017-11", f"{base}/2018-01"
    run, shards = f"{base}/runs/{MONTH}", f"{base}/tokens/{MONTH}"
    listed = ["--takedown", text]
    compared = ["--threshold", "0.7", "--also-read", str(base), "--against", f"{before}/dedup"]
    vocabulary = f"{base}/vocabulary"
    return {
        "links": [["-m", "pipeline", "links", "--corpus", corpus, *rules, *more]],
        "pages": [["-m", "pipeline", "pages", "--corpus", corpus, "--contact", text, *listed, text, *more]],
        "documents": [["-m", "pipeline", "documents", "--corpus", corpus, *listed, *more]],
        "take_down": [["-m", "pipeline", "remove", "--corpus", before, "--replace", "--list", text]],
        "dedup": [
            ["-m", "pipeline", "dedup", "--corpus", corpus, *compared, *more],
            ["-m", "pipeline", "dedup", "--corpus", after, *compared, f"{corpus}/dedup", *more],
        ],
        "vocabulary": [["-m", "pipeline", "vocabulary", "--corpus", corpus, "--output", vocabulary, text, *more[1:]]],
        "tokens": [
            ["-m", "pipeline", "tokens", "--corpus", corpus, "--vocabulary", vocabulary, "--also-read", str(base), text, *more]
        ],
        "join": [
            [
                *("-m", "pipeline", "join", "--output", shards, "--also-read", str(base), *listed),
                *("--tokens", f"{before}/tokens", f"{corpus}/tokens"),
            ]
        ],
        "train": [["-m", "trainer", "train", "gpt2-small", "--data", shards, "--out", run, text, "eval.sh"]],
        "evaluate": [
            [
                *("-m", "trainer", "eval", run, "--data", shards),
                *("--tasks", "held_out", "--out", f"{base}/evaluations/{MONTH}"),
            ]
        ],
        "report": [
            [
                *("-m", "pipeline", "report", "--corpus", corpus, "--report-title", f"Corpus of {MONTH}"),
                *("--run", run, "--evaluation", f"{base}/evaluations/{MONTH}"),
            ]
        ],
    }


def recorded(record: Path) -> list[list[str]]:
    """The arguments of each call of the recorder."""
    fields = iter(record.read_bytes().decode().split("\0")[:-1])
    return [[next(fields) for _ in range(int(count))] for count in fields]


@pytest.mark.slow
def test_every_parameter_reaches_its_program_as_it_is(airflow: str, tmp_path: Path) -> None:
    calls, expected = [], []
    for number, text in enumerate(HOSTILE):
        (tmp_path / str(number)).mkdir()
        given, base = prepare(tmp_path / str(number), text.replace("PWNED", str(tmp_path / "PWNED")))
        for task, arguments in commands(given, base, given["contact"]).items():
            calls.append([task, given, MONTH])
            expected += arguments
    (tmp_path / "calls.json").write_text(json.dumps(calls))
    record = tmp_path / "record"
    (tmp_path / "home").mkdir()
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "RECORD": str(record),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    command = [airflow, str(Path(__file__).with_name("task_runs.py")), str(ROOT / "dags"), str(tmp_path / "calls.json")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert recorded(record) == expected
    assert not list(tmp_path.rglob("PWNED"))
