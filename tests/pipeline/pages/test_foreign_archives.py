"""A thousand links to pages in archives of other writers give the pages that the writers meant."""

from pathlib import Path

from foreign_pages import Meaning
from foreign_writers import Meanings, write_all
from servers.stage_runs import body_of, drops_of, link, links_folder, pages_of, run

from pipeline.engine.runner import Engine


def outcomes(archives: Path, work: Path, engine: Engine, meanings: Meanings) -> Meanings:
    """What the stage makes of the links."""
    links = links_folder(work / "links", [link(url) for url in sorted(meanings)])
    run(links, work / "pages", engine, fetch_from=(str(archives),))
    found: Meanings = dict(drops_of(work / "pages"))
    for page in pages_of(work / "pages"):
        body = body_of(work / "pages", page)
        found[page.url] = Meaning(page.final_url, page.status, page.media_type or "", page.charset, body)
    return found


def test_a_thousand_foreign_records_give_the_pages_that_their_writers_meant(tmp_path: Path, engine: Engine) -> None:
    meanings = write_all(tmp_path / "archives", seed=1)
    assert len(meanings) >= 1000
    found = outcomes(tmp_path / "archives", tmp_path, engine, meanings)
    assert {url: (found.get(url), meant) for url, meant in meanings.items() if found.get(url) != meant} == {}
    assert sum(isinstance(meant, Meaning) for meant in meanings.values()) > 800
