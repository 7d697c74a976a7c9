"""The report during a run, served on loopback."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from pipeline.corpus.folder import stage_folders
from pipeline.report.loopback_server import PageServer
from pipeline.report.page_html import render
from pipeline.report.stage import ReportSettings, gather_numbers, serve_during
from pipeline.report.watch import live_page, progress_text
from tokenizer.errors import InputError


@contextmanager
def serve(corpus: Path) -> Iterator[str]:
    folders = stage_folders(str(corpus))
    with PageServer(0, lambda: live_page(folders, lambda: render(gather_numbers(ReportSettings(), folders)))) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{served.server_address[1]}"
        finally:
            served.shutdown()
            thread.join()


def test_page_grows_with_the_run(chosen: Any, tmp_path: Path) -> None:
    with serve(tmp_path) as address:
        first = requests.get(address, timeout=30)
        assert "No stage has finished yet" in first.text
        assert int(first.headers["Refresh"]) > 0
        shutil.copytree(chosen.folder / "links", tmp_path / "links")
        work = tmp_path / "pages" / ".work" / "0123" / "main"
        work.mkdir(parents=True)
        (work / "a.receipt.json").write_text("{}")
        (work / "a.progress").write_text("7")
        (work / "b.progress").write_text("5")
        second = requests.get(address, timeout=30).text
        assert "pages: running, 1 parts done, 5 items done in the others" in second
        assert "low karma" in second
        assert requests.get(f"{address}/etc/passwd", timeout=30).status_code == 404


def test_finished_and_missing_stages_are_not_running(chosen: Any) -> None:
    assert progress_text("links", str(chosen.folder / "links")) is None
    assert progress_text("overlap", str(chosen.folder / "overlap")) is None


def test_taken_port_is_an_error_that_names_it(tmp_path: Path) -> None:
    with serve(tmp_path) as address:
        port = int(address.rpartition(":")[2])
        with pytest.raises(InputError, match=f"--watch {port}: cannot listen"):
            PageServer(port, str)


def test_a_run_is_served_from_its_start_to_its_end(chosen: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "pipeline")
    folders = stage_folders(str(tmp_path))
    last: list[requests.Response] = []
    with serve_during(ReportSettings(watch=0), folders) as served:
        address = f"http://127.0.0.1:{served.server_address[1]}/"
        assert address in caplog.messages[-1]
        assert "No stage has finished yet" in requests.get(address, timeout=30).text
        shutil.copytree(chosen.folder / "links", tmp_path / "links")
        looks_again = threading.Timer(0.2, lambda: last.append(requests.get(address, timeout=30)))
        looks_again.start()
        shown = requests.get(address, timeout=30)
        assert "Refresh" in shown.headers
        assert "low karma" in shown.text
        served.refreshes = False  # as the end of the block does, so that the order of requests does not matter
    looks_again.join()
    assert "Refresh" not in last[0].headers
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=5)


def test_nobody_looks_and_the_server_ends_at_once(tmp_path: Path) -> None:
    with PageServer(0, str) as served:
        served.finish()
        assert not served.refreshes
