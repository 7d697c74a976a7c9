from dataclasses import replace
from pathlib import Path

from page_folders import write_pages

from pipeline.documents.page_ranges import page_ranges
from pipeline.storage.manifest import StageManifest


def test_every_page_is_in_exactly_one_range(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "pages", [b"x"] * 250, indexes=3)
    ranges = page_ranges(str(folder), StageManifest.load(str(folder)))
    assert len(ranges) == 3
    urls = [page.url for pages in ranges for page in pages.pages()]
    assert sorted(urls) == sorted(f"http://example.org/{i}" for i in range(250))
    halves = [replace(ranges[0], stop=50), replace(ranges[0], start=50)]
    assert [page.url for half in halves for page in half.pages()] == [page.url for page in ranges[0].pages()]
