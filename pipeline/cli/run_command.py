"""`webtext run`: all stages into one corpus folder; its settings from flags, a recipe, the folder's record, and defaults."""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from pipeline.cli import beam_flags, recipes
from pipeline.cli.plan import plan_lines
from pipeline.cli.recipes import Value, Values
from pipeline.cli.recorded_folders import RecordedFolders, recorded_folders
from pipeline.cli.registry import RUN, STAGES, WHOLE_TEXTS
from pipeline.corpus.folder import CorpusFolder, funnel, stage_folders
from pipeline.corpus.reuse import is_seeded, reuse_stage, seed_stage
from pipeline.dedup import signing
from pipeline.engine.progress import numbered_stage
from pipeline.engine.runner import Engine
from pipeline.engine.settings import add_argument_groups, check_files, from_arguments, to_manifest
from pipeline.engine.stage import Call, Stage
from pipeline.engine.worker_pool import persistent_workers
from pipeline.links.stage import outgrows
from pipeline.storage.files import exists, join
from pipeline.storage.manifest import NAME, Books, StageManifest
from pipeline.storage.places import add_also_read, naming
from tokenizer.command_line import Parser
from tokenizer.errors import InputError
from tokenizer.paper import VOCAB_SIZE
from tokenizer.terminal import OUTPUT

logger = logging.getLogger(__name__)

MAX_LOSSES = 4
"""Reasons of losses that the funnel names per step."""

SOURCES = ("submissions", "urls", "subreddits")
"""Settings of `links` that name what to read. They are no part of what a folder records."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a command line asks for: the corpus, where to take finished stages from, where and how to work, and the settings.

    `values` hold every setting with its source. `plan_only` asks for the plan in place of the work.
    """

    corpus: str | None
    reuse: str | None
    engine: Engine
    settings: Mapping[str, Any]
    values: Values
    plan_only: bool

    def call(self, stage: Stage[Any]) -> Call[Any]:
        """The call of a stage in the corpus folder."""
        corpus = self.corpus or ""
        inputs = {read: join(corpus, read) for read in stage.inputs}
        return Call(inputs, join(corpus, stage.name), self.settings[stage.name], self.engine)


def run_parser(name: str = "run", *, needs_output: bool = True) -> Parser:
    """The parser of `run`, and of other commands that take its flags."""
    parser = Parser(
        prog=f"webtext {name}",
        usage=f"webtext {name} --output DIR (--submissions FILE … | --urls FILE … | --subreddits NAME …) [flags]",
        description=f"Runs {WHOLE_TEXTS['run']}:\n{', '.join(RUN)}.",
    )
    parser.add_argument(
        "--output", required=needs_output, metavar="DIR", help="corpus folder; each stage fills a folder of its name in it"
    )
    parser.add_argument("--config", metavar="RECIPE", help=f"settings from a TOML file, or of {', '.join(recipes.shipped())}")
    parser.add_argument(
        "--reuse",
        metavar="DIR",
        help="take its settings from this corpus, and every stage that would come out the same, by links: vary one thing",
    )
    parser.add_argument("--dry-run", action="store_true", help="only print what would run, what is up to date, and why")
    add_argument_groups(parser, _kinds())
    beam_flags.add_engine_arguments(parser)
    return parser


def parse_run(argv: Sequence[str], parser: Parser) -> Run:
    """The run that a command line asks for. Raises InputError for a bad recipe or a value out of range."""
    kinds = _kinds()
    given, _ = _pre_parser().parse_known_args(list(argv))
    values = recipes.defaults(kinds)
    compared: dict[tuple[str, str], RecordedFolders] = {}
    with naming(*given.also_read):
        for corpus in filter(None, (given.reuse, given.output)):
            values |= recipes.recorded_values(corpus, kinds)
            compared |= {(one.stage, one.setting): one for one in recorded_folders(corpus)}
    values |= {key: Value(one.places, one.folder) for key, one in compared.items()}
    values |= recipes.load_recipe(given.config, kinds) if given.config else {}
    before = _by_flag(values)
    parser.set_defaults(**before)
    arguments, engine = beam_flags.parse(parser, argv)
    settings = {name: from_arguments(kind, arguments) for name, kind in kinds.items()}
    for stage, field in values:
        if (value := getattr(arguments, field)) != before[field]:
            values[stage, field] = Value(tuple(value) if isinstance(value, list) else value, "flag")
    for key, folders in compared.items():
        if values[key].source == folders.folder:
            folders.check()
    settings["links"] = _with_limit(settings["links"], values, (given.reuse, given.output))
    return Run(arguments.output, arguments.reuse, engine, settings, values, arguments.dry_run)


def _with_limit(links: Any, values: Values, corpora: Sequence[str | None]) -> Any:
    """The settings of links with the limit that holds.

    A folder's own limit holds while its links stand: where sources are named, no --limit means all of their links. Raises
    InputError for another limit on links that stand, since their sources are not known.
    """
    folders = [join(corpus, "links") for corpus in corpora if corpus]
    named = any(getattr(links, source) and values["links", source].source not in folders for source in SOURCES)
    recorded = next(
        (value for folder in reversed(folders) if (value := _recorded_limit(folder)) is not NOT_FINISHED), NOT_FINISHED
    )
    if named and values["links", "limit"].source in folders:
        values["links", "limit"] = Value(None, "default")
        return replace(links, limit=None)
    if not named and recorded is not NOT_FINISHED and links.limit != recorded and not links.subreddits:
        raise InputError(
            f"--limit {links.limit}: the links there are chosen already; name their sources too (--submissions, --urls), or leave "
            "--limit out"
        )
    return links


NOT_FINISHED = -1


def _recorded_limit(folder: str) -> int | None:
    """The limit of a finished folder of links, or NOT_FINISHED."""
    if not exists(join(folder, NAME)):
        return NOT_FINISHED
    limit = StageManifest.load(folder).settings.get("limit")
    return limit if isinstance(limit, int) else None


def _kinds() -> dict[str, type[Any]]:
    return {name: STAGES[name].settings for name in RUN}


def _pre_parser() -> Parser:
    """The flags that say where settings come from; they are read before the others."""
    parser = Parser(add_help=False)
    for flag in ("--output", "--config", "--reuse"):
        parser.add_argument(flag)
    add_also_read(parser)
    return parser


def _by_flag(values: Values) -> dict[str, Any]:
    """The value of each flag. Raises InputError where one flag of several stages would have two values."""
    chosen: dict[str, tuple[str, Value]] = {}
    for (stage, field), value in values.items():
        other, before = chosen.setdefault(field, (stage, value))
        if before.value == value.value:
            continue
        if "default" not in (before.source, value.source):
            raise InputError(
                f"{field.replace('_', '-')} is {before.value!r} for {other} and {value.value!r} for {stage}: `run` has one flag for "
                "both; give them one value"
            )
        if before.source == "default":
            chosen[field] = stage, value
    return {field: value.value for field, (_, value) in chosen.items()}


def run_all(argv: Sequence[str]) -> None:
    """Run every stage, or print the plan. Raises InputError at the first stage that leaves nothing."""
    work(parse_run(argv, run_parser()))


def work(run: Run) -> None:
    """Do what a run asks for. Raises InputError at the first stage that leaves nothing."""
    for name in RUN:
        check_files(run.settings[name])  # a mistyped word list must not fail after a day's crawl
    run = _growing(run)
    if run.plan_only:
        calls = [(STAGES[name], run.call(STAGES[name])) for name in RUN]
        sys.stdout.writelines(f"{line}\n" for line in plan_lines(calls, run.reuse))
        return
    with _served(run), persistent_workers(run.engine, run.engine.workers, signing.__name__) as engine:
        run = replace(run, engine=engine)
        for number, name in enumerate(RUN, 1):
            with numbered_stage(number, len(RUN)):
                manifest = _run_stage(run, STAGES[name])
            _check_not_empty(name, manifest.books)
    if not OUTPUT.quiet:
        sys.stdout.writelines(f"{line}\n" for line in closing_lines(run.corpus or ""))


def _growing(run: Run) -> Run:
    """The run, with leave to rebuild where its folder holds a try of fewer links."""
    links = run.call(STAGES["links"])
    if run.corpus is None or run.engine.replace or not links.settings.names_source:
        return run
    if not outgrows(links):
        return run
    logger.info("run: goes on from a try of fewer links; its pages are not fetched again")
    return replace(run, engine=replace(run.engine, replace=True))


def _served(run: Run) -> AbstractContextManager[object]:
    """The report so far, served from the start of the run to its end, where --watch asks for it."""
    settings = run.settings["report"]
    if settings.watch is None:
        return nullcontext()
    from pipeline.report.stage import serve_during

    return serve_during(settings, run.call(STAGES["report"]).inputs)


def closing_lines(corpus: str) -> Iterator[str]:
    """The funnel of a finished run as a table, where its report is, and the command that comes next."""
    steps = funnel(CorpusFolder.open(stage_folders(corpus)))
    width = max(len(f"{step.items:,}") for step in steps)
    for step in steps:
        losses = ", ".join(f"{count:,} {reason}" for reason, count in list(step.lost.items())[:MAX_LOSSES])
        lost = f"   lost {losses}{', …' if len(step.lost) > MAX_LOSSES else ''}" if losses else ""
        yield f"{step.items:>{width},} {step.name:<20}{lost}".rstrip()
    if limit := StageManifest.load(join(corpus, "links")).settings.get("limit"):
        yield f"a try: --limit {limit}; name the sources without it to go on with all links"
    yield f"report: {join(corpus, 'report', 'report.html')}"
    entries = (StageManifest.load(join(corpus, "tokens")).dataset or {}).get("vocab_size", VOCAB_SIZE)
    vocabulary = "" if entries == VOCAB_SIZE else f" --vocabulary {entries}"
    yield f"next:   webtext-train train gpt2-small --data {join(corpus, 'tokens')} --out RUN{vocabulary}   (or tiny: minutes on a CPU)"


def _run_stage(run: Run, stage: Stage[Any]) -> StageManifest:
    call = run.call(stage)
    if stage.name == "report":
        call = replace(call, settings=replace(call.settings, watch=None))  # it is served by the run
    keeps_links = stage.name == "links" and not call.settings.names_source
    if run.reuse and stage.name != "report":
        inputs = None if keeps_links else stage.read_inputs(call)
        source = join(run.reuse, stage.name)
        reused = reuse_stage(stage.name, source, call.output, to_manifest(call.settings), inputs)
        if stage.name == "pages" and not reused:
            call = _seeded(call, source)
    if keeps_links and exists(join(call.output, NAME)):
        return StageManifest.load(call.output)  # nothing to read was named: the folder's links stand
    return stage.run(call)


def _seeded(call: Call[Any], source: str) -> Call[Any]:
    """The call of `pages` that asks for no page which the folder `source` has."""
    if not exists(join(source, NAME)) or call.settings.fetch_from:
        return call
    if any(name.startswith("archive") for name in StageManifest.load(source).inputs):
        logger.info("pages: taken from those in %s; --fetch-from names archives that may have further ones", source)
        return replace(call, settings=replace(call.settings, fetch_from=(source,)))
    seed_stage(source, call.output)
    return replace(call, engine=replace(call.engine, replace=call.engine.replace or is_seeded(source, call.output)))


def _check_not_empty(stage: str, books: Books) -> None:
    """Raise InputError if a stage left nothing for the next, with the commonest reason."""
    if books.items_out or (stage == "vocabulary" and not books.items_in):  # a given vocabulary is made from no documents
        return
    if not books.items_in:
        raise InputError(f"{stage}: its input is empty, so no later stage has work; check the files and flags that it reads")
    reason = max(sorted(books.dropped), key=lambda name: books.dropped[name])
    advice = f"Change the input or the flags of {stage}, then run again with --replace"
    if reason in STAGES[stage].may_pass:
        advice += ", or ask those that may pass again with --retry-failed"
    raise InputError(
        f"{stage}: nothing is left of {books.items_in:,}, most were dropped as '{reason}'; no later stage was started. {advice}"
    )
