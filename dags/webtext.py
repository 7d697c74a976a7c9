"""One month of Reddit becomes a corpus, and the corpora of all months a trained GPT-2, by the commands that a user would type.

Each run turns one month's dump into OUTPUT/YYYY-MM. Its documents are compared with those kept from all earlier months, without
reading their text again (dedup --against). The vocabulary is trained once, on the first month. Runs go one at a time, oldest
first (catch-up). Airflow only starts programs: `python` names the interpreter of the environment that webtext is installed in.

Before the first run, create the pool that allows one crawl at a time: `airflow pools set webtext_fetch 1 "one crawl at a time"`.
"""

import functools
import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, Param, dag, get_current_context, task

MONTH = "{{ (dag_run.logical_date or dag_run.run_after).strftime('%Y-%m') }}"
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
    "python": "{python} -m trainer train",
    "torchrun": "{python} -m torch.distributed.run --standalone --nproc-per-node {gpus} -m trainer train",
    "slurm": "sbatch --wait --gpus-per-node {gpus} {launch_script}",
    "kubernetes": "{launch_script}",
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


def program(**options: Any) -> Callable[[Callable[[str], str]], Any]:
    """Make a task of a function that gives a shell command for a month; each of its words is quoted once and never rendered."""

    def decorate(function: Callable[[str], str]) -> Any:
        @functools.wraps(function)
        def command(month: str) -> str:
            return inert(function(month))

        return task.bash(**options)(command)

    return decorate


def stage(name: str, month: str, *more: str, runner: bool = True) -> str:
    """Shell command of one stage on the corpus folder of one month."""
    params = get_current_context()["params"]
    beam = [f"--runner={params['runner']}", *params["flags"]] if runner else []
    return shlex.join([params["python"], "-m", "pipeline", name, "--corpus", folder(month), *more, *beam])


def folder(month: str) -> str:
    """The corpus folder of a month."""
    params = get_current_context()["params"]
    return f"{params['output']}/{params['month'] or month}"


def earlier(month: str, kind: str) -> str:
    """Shell line that fills the array `earlier` with the finished `kind` folders of the months before `month`, oldest first."""
    params = get_current_context()["params"]
    here = shlex.quote(params["month"] or month)
    is_earlier = f'[[ "${{m##*/}}" < {here} && -e "$m/{kind}/manifest.json" ]]'
    return f'earlier=(); for m in {shlex.quote(params["output"])}/????-??; do {is_earlier} && earlier+=("$m/{kind}"); done'


@program()
def links(month: str) -> str:
    """Turn a month's dump into links."""
    params = get_current_context()["params"]
    dump = params["dump"].replace("{month}", params["month"] or month)
    rules = ["--min-karma", str(params["min_karma"]), "--created-before", params["created_before"]]
    rules += ["--only-subreddits", params["only_subreddits"]] if params["only_subreddits"] else []
    return stage("links", month, "--submissions", dump, *rules)


@program(pool=FETCH_POOL, execution_timeout=timedelta(days=7))
def pages(month: str) -> str:
    """Crawl the links; the pool allows one crawl at a time."""
    params = get_current_context()["params"]
    contact = ["--contact", params["contact"]] if params["contact"] else []
    return stage("pages", month, *contact, *params["pages_flags"])


@program()
def documents(month: str) -> str:
    """Extract text from the pages."""
    return stage("documents", month)


@program()
def dedup(month: str) -> str:
    """Remove duplicates, also of documents kept from earlier months."""
    threshold = str(get_current_context()["params"]["threshold"])
    line = stage("dedup", month, "--threshold", threshold)
    return f'{earlier(month, "dedup")}\n{line} ${{earlier[@]:+--against "${{earlier[@]}}"}}'


@program(outlets=[TOKENIZER])
def vocabulary(month: str) -> str:
    """Train the vocabulary, on the first month only."""
    params = get_current_context()["params"]
    output = f"{params['output']}/vocabulary"
    line = stage("vocabulary", month, "--output", output, *params["vocabulary_flags"])
    return f"test -e {shlex.quote(output)}/manifest.json && echo 'the tokenizer of the first month stays' || {line}"


@program()
def tokens(month: str) -> str:
    """Write the token shards of the month."""
    params = get_current_context()["params"]
    return stage("tokens", month, "--vocabulary", f"{params['output']}/vocabulary", *params["tokens_flags"])


@program(outlets=[CORPUS])
def join(month: str) -> str:
    """Join the shards of all months into one dataset, by links."""
    params = get_current_context()["params"]
    output = f"{params['output']}/tokens/{params['month'] or month}"
    line = shlex.join([params["python"], "-m", "pipeline", "join", "--output", output, "--tokens"])
    return f'{earlier(month, "tokens")}\n{line} "${{earlier[@]}}" {shlex.quote(folder(month))}/tokens'


@task.short_circuit(ignore_downstream_trigger_rules=False)
def check_training() -> bool:
    """Whether to train: the parameter `train`."""
    return bool(get_current_context()["params"]["train"])


@program(outlets=[CHECKPOINT], execution_timeout=timedelta(days=10))
def train(month: str) -> str:
    """Train by the chosen launcher; a retry resumes from the last checkpoint."""
    params = get_current_context()["params"]
    launch = LAUNCHERS[params["launcher"]].format(**{name: shlex.quote(str(value)) for name, value in params.items()})
    name = params["month"] or month
    run = [params["preset"], "--data", f"{params['output']}/tokens/{name}", "--out", f"{params['output']}/runs/{name}"]
    return f"{launch} {shlex.join([*run, *params['train_flags']])}"


@program()
def evaluate(month: str) -> str:
    """Evaluate on the held-out split."""
    params = get_current_context()["params"]
    base, name = params["output"], params["month"] or month
    line = [params["python"], "-m", "trainer", "eval", f"{base}/runs/{name}", "--data", f"{base}/tokens/{name}"]
    return shlex.join([*line, "--tasks", "held_out", "--out", f"{base}/evaluations/{name}"])


@program(trigger_rule="none_failed_min_one_success")
def report(month: str) -> str:
    """Report on the month, and on the training if there was one."""
    params = get_current_context()["params"]
    base, name = params["output"], params["month"] or month
    trained = ["--run", f"{base}/runs/{name}", "--evaluation", f"{base}/evaluations/{name}"] if params["train"] else []
    return stage("report", month, "--report-title", f"Corpus of {name}", *trained, runner=False)


@dag(
    schedule="@monthly",
    start_date=datetime(2005, 6, 1, tzinfo=UTC),
    catchup=True,
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
    links(MONTH) >> pages(MONTH) >> documents(MONTH) >> dedup(MONTH) >> vocabulary(MONTH) >> tokens(MONTH) >> dataset  # type: ignore[operator]
    dataset >> check_training() >> train(MONTH) >> evaluate(MONTH) >> page  # type: ignore[operator]
    dataset >> page  # type: ignore[operator]


webtext()
