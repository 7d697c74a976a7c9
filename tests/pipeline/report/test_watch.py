import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from pipeline.corpus.folder import STAGE_NAMES
from pipeline.report.page_html import render
from pipeline.report.stage import ReportSettings, gather_by
from pipeline.report.watch import at_work, server, watched_page
from pipeline.storage.files import InputError


@contextmanager
def watching(corpus: Path) -> Iterator[str]:
    folders = {name: str(corpus / name) for name in STAGE_NAMES}
    with server(0, lambda: watched_page(folders, lambda: render(gather_by(ReportSettings(), folders)))) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{served.server_address[1]}"
        finally:
            served.shutdown()
            thread.join()


def test_the_page_grows_with_the_run(chosen: Any, tmp_path: Path) -> None:
    with watching(tmp_path) as address:
        first = requests.get(address, timeout=30)
        assert "Nothing has finished yet" in first.text
        assert int(first.headers["Refresh"]) > 0
        shutil.copytree(chosen.folder / "links", tmp_path / "links")
        work = tmp_path / "pages" / ".work" / "0123" / "main"
        work.mkdir(parents=True)
        (work / "a.receipt.json").write_text("{}")
        (work / "a.progress").write_text("7")
        (work / "b.progress").write_text("5")
        second = requests.get(address, timeout=30).text
        assert "pages: at work, 1 parts done, 5 items in the others" in second
        assert "low karma" in second
        assert requests.get(f"{address}/etc/passwd", timeout=30).status_code == 404


def test_a_finished_stage_is_not_at_work(chosen: Any) -> None:
    assert at_work("links", str(chosen.folder / "links")) is None
    assert at_work("overlap", str(chosen.folder / "overlap")) is None


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with watching(tmp_path) as address:
        port = int(address.rpartition(":")[2])
        with pytest.raises(InputError, match=f"--watch {port}: cannot listen"):
            server(port, str)
