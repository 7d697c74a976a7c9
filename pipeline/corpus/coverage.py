"""`webtext coverage`: what an archive's index holds of a corpus's links, before anything is fetched."""

import argparse
import os
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

import orjson

from pipeline.archives.coverage import DISTANCE_DAYS, Coverage, measure, table_lines
from pipeline.archives.held_links import NumberedShare
from pipeline.archives.index_files import find_index_files, is_http
from pipeline.archives.rounds import Search
from pipeline.corpus.tool import Tool
from pipeline.engine.parts import Part, PhaseFolder
from pipeline.engine.runner import Engine
from pipeline.engine.settings import add_arguments, from_arguments
from pipeline.pages.held import Earlier
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import shares
from pipeline.storage import files
from pipeline.storage.manifest import load_stage
from pipeline.storage.verification import check_input
from tokenizer.command_line import positive_int
from tokenizer.errors import InputError
from tokenizer.labels import printable
from tokenizer.untrusted import MAX_JSON_BYTES

SETTINGS = (
    "as_of", "within", "side", "commoncrawl", "commoncrawl_rate", "contact", "user_agent", "allow_addresses", "proxy",
    "ca_bundle",
)  # fmt: skip
"""The settings of the stage `pages` that also say what an index is searched for."""
LINKS_PER_PART = 200_000


def _flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--index",
        "--archive-index",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATH",
        help="index of an archive, as for pages",
    )
    add_arguments(parser, PagesSettings, SETTINGS)
    parser.add_argument("--json", metavar="FILE", help="also write the numbers as JSON")
    parser.add_argument("--workers", type=positive_int, default=1, metavar="N", help="number of processes (default: 1)")


def _work(arguments: argparse.Namespace) -> None:
    """Join, count, print. Raises InputError without --index, and for what cannot be read."""
    if not arguments.index:
        raise InputError("--index is required: Parquet or CDXJ files of an archive's index, or folders of them")
    if arguments.json:
        _check_json(arguments.json)
    chosen = {name: getattr(arguments, name) for name in SETTINGS}
    given = _defaults() | chosen | {"archive_index": arguments.index}
    settings = from_arguments(PagesSettings, argparse.Namespace(**given))
    links = files.join(arguments.corpus, "links")
    shards = [(files.join(links, entry.name), entry.rows) for entry in load_stage(links, "links").of_kind("links")]
    check_input(links, arguments.workers)
    with tempfile.TemporaryDirectory(prefix="webtext-coverage-") as scratch:
        access = settings.access("commoncrawl", scratch)
        with access.service() as service:
            base = settings.commoncrawl if is_http(settings.commoncrawl) else ""
            index = find_index_files(settings.archive_index, base, service)
        parts: list[Part[NumberedShare]] = []
        first = 0
        for number, (share, rows) in enumerate(shares(shards, LINKS_PER_PART)):
            parts.append(Part(f"{number:05d}", NumberedShare(share, first, Earlier("", len(shards))), rows))
            first += rows
        phase = PhaseFolder("coverage", scratch, "main", "0" * 64)
        coverage = measure(Search(Engine(arguments.workers), phase, settings, index, access, parts), first)
    for line in table_lines(coverage):
        sys.stdout.write(f"{printable(line)}\n")
    if arguments.json:
        files.publish_bytes(arguments.json, orjson.dumps(coverage.to_json(), option=orjson.OPT_INDENT_2) + b"\n")


def _check_json(path: str) -> None:
    """Raise InputError where the numbers cannot be written, or would replace something else than numbers of this command."""
    if files.is_local(path):
        nearest = next(parent for parent in Path(path).absolute().parents if parent.exists())
        if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
            raise InputError(f"--json {path}: {nearest} is no folder that can be written; choose another path")
    if not files.exists(path):
        return
    try:
        found = orjson.loads(files.read_bytes(path, MAX_JSON_BYTES))
    except (OSError, ValueError):
        found = None
    if not (isinstance(found, dict) and found.keys() == {*(f.name for f in fields(Coverage)), DISTANCE_DAYS}):
        raise InputError(f"--json {path}: exists and holds no numbers of this command; choose another path")


def _defaults() -> dict[str, object]:
    settings = PagesSettings()
    return {name: getattr(settings, name) for name in PagesSettings.__dataclass_fields__}


TOOL = Tool("coverage", _flags, _work)
