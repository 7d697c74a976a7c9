"""What inspect, the report and the card say of a page out of an archive."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from servers.crawl_archive import MadeCrawl, Shot, write_cdxj
from servers.stage_runs import link, links_folder, run

from pipeline.cli.main import run as run_command
from pipeline.corpus.folder import CorpusFolder, stage_folders
from pipeline.engine.runner import Engine
from pipeline.report.card import Publisher, card
from pipeline.report.gather import gather
from pipeline.report.page_html import render

AT = datetime(2015, 9, 1, tzinfo=UTC)
URL = "http://a.example/1"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trace")
    shots = [
        Shot(URL, AT - timedelta(days=2)),
        Shot("http://a.example/2", AT + timedelta(days=40)),
        Shot("http://a.example/3", AT),
    ]
    crawl = MadeCrawl("CC-MAIN-2015-35", shots).write(root / "archive")
    links = links_folder(root / "corpus" / "links", [link(f"http://a.example/{n}", "abc", at=AT) for n in range(1, 5)])
    given = {"archive_index": tuple(write_cdxj(root / "index", [crawl])), "commoncrawl": str(root / "archive")}
    run(links, root / "corpus" / "pages", Engine(), **given)
    return root / "corpus"


def test_inspect_names_the_archives_record(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["inspect", "--corpus", str(corpus), "--url", URL]) == 0
    out = capsys.readouterr().out
    assert "captured 2015-08-30 00:00:00, 2.0 days before the submission" in out
    assert "from commoncrawl: crawl-data/CC-MAIN-2015-35/segments/1512.4/warc/CC-MAIN-2015-35-00000.warc.gz at 69, sha1:" in out


def test_report_shows_sources_and_distances(corpus: Path) -> None:
    folder = CorpusFolder.open(stage_folders(str(corpus)))
    numbers = gather(folder)
    sources, distance = numbers.histogram("sources"), numbers.histogram("distance")
    assert sources
    assert dict(zip(sources.labels, sources.counts, strict=True)) == {"commoncrawl": 3}
    assert distance
    assert {label: count for label, count in zip(distance.labels, distance.counts, strict=True) if count} == {
        "-7–-2": 1,
        "0": 1,
        "30–89": 1,
    }
    page = render(numbers)
    assert "From submission to capture" in page
    text = card(numbers, folder, Publisher("A corpus", "you@example.com"))
    assert "Pages by source" in text
    assert "commoncrawl 100.0 %" in text
    assert "30–89 33.3 %" in text


def test_a_corpus_of_the_web_alone_has_no_such_figures(tmp_path: Path) -> None:
    links_folder(tmp_path / "links", [link(URL, at=AT)])
    numbers = gather(CorpusFolder.open(stage_folders(str(tmp_path))))
    assert numbers.histogram("sources") is None
