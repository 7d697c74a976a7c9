"""`webtext vary`: a variant of a finished corpus, in which what does not depend on the change is taken over."""

import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import orjson

from pipeline.cli import beam_flags, recipes
from pipeline.cli.registry import RUN, STAGES, WHOLE_TEXTS
from pipeline.cli.run_command import Run, parse_run, run_parser, work
from pipeline.engine.settings import flag_of, to_manifest, value_type
from pipeline.storage.files import exists, is_same, join
from pipeline.storage.manifest import NAME, StageManifest
from tokenizer.command_line import Parser, suggestion
from tokenizer.errors import InputError
from tokenizer.terminal import OUTPUT

SWITCH_WORDS = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


def vary_parser() -> Parser:
    """The parser of the command's flags."""
    parser = Parser(
        prog="webtext vary",
        usage="webtext vary --corpus DIR --set STAGE.SETTING=VALUE … --output DIR [flags]",
        description=f"Builds {WHOLE_TEXTS['vary']}.\n`webtext recipe show --output DIR` lists a corpus's settings.",
    )
    parser.add_argument("--corpus", metavar="DIR", help="the finished corpus (default: the one that the recipe names)")
    parser.add_argument("--output", "--out", required=True, metavar="DIR", help="folder of the variant")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="STAGE.SETTING=VALUE",
        help="one change, as in dedup.threshold=0.8, documents.filters=gopher,c4, documents.strip-title=off; may be repeated",
    )
    parser.add_argument(
        "--config", metavar="RECIPE", help="settings from a TOML file, or of a shipped recipe, before those of --set"
    )
    parser.add_argument("--dry-run", action="store_true", help="only print what would run, what is taken over, and why")
    beam_flags.add_engine_arguments(parser)
    return parser


def run_vary(argv: Sequence[str]) -> None:
    """Build the variant, and say which stages were made anew. Raises InputError for a setting that no stage has."""
    arguments, engine = beam_flags.parse(vary_parser(), argv)
    corpus = arguments.corpus or (recipes.corpus_of(arguments.config) if arguments.config else None)
    if corpus is None:
        raise InputError(
            "webtext vary: --corpus DIR is required: the finished corpus to vary (or a --config whose recipe names its corpus)"
        )
    _check(corpus, arguments.output)
    words = ["--output", arguments.output, "--reuse", corpus, "--workers", str(engine.workers), *engine.beam_flags]
    words += ["--config", arguments.config] if arguments.config else []
    words += ["--replace"] if engine.replace else []
    words += ["--dry-run"] if arguments.dry_run else []
    words += ["--also-read", *engine.also_read] if engine.also_read else []
    run = parse_run([*words, *flags_of(arguments.set)], run_parser("vary"))
    _check_sources(corpus, run)
    work(run)
    if not (arguments.dry_run or OUTPUT.quiet):
        sys.stdout.writelines(f"{line}\n" for line in variant_lines(corpus, arguments.output))


def _check(corpus: str, output: str) -> None:
    if not any(exists(join(corpus, stage, NAME)) for stage in RUN):
        raise InputError(f"{corpus}: no finished stage there; name a corpus that `webtext run` filled")
    if is_same(corpus, output):
        raise InputError(f"{output}: is the corpus itself; choose another --output for the variant")


def _check_sources(corpus: str, run: Run) -> None:
    """Raise InputError where other links are asked for whose sources are not named: no folder records their paths."""
    links = run.settings["links"]
    if links.names_source or not exists(join(corpus, "links", NAME)):
        return
    recorded = StageManifest.load(join(corpus, "links")).settings
    wanted = orjson.loads(orjson.dumps(to_manifest(links)))
    if other := [name for name in wanted if wanted[name] != recorded.get(name)]:
        raise InputError(
            f"links.{other[0].replace('_', '-')} changes the links: name their sources too, as in --set links.submissions=FILE,FILE"
        )


def flags_of(changes: Sequence[str]) -> list[str]:
    """The changes as flags of `webtext run`.

    >>> flags_of(["dedup.threshold=0.8", "documents.strip_title=off", "documents.filters=gopher,c4"])
    ['--threshold=0.8', '--no-strip-title', '--filters', 'gopher', 'c4']
    """
    return [word for change in changes for word in _flag(change)]


def _flag(change: str) -> Iterator[str]:
    name, equals, value = change.partition("=")
    stage, dot, setting = name.strip().partition(".")
    if not (equals and dot):
        raise InputError(f"--set {change}: write STAGE.SETTING=VALUE, as in dedup.threshold=0.8")
    if stage not in RUN:
        raise InputError(f"--set {change}: no stage '{stage}'{suggestion(stage, RUN)}")
    kind = STAGES[stage].settings
    known = {item.name: item.name.replace("_", "-") for item in fields(kind)}
    field = setting.replace("-", "_")
    if field not in known:
        raise InputError(f"--set {change}: {stage} has no setting '{setting}'{suggestion(setting, known.values())}")
    one, many = value_type(typing.get_type_hints(kind)[field])
    if one is bool:
        yield _switch(change, field, value, SWITCH_WORDS)
    elif many:
        yield from (flag_of(field), *(word.strip() for word in value.split(",") if word.strip()))
    else:
        yield f"{flag_of(field)}={value}"


def _switch(change: str, field: str, value: str, words: Mapping[str, bool]) -> str:
    if value.lower() not in words:
        raise InputError(f"--set {change}: on or off")
    return flag_of(field) if words[value.lower()] else f"--no-{flag_of(field)[2:]}"


def variant_lines(corpus: str, variant: str) -> Iterator[str]:
    """Which stages of the variant were taken over from the corpus, and which were made anew."""
    same = [stage for stage in RUN if stage != "report" and _manifest(corpus, stage) == _manifest(variant, stage)]
    anew = [stage for stage in RUN if stage != "report" and stage not in same]
    yield f"taken over from {corpus}: {', '.join(same) or 'nothing'}"
    yield f"made anew: {', '.join(anew) or 'nothing, the change makes no difference'}"


def _manifest(corpus: str, stage: str) -> Any:
    folder = join(corpus, stage)
    return StageManifest.load(folder).sha256 if exists(join(folder, NAME)) else None
