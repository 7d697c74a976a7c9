"""Vary one thing of a finished corpus: what does not depend on it is taken over, and no page is asked for twice."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.library import pages, write_dump
from servers.replay import ReplayServer

from pipeline.cli.main import run
from pipeline.cli.registry import RUN
from pipeline.cli.run_command import closing_lines
from pipeline.corpus.folder import CorpusFolder, funnel, stage_folders
from pipeline.storage.files import read_table
from pipeline.storage.manifest import StageManifest
from trainer.cli import _parser

pytestmark = pytest.mark.slow
STAGES = [name for name in RUN if name != "report"]


@pytest.fixture(scope="module")
def web() -> Iterator[ReplayServer]:
    with ReplayServer(pages(30)) as server:
        yield server


def crawl_flags(web: ReplayServer) -> list[str]:
    """Settings that no folder records: how to reach the web."""
    return ["--proxy", web.proxy_url, "--ca-bundle", str(web.ca_bundle), "--host-delay", "0"]


@pytest.fixture(scope="module")
def corpus(web: ReplayServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished corpus."""
    folder = tmp_path_factory.mktemp("vary")
    write_dump(folder / "RS_2017-07.jsonl", web.pages)
    flags = ["--submissions", str(folder / "RS_2017-07.jsonl"), "--contact", "test@example.com", "--vocab-size", "600"]
    flags += ["--validation-share", "0.1", "--workers", "1", "--fetched-at", "2026-01-31T12:00:00Z"]
    assert run(["run", "--output", str(folder / "corpus"), *flags, *crawl_flags(web)]) == 0
    return folder / "corpus"


def taken_over(corpus: Path, variant: Path) -> list[str]:
    """The stages whose files are those of the first corpus."""
    return [
        name
        for name in STAGES
        if all(
            (variant / name / entry.name).samefile(corpus / name / entry.name)
            for entry in StageManifest.load(str(corpus / name)).files
            if (variant / name / entry.name).exists()
        )
        and StageManifest.load(str(variant / name)) == StageManifest.load(str(corpus / name))
    ]


@pytest.mark.parametrize(
    ("flags", "again"),
    [
        (["--threshold", "0.9"], ["dedup", "vocabulary", "tokens"]),
        (["--remove-duplicates", "none"], ["dedup", "vocabulary", "tokens"]),
        (["--vocab-size", "500"], ["vocabulary", "tokens"]),
        (["--validation-share", "0.2"], ["tokens"]),
        (["--min-characters", "900"], ["documents", "dedup", "vocabulary", "tokens"]),
        (["--filters", "gopher"], ["documents", "dedup", "vocabulary", "tokens"]),
    ],
    ids=["threshold", "remove-duplicates", "vocab-size", "validation-share", "min-characters", "filters"],
)
def test_a_variant_makes_anew_only_what_depends_on_the_change(
    corpus: Path, web: ReplayServer, tmp_path: Path, flags: list[str], again: list[str]
) -> None:
    asked = sum(web.hits.values())
    assert run(["run", "--output", str(tmp_path / "variant"), "--reuse", str(corpus), "--workers", "1", *flags]) == 0
    assert sum(web.hits.values()) == asked
    assert [name for name in STAGES if name not in taken_over(corpus, tmp_path / "variant")] == again
    settings = [StageManifest.load(str(tmp_path / "variant" / name)).settings for name in again]
    assert settings[0] != StageManifest.load(str(corpus / again[0])).settings


def test_nothing_has_to_be_typed_again(corpus: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "pipeline")
    before = {name: (corpus / name / "manifest.json").stat().st_mtime_ns for name in STAGES}
    assert run(["run", "--output", str(corpus), "--workers", "1"]) == 0
    assert {name: (corpus / name / "manifest.json").stat().st_mtime_ns for name in STAGES} == before


def test_a_run_ends_with_the_funnel_the_report_and_the_next_command(corpus: Path) -> None:
    lines = list(closing_lines(str(corpus)))
    assert [line.split(" lost ")[0].split()[0] for line in lines[:-2]] == [
        f"{step.items:,}" for step in funnel(CorpusFolder.open(stage_folders(str(corpus))))
    ]
    report, command = (line.split(None, 1)[1] for line in lines[-2:])
    assert Path(report).is_file()
    words = command.split("   ")[0].split()
    arguments = _parser().parse_args(words[1:])
    assert words[0] == "webtext-train"
    assert (arguments.data, arguments.vocabulary) == (str(corpus / "tokens"), 600)


def test_a_dry_run_says_what_would_run_and_changes_nothing(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    assert run(["run", "--output", str(corpus), "--dry-run", "--threshold", "0.9"]) == 0
    lines = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    assert [name for name, verdict in lines.items() if verdict.strip() == "up to date"] == ["links", "pages", "documents"]
    assert "refused without --replace: threshold was 0.7, now 0.9" in lines["dedup"]
    assert "dedup would run" in lines["vocabulary"]
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*")} == before
    assert run(["run", "--output", str(tmp_path / "new"), "--dry-run"]) == 0
    assert {line.split(":")[1].strip() for line in capsys.readouterr().out.splitlines()} == {"would run"}
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        (["dedup.threshold=0.9"], ["dedup", "vocabulary", "tokens"]),
        (["documents.filters=gopher,c4", "tokens.validation_share=0.2"], ["documents", "dedup", "vocabulary", "tokens"]),
        (["links.min-karma=7", "links.submissions={dump}"], STAGES),
    ],
    ids=["threshold", "filters", "karma"],
)
def test_vary_is_two_lines_and_asks_no_page_twice(
    corpus: Path, web: ReplayServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: list[str], again: list[str]
) -> None:
    assert run(["recipe", "show", "--output", str(corpus)]) == 0
    (tmp_path / "base.toml").write_text(capsys.readouterr().out)
    asked = Counter(web.hits)
    words = ["vary", "--config", str(tmp_path / "base.toml"), "--out", str(tmp_path / "variant"), "--workers", "1"]
    dump = corpus.parent / "RS_2017-07.jsonl"
    assert run([*words, *(word for change in changes for word in ("--set", change.format(dump=dump)))]) == 0
    assert web.hits == asked
    lines = capsys.readouterr().out.splitlines()
    kept = [name for name in STAGES if name not in again]
    assert lines[-2:] == [f"taken over from {corpus}: {', '.join(kept) or 'nothing'}", f"made anew: {', '.join(again)}"]
    assert [name for name in STAGES if name not in taken_over(corpus, tmp_path / "variant")] == again


def test_a_variant_of_other_karma_has_the_pages_of_its_links(corpus: Path, web: ReplayServer, tmp_path: Path) -> None:
    """More links ask for the new ones alone; fewer links leave the others' pages out."""
    asked = Counter(web.hits)
    few, many = tmp_path / "few", tmp_path / "many"
    sources = ["--submissions", str(corpus.parent / "RS_2017-07.jsonl"), "--workers", "1"]
    assert run(["run", "--output", str(few), "--reuse", str(corpus), "--min-karma", "40", *sources]) == 0
    assert web.hits == asked
    assert run(["run", "--output", str(many), "--reuse", str(few), "--min-karma", "3", *sources, *crawl_flags(web)]) == 0
    counts = [StageManifest.load(str(folder / "pages")).books.items_in for folder in (few, corpus, many)]
    assert counts[0] < counts[1] == counts[2]
    links = [sorted(read_table(str(path)).column("url").to_pylist()) for path in (few / "links").glob("links-*.parquet")]
    held = {url for urls in links for url in urls}
    assert not [url for url in held if web.hits[url] != asked[url]]


def test_a_try_goes_on_to_the_whole_without_asking_twice(
    web: ReplayServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Path
) -> None:
    flags = ["--submissions", str(corpus.parent / "RS_2017-07.jsonl"), "--contact", "test@example.com", "--vocab-size", "400"]
    flags += ["--validation-share", "0.1", "--workers", "1", "--output", str(tmp_path / "corpus"), *crawl_flags(web)]
    before = Counter(web.hits)
    assert run(["run", *flags, "--limit", "12"]) == 0
    assert "a try: --limit 12; name the sources without it to go on with all links" in capsys.readouterr().out
    assert StageManifest.load(str(tmp_path / "corpus" / "pages")).books.items_in == 12
    assert run(["status", "--corpus", str(tmp_path / "corpus")]) == 0
    assert "a try by --limit 12" in capsys.readouterr().out
    assert run(["run", *flags, "--dry-run"]) == 0
    assert "refused" not in capsys.readouterr().out
    assert run(["run", *flags]) == 0
    assert "a try" not in capsys.readouterr().out
    whole = [StageManifest.load(str(folder / "pages")).books.items_in for folder in (corpus, tmp_path / "corpus")]
    assert whole[0] == whole[1]
    pages = Counter({url: count for url, count in (web.hits - before).items() if not url.endswith("/robots.txt")})
    once = Counter({url: count for url, count in before.items() if not url.endswith("/robots.txt")})
    assert not {url: count for url, count in pages.items() if count > max(1, once[url])}
