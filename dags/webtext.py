"""One month of Reddit becomes a corpus, and the corpora of all months a trained GPT-2, by the commands that a user would type.

Each run turns one month's dump into OUTPUT/YYYY-MM: a run on 1 December takes November. Its documents are compared with those kept
from all earlier months, without reading their text again (dedup --against). Months may come in any order: a month that comes late, is
cleared or loses documents makes those after it stale, and the run makes exactly those anew. Documents that the take-down list names go
from all months. Airflow only starts programs: `python` names the interpreter of the environment that webtext is installed in.

Before the first run, create the pool that allows one crawl at a time: `airflow pools set webtext_fetch 1 "one crawl at a time"`.
Months of the past are made by choice: `airflow backfill create --dag-id webtext --from-date 2012-01-01 --to-date 2017-12-31`.
"""

import functools
import json
import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.decorators.bash import _BashDecoratedOperator
from airflow.sdk import Asset, ObjectStoragePath, Param, dag, get_current_context, task
from airflow.sdk.bases.decorator import task_decorator_factory
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.timetables.interval import CronDataIntervalTimetable

MONTHLY = CronDataIntervalTimetable("0 0 1 * *", timezone="UTC")
"""A run starts when its month is over. Its logical date is the month's first day ("@monthly" alone would take the month that begins)."""
MONTH = "{{ (dag_run.logical_date or (dag_run.run_after.replace(day=1) - macros.timedelta(days=1))).strftime('%Y-%m') }}"
MONTH_NAME = re.compile(r"\d{4}-\d{2}")
FETCH_POOL = "webtext_fetch"
PATIENT = {
    "retries": 3,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(hours=1),
    "execution_timeout": timedelta(days=2),
}
"""Every command resumes where a killed one stopped, so a retry is safe and repeats only unfinished parts."""

CORPUS = Asset("webtext_corpus")
TOKENIZER = Asset("webtext_tokenizer")
CHECKPOINT = Asset("webtext_checkpoint")

LAUNCHERS = {
    "python": ("{python}", "-m", "trainer", "train"),
    "torchrun": (
        *("{python}", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "{gpus}"),
        *("-m", "trainer", "train"),
    ),
    "slurm": ("sbatch", "--wait", "--gpus-per-node", "{gpus}", "{launch_script}"),
    "kubernetes": ("{launch_script}",),
}
"""Commands to append the trainer's arguments to (preset, --data, --out). A `launch_script` must wait for the end of its job."""

PARAMS = {
    "dump": Param("/data/reddit/RS_{month}.zst", type="string", description="a month's dump; {month} is YYYY-MM"),
    "month": Param(
        "", type="string", pattern=r"^(\d{4}-\d{2})?$", maxLength=7, description="take this month instead of the run's own"
    ),
    "output": Param("/data/webtext", type="string", minLength=1, description="folder of all months"),
    "python": Param("python", type="string", minLength=1, description="interpreter that webtext is installed for"),
    "min_karma": Param(3, type="integer", minimum=0, description="minimum karma of a link"),
    "created_before": Param("none", type="string", description="only submissions before this day (the paper: 2018-01-01)"),
    "only_subreddits": Param("", type="string", description="file of the only subreddits to keep; empty: all"),
    "threshold": Param(0.7, type="number", minimum=0, maximum=1, description="minimum similarity of near-duplicates"),
    "contact": Param("", type="string", description="contact address in the crawler's User-Agent"),
    "runner": Param("FnApiRunner", type="string", description="Beam runner of the stages"),
    "takedown": Param("", type="string", description="take-down list for all months, past and to come; empty: none"),
    "vocabulary_month": Param(
        "",
        type="string",
        pattern=r"^(\d{4}-\d{2})?$",
        maxLength=7,
        description="month of the vocabulary of all; empty: the first that runs",
    ),
    "flags": Param([], type="array", items={"type": "string"}, description="more flags for every stage, also Beam's"),
    "pages_flags": Param([], type="array", items={"type": "string"}, description="more flags for the crawl"),
    "vocabulary_flags": Param([], type="array", items={"type": "string"}, description="more flags for the vocabulary"),
    "tokens_flags": Param([], type="array", items={"type": "string"}, description="more flags for the token shards"),
    "train": Param(True, type="boolean", description="train on the grown corpus"),
    "preset": Param("gpt2-small", enum=["tiny", "gpt2-small", "gpt2-medium", "gpt2-large", "gpt2-xl"], description="model"),
    "train_flags": Param([], type="array", items={"type": "string"}, description="more flags for the trainer"),
    "launcher": Param("torchrun", enum=[*LAUNCHERS], description="what submits the training"),
    "gpus": Param(1, type="integer", minimum=1, description="processes of torchrun, or GPUs per node of Slurm"),
    "launch_script": Param("", type="string", description="Slurm script or Kubernetes launcher"),
}


def inert(command: str) -> str:
    """A template of Jinja that renders to the command, whatever is in it.

    Airflow renders what a `task.bash` returns, so a parameter `{{ … }}` would run after it was quoted, and Airflow reads a file in place of
    a command that ends in `.sh`. Every mark of Jinja begins with a brace. Jinja would also change carriage returns.
    """
    return re.sub(r"[{\r]", lambda match: f"{{{{ {match[0]!r} }}}}", command) + " "


BAD_INPUT = 2
"""The exit code of a command whose input or flags a person must correct: to try it again would fail again."""


class NoVocabularyError(AirflowSkipException):  # type: ignore[misc]
    """The month has no vocabulary yet: its shards are made by another month's run."""


class Program(_BashDecoratedOperator):  # type: ignore[misc]
    """Runs a shell command. Exit code 2 fails the task at once, without a retry."""

    def execute(self, context: Any) -> Any:
        """Run the command."""
        try:
            return super().execute(context)
        except NoVocabularyError:
            raise
        except AirflowSkipException as error:
            raise AirflowFailException(f"exit code {BAD_INPUT}: the line above says what to correct; not tried again") from error


def program(**options: Any) -> Callable[[Callable[[str], list[list[str]]]], Any]:
    """Make a task of a function that gives the commands of a month; each of their words is quoted once and never rendered.

    A function without commands skips the task.
    """

    def decorate(function: Callable[[str], list[list[str]]]) -> Any:
        @functools.wraps(function)
        def script(month: str) -> str:
            commands = function(get_current_context()["params"]["month"] or month)
            return inert("\n".join(["set -e", *map(shlex.join, commands)]))

        return task_decorator_factory(decorated_operator_class=Program, skip_on_exit_code=BAD_INPUT, **options)(script)

    return decorate


def stage(name: str, month: str, *more: str, runner: bool = True) -> list[str]:
    """Command of one stage on the corpus folder of one month."""
    params = get_current_context()["params"]
    beam = [f"--runner={params['runner']}", *params["flags"]] if runner else []
    return [params["python"], "-m", "pipeline", name, "--corpus", folder(month), *more, *beam]


def replacing(name: str, month: str, *more: str) -> list[str]:
    """Command of a stage that makes a finished month anew where its inputs or its settings are others now."""
    return stage(name, month, *more, "--replace")


def folder(month: str) -> str:
    """The corpus folder of a month."""
    return f"{get_current_context()['params']['output']}/{month}"


def place(path: str) -> Any:
    """A path, local or on an object store. Airflow's connections give access."""
    return ObjectStoragePath(path) if "://" in path else Path(path)


def months() -> list[str]:
    """All months that the output folder holds, oldest first. Fails where it cannot be listed: no month may be left out unseen."""
    output = get_current_context()["params"]["output"]
    try:
        names = [entry.name for entry in place(output).iterdir()]
    except FileNotFoundError:
        return []
    except (OSError, ImportError, ValueError) as error:
        raise AirflowFailException(
            f"{output}: cannot be listed ({error}); install the provider of its scheme for Airflow"
        ) from error
    return sorted(name for name in names if MONTH_NAME.fullmatch(name))


def manifest(path: str) -> dict[str, Any] | None:
    """The manifest of a stage's folder; None where it has not finished."""
    file = place(f"{path}/manifest.json")
    if not file.exists():
        return None
    try:
        found = json.loads(file.read_text())
    except ValueError:
        return {}  # the stage itself says what is wrong with it
    return found if isinstance(found, dict) else {}


def finished(kind: str) -> dict[str, dict[str, Any]]:
    """The manifests of all months that have finished the stage `kind`, oldest first."""
    found = {month: manifest(f"{folder(month)}/{kind}") for month in months()}
    return {month: body for month, body in found.items() if body is not None}


def read_hashes(body: dict[str, Any], prefix: str) -> set[str]:
    """The hashes of the manifests that a stage has read: those whose input names begin with `prefix`."""
    inputs = body.get("inputs", {})
    return {entry.get("sha256", "") for name, entry in inputs.items() if name.startswith(prefix)}


def stale_dedup(month: str) -> list[str]:
    """The months to compare again, oldest first: `month`, and those that have not read exactly the months before them as they are.

    A month that is made anew has another manifest, so all after it follow.
    """
    documents, done = finished("documents"), finished("dedup")
    stale: list[str] = []
    for name in sorted({*done, month}):
        earlier = {body["sha256"] for other, body in done.items() if other < name and "sha256" in body}
        body = done.get(name, {})
        own = documents.get(name, {}).get("sha256")
        changed = own is not None and ({own} != read_hashes(body, "documents") or earlier != read_hashes(body, "against_"))
        if name == month or stale or changed:
            stale.append(name)
    return stale


def stale_tokens(month: str) -> list[str]:
    """The months to encode again: `month`, and those whose shards are not of their present documents or vocabulary, or missing."""
    vocabulary = (manifest(f"{get_current_context()['params']['output']}/vocabulary") or {}).get("sha256")
    done = finished("tokens")
    names = [month]
    for name, body in finished("dedup").items():
        read = done.get(name, {})
        if "sha256" in body and read_hashes(read, "") != {body["sha256"], vocabulary}:
            names.append(name)
    return sorted(set(names))


@program()
def links(month: str) -> list[list[str]]:
    """Turn a month's dump into links."""
    params = get_current_context()["params"]
    months()  # fails before anything is made if the output cannot be listed
    rules = ["--min-karma", str(params["min_karma"]), "--created-before", params["created_before"]]
    rules += ["--only-subreddits", params["only_subreddits"]] if params["only_subreddits"] else []
    return [replacing("links", month, "--submissions", params["dump"].replace("{month}", month), *rules)]


def listed(flag: str) -> list[str]:
    """The flag with the take-down list, if there is one."""
    path = get_current_context()["params"]["takedown"]
    return [flag, path] if path else []


@program(pool=FETCH_POOL, execution_timeout=timedelta(days=7))
def pages(month: str) -> list[list[str]]:
    """Crawl the links; the pool allows one crawl at a time."""
    params = get_current_context()["params"]
    contact = ["--contact", params["contact"]] if params["contact"] else []
    return [replacing("pages", month, *contact, *listed("--takedown"), *params["pages_flags"])]


@program()
def documents(month: str) -> list[list[str]]:
    """Extract text from the pages."""
    return [replacing("documents", month, *listed("--takedown"))]


@program()
def take_down(month: str) -> list[list[str]]:
    """Remove what the take-down list names from the other months; a report stays in each that loses something."""
    params = get_current_context()["params"]
    others = [name for name in finished("documents") if name != month] if params["takedown"] else []
    commands = [["-m", "pipeline", "remove", "--corpus", folder(name), "--replace", *listed("--list")] for name in others]
    return [[params["python"], *words] for words in commands] or [["echo", "no list of take-downs, or no other month"]]


@program()
def dedup(month: str) -> list[list[str]]:
    """Remove duplicates, also of documents kept from earlier months; and compare the months again that are stale."""
    params = get_current_context()["params"]
    settings = ["--threshold", str(params["threshold"]), "--also-read", params["output"]]
    stale = stale_dedup(month)
    done = sorted({*finished("dedup"), *stale})
    return [replacing("dedup", name, *settings, *against([other for other in done if other < name])) for name in stale]


def against(names: list[str]) -> list[str]:
    """The flag with the dedup folders of months, if there are any."""
    return ["--against", *(f"{folder(name)}/dedup" for name in names)] if names else []


@program(outlets=[TOKENIZER])
def vocabulary(month: str) -> list[list[str]]:
    """Train the vocabulary of all months, on the month that the parameter names. Another one is a new lineage: another output."""
    params = get_current_context()["params"]
    output, chosen = f"{params['output']}/vocabulary", params["vocabulary_month"]
    if (made := manifest(output)) is not None:
        source = made.get("inputs", {}).get("dedup", {}).get("path", "")
        if chosen and source and source != f"../{chosen}/dedup":
            raise AirflowFailException(
                f"{output} is made from {source}, not from {chosen}: shards of two vocabularies cannot be joined; choose another output"
            )
        return [["echo", "the vocabulary of all months stays"]]
    if chosen and chosen != month:
        raise NoVocabularyError(f"no vocabulary yet: the run of {chosen} (parameter vocabulary_month) makes it, and all shards")
    return [stage("vocabulary", month, "--output", output, *params["vocabulary_flags"])]


@program()
def tokens(month: str) -> list[list[str]]:
    """Write the token shards of the month, and of those whose documents are others now."""
    params = get_current_context()["params"]
    flags = ["--vocabulary", f"{params['output']}/vocabulary", "--also-read", params["output"], *params["tokens_flags"]]
    return [replacing("tokens", name, *flags) for name in stale_tokens(month)]


@program(outlets=[CORPUS])
def join(month: str) -> list[list[str]]:
    """Join the shards of all months into one dataset, by links."""
    params = get_current_context()["params"]
    output = f"{params['output']}/tokens/{month}"
    shards = [f"{folder(name)}/tokens" for name in sorted({*finished("tokens"), month})]
    flags = ["--also-read", params["output"], *listed("--takedown")]
    return [[params["python"], "-m", "pipeline", "join", "--output", output, *flags, "--tokens", *shards]]


@task.short_circuit(ignore_downstream_trigger_rules=False)
def check_training() -> bool:
    """Whether to train: the parameter `train`."""
    return bool(get_current_context()["params"]["train"])


@program(outlets=[CHECKPOINT], execution_timeout=timedelta(days=10))
def train(month: str) -> list[list[str]]:
    """Train by the chosen launcher; a retry resumes from the last checkpoint."""
    params = get_current_context()["params"]
    launch = [word.format(**params) for word in LAUNCHERS[params["launcher"]]]
    run = [params["preset"], "--data", f"{params['output']}/tokens/{month}", "--out", f"{params['output']}/runs/{month}"]
    return [[*launch, *run, *params["train_flags"]]]


@program()
def evaluate(month: str) -> list[list[str]]:
    """Evaluate on the held-out split."""
    params = get_current_context()["params"]
    base = params["output"]
    line = [params["python"], "-m", "trainer", "eval", f"{base}/runs/{month}", "--data", f"{base}/tokens/{month}"]
    return [[*line, "--tasks", "held_out", "--out", f"{base}/evaluations/{month}"]]


@program(trigger_rule="none_failed_min_one_success")
def report(month: str) -> list[list[str]]:
    """Report on the month, on the training if there was one, and anew on months that were made anew or lost documents."""
    trained = [month] if get_current_context()["params"]["train"] else []
    others = [name for name in stale_reports() if name != month]
    anew = [[*stage("report", name, *report_flags(name, finished_runs()), runner=False), "--replace"] for name in others]
    return [stage("report", month, *report_flags(month, trained), runner=False), *anew]


def report_flags(month: str, trained: list[str]) -> list[str]:
    """The title of a month's report, and its training where the month is among those `trained`."""
    base = get_current_context()["params"]["output"]
    run = ["--run", f"{base}/runs/{month}", "--evaluation", f"{base}/evaluations/{month}"] if month in trained else []
    return ["--report-title", f"Corpus of {month}", *run]


def finished_runs() -> list[str]:
    """The months whose training was evaluated."""
    base = get_current_context()["params"]["output"]
    return [name for name in months() if place(f"{base}/evaluations/{name}/results.json").exists()]


def stale_reports() -> list[str]:
    """The months whose report was made of other data than is there now."""
    stale = []
    for name, body in finished("report").items():
        present = {kind: (manifest(f"{folder(name)}/{kind}") or {}).get("sha256") for kind in body.get("inputs", {})}
        read = {kind: entry.get("sha256") for kind, entry in body.get("inputs", {}).items()}
        if any(present[kind] is not None and present[kind] != read[kind] for kind in read):
            stale.append(name)
    return stale


@dag(
    schedule=MONTHLY,
    start_date=datetime(2005, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(days=14),
    default_args=PATIENT,
    params=PARAMS,
    is_paused_upon_creation=True,
    tags=["webtext", "gpt2"],
    doc_md=__doc__,
)
def webtext() -> None:
    """The order of the tasks."""
    dataset = join(MONTH)
    page = report(MONTH)
    text = links(MONTH) >> pages(MONTH) >> documents(MONTH) >> take_down(MONTH) >> dedup(MONTH)  # type: ignore[operator]
    text >> vocabulary(MONTH) >> tokens(MONTH) >> dataset
    dataset >> check_training() >> train(MONTH) >> evaluate(MONTH) >> page  # type: ignore[operator]
    dataset >> page  # type: ignore[operator]


webtext()
