"""--limit: a try of the first links, deterministic, that never passes for the whole and grows without loss."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from dumps import row, write_dump

from pipeline.cli.run_command import parse_run, run_parser
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.links.settings import LinksSettings
from pipeline.links.stage import STAGE
from pipeline.storage import files
from pipeline.storage.manifest import StageManifest
from tokenizer.errors import InputError


def run(folder: Path, dumps: Sequence[str], workers: int = 1, **changes: Any) -> StageManifest:
    return STAGE.run(Call({}, str(folder), LinksSettings(submissions=tuple(dumps), **changes), Engine(workers=workers)))


def urls_of(folder: Path) -> list[str]:
    paths = sorted(folder.glob("links-*.parquet"))
    return sorted(url for path in paths for url in files.read_table(str(path)).column("url").to_pylist())


def dump_of(path: Path, pages: Sequence[int], site: str = "a") -> str:
    rows = [row(n, f"http://{site}{page}.example/", score=9) for n, page in enumerate(pages)]
    return write_dump(path, rows)


def test_one_source_gives_its_first_pages_in_the_order_of_its_lines(tmp_path: Path) -> None:
    dump = dump_of(tmp_path / "RS_1", [5, 3, 5, 9, 1, 3, 7])
    manifest = run(tmp_path / "out", [dump], limit=3)
    assert urls_of(tmp_path / "out") == [f"http://a{page}.example/" for page in (3, 5, 9)]
    assert (manifest.books.items_in, manifest.books.items_out, manifest.books.dropped) == (4, 4, {})


def test_dropped_lines_do_not_count_as_links(tmp_path: Path) -> None:
    rows = [row(n, f"http://a{n}.example/", score=1 if n < 4 else 9) for n in range(9)]
    manifest = run(tmp_path / "out", [write_dump(tmp_path / "RS_1", rows)], limit=2)
    assert urls_of(tmp_path / "out") == ["http://a4.example/", "http://a5.example/"]
    assert (manifest.books.items_in, manifest.books.dropped) == (6, {"low_karma": 4})


@pytest.mark.parametrize("limit", [3, 13])
def test_several_sources_give_so_many_pages_in_any_order_of_the_flags(tmp_path: Path, limit: int) -> None:
    dumps = [dump_of(tmp_path / f"RS_{n}", range(4), site) for n, site in enumerate("abc")]
    manifest = run(tmp_path / "out", dumps, limit=limit)
    run(tmp_path / "again", dumps[::-1], limit=limit)
    assert urls_of(tmp_path / "out") == urls_of(tmp_path / "again")
    assert len(urls_of(tmp_path / "out")) == min(limit, 12)
    assert manifest.books.items_in == manifest.books.items_out + manifest.books.dropped.get("beyond_limit", 0)


@pytest.mark.slow
def test_two_workers_take_the_same_links(tmp_path: Path) -> None:
    dumps = [dump_of(tmp_path / f"RS_{n}", range(300), site) for n, site in enumerate("abc")]
    for workers in (1, 2):
        run(tmp_path / str(workers), dumps, workers, limit=250)
    assert urls_of(tmp_path / "1") == urls_of(tmp_path / "2")
    assert len(urls_of(tmp_path / "1")) == 250


def test_a_limit_above_all_links_keeps_them(tmp_path: Path) -> None:
    dump = dump_of(tmp_path / "RS_1", range(4))
    run(tmp_path / "out", [dump], limit=99)
    assert len(urls_of(tmp_path / "out")) == 4


def test_a_try_grows_to_more_links_and_to_all(tmp_path: Path) -> None:
    dump = dump_of(tmp_path / "RS_1", range(6))
    for limit, links in ((2, 2), (4, 4), (None, 6)):
        run(tmp_path / "out", [dump], limit=limit)
        assert len(urls_of(tmp_path / "out")) == links


@pytest.mark.parametrize(
    ("first", "then", "told"),
    [
        ({"limit": 4}, {"limit": 2}, r"limit was 4, now 2.*--replace"),
        ({}, {"limit": 2}, r"limit was None, now 2.*--replace"),
        ({"limit": 2}, {"min_karma": 5}, r"limit was 2, now None; min_karma was 3, now 5"),
    ],
    ids=["smaller", "of-the-whole", "another-change"],
)
def test_what_would_lose_links_is_told_as_stale(tmp_path: Path, first: dict[str, Any], then: dict[str, Any], told: str) -> None:
    dump = dump_of(tmp_path / "RS_1", range(6))
    run(tmp_path / "out", [dump], **first)
    before = urls_of(tmp_path / "out")
    with pytest.raises(InputError, match=told):
        run(tmp_path / "out", [dump], **then)
    assert urls_of(tmp_path / "out") == before


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_nothing_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match=f"--limit {limit}: at least 1"):
        LinksSettings(limit=limit)


@pytest.mark.parametrize(
    ("words", "limit"),
    [([], 2), (["--submissions", "{dump}"], None), (["--submissions", "{dump}", "--limit", "5"], 5), (["--limit", "2"], 2)],
    ids=["links-stand", "sources-named", "sources-and-limit", "same-limit"],
)
def test_a_folders_limit_holds_while_its_links_stand(tmp_path: Path, words: list[str], limit: int | None) -> None:
    dump = dump_of(tmp_path / "RS_1", range(6))
    run(tmp_path / "corpus" / "links", [dump], limit=2)
    words = [word.format(dump=dump) for word in words]
    assert parse_run(["--output", str(tmp_path / "corpus"), *words], run_parser()).settings["links"].limit == limit


def test_another_limit_without_sources_names_the_way_out(tmp_path: Path) -> None:
    run(tmp_path / "corpus" / "links", [dump_of(tmp_path / "RS_1", range(6))], limit=2)
    with pytest.raises(InputError, match=r"--limit 5: .*name their sources too"):
        parse_run(["--output", str(tmp_path / "corpus"), "--limit", "5"], run_parser())
