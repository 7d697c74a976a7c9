"""Vary one thing of a finished corpus: what does not depend on it is taken over, and no page is asked for twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.library import pages, write_dump
from servers.replay import ReplayServer

from pipeline.cli.main import run
from pipeline.cli.registry import RUN
from pipeline.cli.run_command import closing_lines
from pipeline.corpus.folder import CorpusFolder, funnel, stage_folders
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
        (["--vocab-size", "500"], ["vocabulary", "tokens"]),
        (["--validation-share", "0.2"], ["tokens"]),
        (["--min-characters", "900"], ["documents", "dedup", "vocabulary", "tokens"]),
        (["--filters", "gopher"], ["documents", "dedup", "vocabulary", "tokens"]),
    ],
    ids=["threshold", "vocab-size", "validation-share", "min-characters", "filters"],
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
