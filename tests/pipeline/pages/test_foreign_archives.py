"""A thousand links to pages in archives of other writers give the pages that the writers meant."""

import os
import shutil
from pathlib import Path

import pytest
from foreign_pages import Meaning
from foreign_writers import Meanings, write_all
from servers.stage_runs import body_of, drops_of, link, links_folder, pages_of, run

from pipeline.engine.runner import Engine
from pipeline.pages.warc_reader import read_records


def outcomes(archives: Path, work: Path, engine: Engine, meanings: Meanings) -> Meanings:
    """What the stage makes of the links."""
    links = links_folder(work / "links", [link(url) for url in sorted(meanings)])
    run(links, work / "pages", engine, fetch_from=(str(archives),))
    found: Meanings = dict(drops_of(work / "pages"))
    for page in pages_of(work / "pages"):
        body = body_of(work / "pages", page)
        found[page.url] = Meaning(page.final_url, page.status, page.media_type or "", page.charset, body)
    return found


@pytest.mark.parametrize("seed", range(5) if os.environ.get("WEBTEXT_FULL") else range(1))
def test_a_thousand_foreign_records_give_the_pages_that_their_writers_meant(tmp_path: Path, engine: Engine, seed: int) -> None:
    meanings = write_all(tmp_path / "archives", seed)
    assert len(meanings) >= 1000
    found = outcomes(tmp_path / "archives", tmp_path, engine, meanings)
    assert {url: (found.get(url), meant) for url, meant in meanings.items() if found.get(url) != meant} == {}
    assert sum(isinstance(meant, Meaning) for meant in meanings.values()) > 800


def test_wget_gives_the_pages_and_the_revisits_that_it_meant(tmp_path: Path, engine: Engine) -> None:
    if shutil.which("wget") is None:
        pytest.skip("no wget on the PATH: the thousand records hold none of its")
    meanings = write_all(tmp_path / "archives", 9, ["wget"])
    assert len(list((tmp_path / "archives").rglob("*.warc*"))) == 3
    revisits = sum(
        record.kind == "revisit"
        for path in sorted((tmp_path / "archives").rglob("*again*"))
        for record in read_records(str(path))
    )
    assert revisits > 20
    assert outcomes(tmp_path / "archives", tmp_path, engine, meanings) == meanings
