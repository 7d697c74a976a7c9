import gzip
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dumps import many_rows, row, write_dump

from pipeline.cli import main as commands
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call, Stage
from pipeline.links.buckets import host_hash
from pipeline.links.rules import LinkDrop
from pipeline.links.settings import LinksSettings
from pipeline.links.stage import STAGE
from pipeline.records import Link
from pipeline.storage import files
from pipeline.storage.manifest import Books, StageManifest
from pipeline.urls import dedup_key, host_of
from tokenizer.errors import InputError


def run(folder: Path, workers: int = 1, **changes: Any) -> StageManifest:
    return STAGE.run(Call({}, str(folder), LinksSettings(**changes), Engine(workers=workers)))


def links_of(folder: Path) -> list[dict[str, Any]]:
    return [link for path in sorted(folder.glob("links-*.parquet")) for link in files.read_table(str(path)).to_pylist()]


def drops_of(folder: Path) -> list[tuple[str, str]]:
    tables = [files.read_table(str(path)) for path in sorted((folder / "drops").glob("*.parquet"))]
    return sorted((d["item"], d["reason"]) for table in tables for d in table.to_pylist())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "run.json"}


def test_submissions_of_a_page_become_one_link(tmp_path: Path) -> None:
    dump = write_dump(
        tmp_path / "RS_1",
        [
            row(3, "https://www.example.com/a/?utm_source=x", score=40),
            row(1, "http://m.example.com/a#top", score=4, subreddit="old"),
            row(2, "http://example.com/a", score=2),
            row(4, "http://example.com/b", score=7),
            row(4, "http://example.com/b", score=9),
        ],
    )
    manifest = run(tmp_path / "out", submissions=(dump,))
    first, second = sorted(links_of(tmp_path / "out"), key=lambda link: link["url"])
    assert first["url"] == "http://example.com/b"
    assert [(s["id"], s["karma"]) for s in first["submissions"]] == [("p4", 9)]
    assert (second["url"], second["dedup_key"], second["domain"]) == (
        "http://m.example.com/a",
        "https://example.com/a",
        "example.com",
    )
    assert [s["id"] for s in second["submissions"]] == ["p1", "p3"]
    assert second["karma"] == 40
    assert second["submitted_at"] == datetime.fromtimestamp(1_400_000_001, UTC)
    assert (manifest.books.items_in, manifest.books.items_out) == (5, 3)
    assert manifest.books.dropped == {"low_karma": 1, "repeated_submission": 1}
    assert manifest.counters == {"links": 2, "submissions_2014": 3, "karma_from_4": 1, "karma_from_8": 1, "karma_from_32": 1}
    assert drops_of(tmp_path / "out") == [("p2", "low_karma"), ("p4", "repeated_submission")]
    table = files.read_table(str(tmp_path / "out" / manifest.of_kind("links")[0].name))
    assert table.schema.equals(Link.SCHEMA)


def test_escaped_addresses_of_a_dump_fold_with_their_twins(tmp_path: Path) -> None:
    urls = ["http://a.com/?b=1&amp;utm_source=x", "http://a.com/?b=1", "http://a.com/?c=2&amp;b=1", "http://a.com/?b=1&c=2"]
    dump = write_dump(tmp_path / "RS_1", [row(n, url) for n, url in enumerate([*urls, "http://a.com/?f=1&amp;g=.jpg"])])
    run(tmp_path / "out", submissions=(dump,))
    assert sorted((link["url"], link["dedup_key"], len(link["submissions"])) for link in links_of(tmp_path / "out")) == [
        ("http://a.com/?b=1&utm_source=x", "https://a.com/?b=1", 2),
        ("http://a.com/?c=2&b=1", "https://a.com/?b=1&c=2", 2),
        ("http://a.com/?f=1&g=.jpg", "https://a.com/?f=1&g=.jpg", 1),
    ]


def test_karma_sum_judges_the_total_of_a_page(tmp_path: Path) -> None:
    rows = [
        row(1, "http://a.com/", score=1),
        row(2, "http://www.a.com", score=2),
        row(3, "http://b.com/", score=2),
        row(4, "http://c.com/", score=-1),
    ]
    dump = write_dump(tmp_path / "RS_1", rows)
    manifest = run(tmp_path / "out", submissions=(dump,), karma="sum")
    assert [(link["url"], link["karma"]) for link in links_of(tmp_path / "out")] == [("http://a.com/", 3)]
    assert drops_of(tmp_path / "out") == [("p3", "low_karma"), ("p4", "low_karma")]
    assert (manifest.books.items_in, manifest.books.items_out) == (4, 2)


def test_lists_of_urls_may_give_karma(tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    path.write_text("http://a.com/\nhttp://b.com/\t2\nhttp://c.com/\t3\n\nnonsense\n")
    for karma in ("max", "sum"):
        out = tmp_path / karma
        run(out, urls=(str(path),), karma=karma)
        assert sorted((link["url"], link["karma"]) for link in links_of(out)) == [("http://a.com/", 0), ("http://c.com/", 3)]
        assert drops_of(out) == [("urls.txt:2", "low_karma"), ("urls.txt:4", "blank_line"), ("urls.txt:5", "bad_url")]


def test_a_month_without_submissions_is_a_month_and_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = [tmp_path / "RS_2005-05.gz", tmp_path / "urls.txt"]
    paths[0].write_bytes(gzip.compress(b""))
    paths[1].write_bytes(b"")
    assert commands.run(["links", "--output", str(tmp_path / "a"), "--submissions", str(paths[0]), "--urls", str(paths[1])]) == 0
    assert StageManifest.load(str(tmp_path / "a")).books == Books()
    assert [f"links: {path} holds no line" in caplog.text for path in paths] == [True, True]


def test_a_list_without_a_url_exits_2_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "urls.txt"
    path.write_text("one\ntwo\n")
    assert commands.run(["links", "--output", str(tmp_path / "out"), "--urls", str(path)]) == 2
    assert "none of its 2 lines is a URL" in capsys.readouterr().err


def test_each_host_is_in_one_bucket_and_the_books_balance(tmp_path: Path) -> None:
    dumps = tuple(write_dump(tmp_path / f"RS_{seed}", many_rows(2000, seed)) for seed in (1, 2))
    manifest = run(tmp_path / "out", submissions=dumps)
    assert [entry.name for entry in manifest.of_kind("links")] == [f"links-{b:05d}-of-00004.parquet" for b in range(4)]
    hosts: dict[str, str] = {}
    for path in sorted((tmp_path / "out").glob("links-*")):
        table = files.read_table(str(path))
        keys = table.column("dedup_key").to_pylist()
        assert keys == sorted(keys)
        for url, key in zip(table.column("url").to_pylist(), keys, strict=True):
            assert dedup_key(url) == key
            assert hosts.setdefault(host_of(url), path.name) == path.name
            assert host_hash(host_of(key)) >> 30 == int(path.name[6:11])
    links = links_of(tmp_path / "out")
    assert len({link["dedup_key"] for link in links}) == len(links) == manifest.counters["links"]
    kept = [s["id"] for link in links for s in link["submissions"]]
    dropped = drops_of(tmp_path / "out")
    assert sorted([*kept, *(item for item, _ in dropped)]) == sorted(
        f"p{seed * 10_000 + n}" for seed in (1, 2) for n in range(2000)
    )
    assert Counter(name for _, name in dropped) == manifest.books.dropped
    assert manifest.books.items_in == 4000 == len(kept) + len(dropped)


def test_order_and_folder_of_dumps_do_not_change_the_output(tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    rows = [many_rows(300, seed) for seed in (1, 2)]
    originals = [write_dump(tmp_path / f"RS_{n}", r) for n, r in enumerate(rows)]
    moved = [write_dump(tmp_path / "moved" / f"RS_{n}", r) for n, r in enumerate(rows)]
    run(tmp_path / "out", submissions=tuple(originals))
    run(tmp_path / "again", submissions=tuple(reversed(moved)))
    assert contents(tmp_path / "out") == contents(tmp_path / "again")


@pytest.mark.slow
def test_two_workers_write_the_same_bytes(tmp_path: Path) -> None:
    dumps = tuple(write_dump(tmp_path / f"RS_{seed}", many_rows(1000, seed)) for seed in (1, 2, 3))
    run(tmp_path / "one", submissions=dumps)
    run(tmp_path / "two", 2, submissions=dumps)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_changed_dump_is_refused_as_another_input(tmp_path: Path) -> None:
    dump = write_dump(tmp_path / "RS_1", many_rows(50, 1))
    run(tmp_path / "out", submissions=(dump,))
    write_dump(tmp_path / "RS_1", many_rows(50, 2))
    with pytest.raises(InputError, match="input 'dump RS_1' differs"):
        run(tmp_path / "out", submissions=(dump,))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "RS_1: no such file"),
        (b"", "RS_1: empty"),
        (b"<html>\n", "RS_1:1: none of its 1 lines read is a JSON object"),
        (b"\x28\xb5\x2f\xfd\x24", "RS_1: cut short or damaged"),
    ],
)
def test_a_bad_dump_raises_one_line_and_publishes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str
) -> None:
    dump = tmp_path / "RS_1"
    if content is not None:
        dump.write_bytes(content)
    good = write_dump(tmp_path / "RS_0", many_rows(10, 1))
    with pytest.raises(InputError, match=message):
        run(tmp_path / "out", submissions=(good, str(dump)))
    published = [p for p in (tmp_path / "out").rglob("*") if p.name == "manifest.json" or p.name.startswith("links-")]
    assert published == []
    assert "Traceback" not in capsys.readouterr().err


def test_no_source_raises_one_line_that_names_the_three_flags(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--submissions FILE.*--urls FILE.*--subreddits NAME"):
        run(tmp_path / "out")


def test_two_dumps_with_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    dumps = (write_dump(tmp_path / "RS_1", many_rows(5, 1)), write_dump(tmp_path / "b" / "RS_1", many_rows(5, 2)))
    with pytest.raises(InputError, match="RS_1: 2 sources of that name"):
        run(tmp_path / "out", submissions=dumps)


def test_the_closing_line_names_the_rule_that_removed_everything(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dump = write_dump(tmp_path / "RS_1", [row(n, f"http://example.com/{n}") for n in range(9)])
    with caplog.at_level("INFO"):
        run(tmp_path / "out", submissions=(dump,), min_karma=99)
    assert "nothing is left, 'low_karma' dropped most" in caplog.messages[-1]
    assert links_of(tmp_path / "out") == []


def test_books_balance_on_real_dumps(tmp_path: Path, shared_data: Path) -> None:
    names = ("RS_v2_2005-07.xz", "RS_2024-01_sample31.jsonl", "api_submissions.jsonl.xz")
    manifest = run(tmp_path / "out", submissions=tuple(str(shared_data / "reddit" / name) for name in names))
    assert manifest.books.items_in == 1079 + 31 + 4275
    assert sum(manifest.books.dropped.values()) == len(drops_of(tmp_path / "out"))
    links = links_of(tmp_path / "out")
    assert manifest.books.items_out == sum(len(link["submissions"]) for link in links) > 1000
    assert {reason for _, reason in drops_of(tmp_path / "out")} <= {str(r) for r in LinkDrop}
    assert max(link["submitted_at"] for link in links) < datetime(2018, 1, 1, tzinfo=UTC)


def test_exclude_sites_reaches_links_and_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def run_stage(stage: Stage[Any], call: Call[Any]) -> StageManifest:
        seen[stage.name] = call.settings
        return StageManifest(stage.name, {}, {}, (), Books(1, 1))

    monkeypatch.setattr(Stage, "run", run_stage)
    (tmp_path / "urls").write_text("http://b.example/\n")
    commands.run(["run", "--output", "nowhere", "--urls", str(tmp_path / "urls"), "--exclude-sites", "a.example"])
    assert (seen["links"].exclude_sites, seen["documents"].exclude_sites) == (("a.example",), ("a.example",))
