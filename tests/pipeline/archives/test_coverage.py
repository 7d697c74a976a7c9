"""`webtext coverage`: the counts of a search through all captures, and the cost that reading them then has."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from servers.crawl_archive import made_crawls, page_url, range_server, wanted_shot, write_cdxj, write_columnar
from servers.stage_runs import link, links_folder, run

from pipeline.cli.main import run as run_command
from pipeline.engine.runner import Engine

PAGES = 60


@pytest.mark.parametrize("write", [write_columnar, write_cdxj])
def test_coverage_is_that_of_a_search_through_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write: object, engine: Engine
) -> None:
    crawls = [crawl.write(tmp_path / "archive") for crawl in made_crawls(pages=PAGES)]
    index = write(tmp_path / "index", crawls)  # type: ignore[operator]
    links = [link(page_url(n), at=datetime(2012, 1, 1, tzinfo=UTC) + timedelta(days=47 * n)) for n in range(PAGES)]
    folder = links_folder(tmp_path / "corpus" / "links", links)
    flags = ["--within", "500", "--commoncrawl-rate", "1000", "--json", str(tmp_path / "coverage.json")]
    assert run_command(["coverage", "--corpus", str(tmp_path / "corpus"), "--index", *index, *flags]) == 0
    numbers = json.loads((tmp_path / "coverage.json").read_text())
    shots = [shot for crawl in crawls for shot in crawl.shots]
    wanted = [wanted_shot(one.url, one.submitted_at or datetime.now(UTC), shots, 500, "either") for one in links]
    assert numbers["links"] == PAGES
    assert numbers["covered"] == sum(shot is not None for shot in wanted)
    for crawl, counted in zip(crawls, numbers["crawls"], strict=True):
        held = [wanted_shot(one.url, one.submitted_at or datetime.now(UTC), crawl.shots, 500, "either") for one in links]
        assert counted["crawl"] == crawl.name
        assert counted["links"] == sum(shot is not None for shot in held)
        assert counted["nearest"] == sum(shot in crawl.shots for shot in wanted if shot)
    assert sum(numbers["missing"].values()) == PAGES - numbers["covered"]
    assert sum(numbers["distances"]) == numbers["covered"]
    with range_server(tmp_path / "archive") as server:
        given = {"commoncrawl": server.url, "archive_index": tuple(index), "within": 500, "commoncrawl_rate": 1000.0}
        run(folder, tmp_path / "pages", engine, allow_addresses=("127.0.0.0/8",), **given)
    asked = [request.range for request in server.requests]
    assert numbers["requests"] == len(asked)
    assert numbers["bytes"] == sum(last + 1 - first for first, last in filter(None, asked))
    out = capsys.readouterr().out
    assert f"covered: {numbers['covered']} of {PAGES} links" in out
    assert f"reading them: {numbers['requests']} requests" in out


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ([], "--index is required"),
        (["--index", "nowhere"], "--archive-index nowhere: no such file or folder"),
        (["--index", "empty"], "no index of captures"),
        (["--index", "index.cdxj", "--as-of", "yesterday"], "--as-of yesterday"),
        (["--index", "index.cdxj", "--within", "-1"], "--within -1"),
    ],
)
def test_bad_flags_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, flags: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "index.cdxj").write_bytes(b"")
    links_folder(tmp_path / "corpus" / "links", [link("http://a.example/")])
    assert run_command(["coverage", "--corpus", "corpus", *flags]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
