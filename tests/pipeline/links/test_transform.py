import pickle
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.util import assert_that
from dumps import many_rows, row, write_dump

from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.links import intake
from pipeline.links.settings import LinksSettings, SourceKind
from pipeline.links.stage import STAGE
from pipeline.links.transform import Links
from pipeline.links.url_lists import read_urls
from pipeline.records import Drop, Link
from pipeline.reddit import read_submissions
from pipeline.storage import files


def stage_output(folder: Path, settings: LinksSettings) -> tuple[Counter[Link], Counter[Drop]]:
    """The rows that the stage writes, as records."""
    STAGE.run(Call({}, str(folder), settings, Engine(workers=1)))
    links = (Link.from_row(r) for path in folder.glob("links-*.parquet") for r in rows_of(path))
    drops = (Drop.from_row(r) for path in folder.glob("drops/*.parquet") for r in rows_of(path))
    return Counter(links), Counter(drops)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return files.read_table(str(path)).to_pylist()


def equals(expected: Counter[Any]) -> Callable[[Iterable[Any]], None]:
    return partial(check_equal, expected)


def check_equal(expected: Counter[Any], actual: Iterable[Any]) -> None:
    difference = Counter(actual)
    difference.subtract(expected)
    assert not {item: count for item, count in difference.items() if count}


@pytest.mark.parametrize("changes", [{}, {"karma": "sum", "min_karma": 8}], ids=["max", "sum"])
def test_links_equal_the_rows_of_the_stage(tmp_path: Path, changes: dict[str, Any]) -> None:
    rows = many_rows(1500, 1)
    repeats = [r | {"score": r["score"] + 1} for r in rows[::7]]
    others = [row(1, "mailto:a@b.example"), row(2, "http://en.wikipedia.org/wiki/A"), row(3, "http://a.example/b.jpg")]
    dumps = [write_dump(tmp_path / "RS_1", rows), write_dump(tmp_path / "RS_2", [*repeats, *others])]
    links, drops = stage_output(tmp_path / "out", LinksSettings(submissions=tuple(dumps), **changes))
    assert len(links) > 100
    assert {"repeated_submission", "bad_url", "removed_site", "media_file", "low_karma"} <= {d.reason for d in drops}
    with beam.Pipeline(FnApiRunner()) as pipeline:
        submissions = pipeline | beam.Create(dumps) | beam.FlatMap(read_submissions)
        outputs = submissions | Links(LinksSettings(**changes))
        assert_that(outputs.links, equals(links), "links")
        assert_that(outputs.drops, equals(drops), "drops")


def test_blocks_and_order_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dump = write_dump(tmp_path / "RS_1", many_rows(600, 2))
    links, drops = stage_output(tmp_path / "out", LinksSettings(submissions=(dump,)))
    monkeypatch.setattr(intake, "ROWS_PER_BATCH", 16)
    monkeypatch.setattr(intake, "ROWS_PER_BLOCK", 64)
    with beam.Pipeline(FnApiRunner()) as pipeline:
        outputs = pipeline | beam.Create(list(read_submissions(dump))[::-1]) | Links()
        assert_that(outputs.links, equals(links), "links")
        assert_that(outputs.drops, equals(drops), "drops")


def test_lists_of_urls_need_no_karma(tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    path.write_text("http://a.com/\nhttp://b.com/\t2\nhttp://c.com/\t3\nnonsense\n")
    links, drops = stage_output(tmp_path / "out", LinksSettings(urls=(str(path),)))
    with beam.Pipeline(FnApiRunner()) as pipeline:
        outputs = pipeline | beam.Create(list(read_urls(str(path), path.name))) | Links(kind=SourceKind.URLS)
        assert_that(outputs.links, equals(links), "links")
        assert_that(outputs.drops, equals(drops), "drops")


def test_no_submissions_give_no_links() -> None:
    with beam.Pipeline(FnApiRunner()) as pipeline:
        outputs = pipeline | beam.Create([]) | Links()
        assert_that(outputs.links, equals(Counter()), "links")
        assert_that(outputs.drops, equals(Counter()), "drops")


def test_the_transform_is_picklable() -> None:
    transform = Links(LinksSettings(min_karma=9), SourceKind.LIVE)
    assert pickle.loads(pickle.dumps(transform)) == transform
