"""Runs of the pages stage for tests: a links folder to read, the stage, and readers of its output."""

from datetime import UTC, datetime
from pathlib import Path

from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.pages import warc_reader
from pipeline.pages.settings import PagesSettings
from pipeline.pages.stage import STAGE
from pipeline.records import Link, Page, Submission
from pipeline.storage import files
from pipeline.storage.manifest import Books, FileEntry, StageManifest
from pipeline.urls import dedup_key, domain_of, host_of

NOON = "2026-01-31T12:00:00Z"
MAY_DAY = datetime(2016, 5, 1, tzinfo=UTC)


def link(url: str, *submissions: str, at: datetime = MAY_DAY) -> Link:
    posts = tuple(Submission(name, "python", 5, at) for name in submissions)
    return Link(url, dedup_key(url), domain_of(host_of(url)), 5, at, posts)


def links_folder(folder: Path, *shards: list[Link]) -> str:
    entries = []
    for number, shard in enumerate(shards):
        name = f"links-{number:05d}-of-{len(shards):05d}.parquet"
        digest = files.publish_table(str(folder / name), Link.table(shard))
        entries.append(FileEntry(name, "links", len(shard), digest.bytes, digest.sha256))
    total = sum(map(len, shards))
    StageManifest("links", {}, {}, tuple(entries), Books(total, total)).save(str(folder))
    return str(folder)


def run(links: str, folder: Path, engine: Engine, **settings: object) -> StageManifest:
    return STAGE.run(Call({"links": links}, str(folder), pages_settings(**settings), engine))


def pages_settings(**settings: object) -> PagesSettings:
    """Settings for a fast crawl whose bytes do not depend on the clock."""
    return PagesSettings(**({"host_delay": 0.0, "fetched_at": NOON, "retries": 0} | settings))  # type: ignore[arg-type]


def pages_of(folder: Path) -> list[Page]:
    manifest = StageManifest.load(str(folder))
    return [Page.from_row(row) for e in manifest.of_kind("pages") for row in files.read_table(str(folder / e.name)).to_pylist()]


def drops_of(folder: Path) -> dict[str, str]:
    manifest = StageManifest.load(str(folder))
    rows = [row for e in manifest.of_kind("drops") for row in files.read_table(str(folder / e.name)).to_pylist()]
    return {row["item"]: row["reason"] for row in rows}


def body_of(folder: Path, page: Page) -> bytes:
    return warc_reader.read_body(str(folder / page.warc_file), page.warc_offset, page.warc_length)


def contents(folder: Path) -> dict[str, bytes]:
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "run.json")
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths}
