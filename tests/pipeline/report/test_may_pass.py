"""The report shows failures that may pass apart from answers."""

from pathlib import Path

import pytest
from servers.replay import NOT_FOUND, ReplayServer, Reply
from servers.stage_runs import link, links_folder, run

from pipeline.corpus.folder import CorpusFolder
from pipeline.engine.runner import Engine
from pipeline.report.gather import gather
from pipeline.report.page_html import render

BUSY = Reply(b"busy", status=503)


@pytest.mark.parametrize(
    ("replies", "passing"),
    [
        (
            {"a": b"<p>Here", "b": BUSY, "c": BUSY, "d": None, "e": NOT_FOUND},
            "3 links failed in a way that may pass (2 http_503, 1 connection)",
        ),
        ({"a": b"<p>Here", "b": NOT_FOUND}, ""),
    ],
)
def test_failures_that_may_pass_are_shown_apart(
    replies: dict[str, bytes | Reply | None], passing: str, tmp_path: Path, engine: Engine
) -> None:
    web = {f"http://{name}.example/": reply for name, reply in replies.items()}
    links = links_folder(tmp_path / "links", [link(url, "abc") for url in web])
    with ReplayServer(web) as server:
        run(links, tmp_path / "pages", engine, proxy=server.proxy_url)
    numbers = gather(CorpusFolder.open({"links": links, "pages": str(tmp_path / "pages")}))
    outcomes = numbers.histogram("outcomes")
    assert outcomes
    assert sum(outcomes.counts) == len(web)
    assert outcomes.note.partition(":")[0] == passing
    assert outcomes.note in render(numbers)
