import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec import structs

from pipeline.cli import main as commands
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call, Stage
from pipeline.links.fold import bucket_count, ranges
from pipeline.links.intake import accept
from pipeline.links.rules import LinkDrop, Rules
from pipeline.links.settings import LinksSettings
from pipeline.links.spill import place_of
from pipeline.links.stage import STAGE
from pipeline.records import Drop, Link
from pipeline.reddit import Post
from pipeline.storage import files
from pipeline.storage.files import InputError
from pipeline.storage.manifest import StageManifest
from pipeline.urls import dedup_key, host_of

POST = Post("abc", "news", 5, 1_400_000_000, "http://example.com/a", is_self=False, over_18=False, quarantine=False)


def reason(post: Post, kind: str = "dump", **changes: Any) -> str | None:
    found = accept(post, Rules.of(LinksSettings(**changes), kind))
    return str(found.reason) if isinstance(found, Drop) else None


CASES: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({}, {}, None),
    ({"is_self": True}, {}, "self_post"),
    ({"score": None}, {}, "no_karma"),
    ({"score": 2}, {}, "low_karma"),
    ({"score": 3}, {}, None),
    ({"score": 5}, {"min_karma": 6}, "low_karma"),
    ({"score": -4}, {"karma": "sum"}, None),
    ({"created_at": None}, {}, "no_date"),
    ({"created_at": None}, {"created_before": "none"}, None),
    ({"created_at": 1_514_764_799}, {}, None),
    ({"created_at": 1_514_764_800}, {}, "too_late"),
    ({"created_at": 1_514_764_800}, {"created_before": "2020-01-01"}, None),
    ({"url": ""}, {}, "no_url"),
    ({"url": "mailto:a@example.com"}, {}, "bad_url"),
    ({"url": "https://www.reddit.com/gallery/abc"}, {}, "reddit_host"),
    ({"url": "https://i.redd.it/abc"}, {}, "reddit_host"),
    ({"url": "https://i.redd.it/abc.png"}, {}, "media_file"),
    ({"url": "https://i.redd.it/abc.png"}, {"media": True}, "reddit_host"),
    ({"url": "https://v.redd.it/abc"}, {}, "reddit_host"),
    ({"url": "https://notreddit.com/abc"}, {}, None),
    ({"url": "http://en.wikipedia.org/wiki/A"}, {}, "removed_site"),
    ({"url": "http://en.wikipedia.org/wiki/A"}, {"exclude_sites": ()}, None),
    ({"url": "http://example.com/a.JPG?x=1"}, {}, "media_file"),
    ({"url": "http://example.com/a.pdf"}, {}, "media_file"),
    ({"url": "http://example.com/a.pdf"}, {"media": True}, None),
    ({"url": "http://example.com/a.html"}, {}, None),
    ({"url": "http://example.com/?f=a.jpg"}, {}, None),
    ({"url": "http://example.zip/"}, {}, None),
    ({"url": "https://github.com/a/b"}, {}, None),
    ({"url": "https://github.com/a/b"}, {"domain_policy": "openwebtext"}, "blocked_site"),
    ({"url": "https://gist.github.com/a"}, {"domain_policy": "openwebtext"}, "blocked_site"),
    ({"over_18": True}, {}, None),
    ({"over_18": True}, {"over_18": False}, "over_18"),
    ({"quarantine": True}, {}, None),
    ({"quarantine": True}, {"quarantined": False}, "quarantined"),
]


@pytest.mark.parametrize(("fields", "changes", "wanted"), CASES)
def test_each_rule(fields: dict[str, Any], changes: dict[str, Any], wanted: str | None) -> None:
    assert reason(structs.replace(POST, **fields), **changes) == wanted


def test_the_papers_date_holds_for_dumps_alone() -> None:
    late = structs.replace(POST, created_at=1_700_000_000)
    assert [reason(late, kind) for kind in ("dump", "live", "urls")] == ["too_late", None, None]
    assert reason(late, "live", created_before="2018-01-01") == "too_late"


def test_lists_of_subreddits_and_sites(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("# ours\nNews\n/r/science\n")
    assert reason(POST, only_subreddits=str(names)) is None
    assert reason(structs.replace(POST, subreddit="pics"), only_subreddits=str(names)) == "subreddit"
    assert reason(structs.replace(POST, subreddit="Science"), without_subreddits=str(names)) == "subreddit"
    sites = tmp_path / "sites.txt"
    sites.write_text("example.com\n")
    assert reason(structs.replace(POST, url="http://a.example.com/"), domain_policy=str(sites)) == "blocked_site"
    with pytest.raises(InputError, match=r"none.txt: no such file; give one of webtext, openwebtext"):
        reason(POST, domain_policy=str(tmp_path / "none.txt"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"karma": "mean"}, "--karma mean"),
        ({"created_before": "yesterday"}, "--created_before yesterday: not a day"),
        ({"subreddits": ("../x",)}, "--subreddits ../x"),
        ({"listings": ("newest",)}, "--listings newest: give some of new top hot rising"),
    ],
)
def test_settings_out_of_range_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LinksSettings(**changes)


def test_buckets_grow_with_the_data_alone() -> None:
    assert [bucket_count(n) for n in (0, 200, 201, 80_000, 80_001, 45_000_000)] == [1, 1, 4, 4, 8, 4096]
    for buckets in (1, 4, 256, 4096):
        parts = ranges(buckets)
        assert [b for part in parts for b in range(part.first, part.last)] == list(range(buckets))
        assert [s for part in parts for s in range(part.low, part.high)] == list(range(256))
    assert len(ranges(4096)) == 256


def row(number: int, url: str, **fields: Any) -> dict[str, Any]:
    known = {
        "id": f"p{number}",
        "subreddit": "news",
        "score": 5,
        "created_utc": 1_400_000_000 + number,
        "url": url,
        "is_self": False,
    }
    return known | fields


def write_dump(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(path)


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


def test_karma_summed_over_a_page(tmp_path: Path) -> None:
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


def test_lists_of_urls_with_and_without_karma(tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    path.write_text("http://a.com/\nhttp://b.com/\t2\nhttp://c.com/\t3\n\nnonsense\n")
    for karma in ("max", "sum"):
        out = tmp_path / karma
        run(out, urls=(str(path),), karma=karma)
        assert sorted((link["url"], link["karma"]) for link in links_of(out)) == [("http://a.com/", 0), ("http://c.com/", 3)]
        assert drops_of(out) == [("urls.txt:2", "low_karma"), ("urls.txt:4", "blank_line"), ("urls.txt:5", "bad_url")]


def many_rows(count: int, seed: int) -> list[dict[str, Any]]:
    random = Random(seed)
    rows = []
    for number in range(count):
        url = f"http{random.choice(['', 's'])}://{random.choice(['', 'www.', 'm.'])}host{random.randrange(90)}.com/{random.randrange(200)}"
        rows.append(row(seed * 10_000 + number, url, score=random.randrange(12), is_self=random.random() < 0.3))
    return rows


def test_a_host_lives_in_one_bucket_and_the_books_balance(tmp_path: Path) -> None:
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
            assert place_of(host_of(key)) >> 30 == int(path.name[6:11])
    links = links_of(tmp_path / "out")
    assert len({link["dedup_key"] for link in links}) == len(links) == manifest.counters["links"]
    kept = [s["id"] for link in links for s in link["submissions"]]
    dropped = drops_of(tmp_path / "out")
    assert sorted([*kept, *(item for item, _ in dropped)]) == sorted(
        f"p{seed * 10_000 + n}" for seed in (1, 2) for n in range(2000)
    )
    assert Counter(name for _, name in dropped) == manifest.books.dropped
    assert manifest.books.items_in == 4000 == len(kept) + len(dropped)


def test_the_order_and_the_place_of_the_dumps_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    rows = [many_rows(300, seed) for seed in (1, 2)]
    here = [write_dump(tmp_path / f"RS_{n}", r) for n, r in enumerate(rows)]
    there = [write_dump(tmp_path / "elsewhere" / f"RS_{n}", r) for n, r in enumerate(rows)]
    run(tmp_path / "out", submissions=tuple(here))
    run(tmp_path / "again", submissions=tuple(reversed(there)))
    assert contents(tmp_path / "out") == contents(tmp_path / "again")


@pytest.mark.slow
def test_two_workers_write_the_same_bytes(tmp_path: Path) -> None:
    dumps = tuple(write_dump(tmp_path / f"RS_{seed}", many_rows(1000, seed)) for seed in (1, 2, 3))
    run(tmp_path / "one", submissions=dumps)
    run(tmp_path / "two", 2, submissions=dumps)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_changed_dumps_are_another_input(tmp_path: Path) -> None:
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
def test_a_bad_dump_is_one_line_and_publishes_nothing(
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


def test_no_source_is_one_line_that_names_the_three_ways(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--submissions FILE.*--urls FILE.*--subreddits NAME"):
        run(tmp_path / "out")


def test_two_dumps_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    dumps = (write_dump(tmp_path / "RS_1", many_rows(5, 1)), write_dump(tmp_path / "b" / "RS_1", many_rows(5, 2)))
    with pytest.raises(InputError, match="RS_1: 2 sources of that name"):
        run(tmp_path / "out", submissions=dumps)


def test_when_one_rule_removes_everything_the_last_line_says_which(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dump = write_dump(tmp_path / "RS_1", [row(n, f"http://example.com/{n}") for n in range(9)])
    with caplog.at_level("INFO"):
        run(tmp_path / "out", submissions=(dump,), min_karma=99)
    assert "nothing is left, most went by 'low_karma'" in caplog.messages[-1]
    assert links_of(tmp_path / "out") == []


def test_real_dumps(tmp_path: Path, shared_data: Path) -> None:
    names = ("RS_v2_2005-07.xz", "RS_2024-01_sample31.jsonl", "api_submissions.jsonl.xz")
    manifest = run(tmp_path / "out", submissions=tuple(str(shared_data / "reddit" / name) for name in names))
    assert manifest.books.items_in == 1079 + 31 + 4275
    assert sum(manifest.books.dropped.values()) == len(drops_of(tmp_path / "out"))
    links = links_of(tmp_path / "out")
    assert manifest.books.items_out == sum(len(link["submissions"]) for link in links) > 1000
    assert {reason for _, reason in drops_of(tmp_path / "out")} <= {str(r) for r in LinkDrop}
    assert max(link["submitted_at"] for link in links) < datetime(2018, 1, 1, tzinfo=UTC)


def test_one_flag_leaves_sites_out_of_links_and_of_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(Stage, "run", lambda stage, call: seen.update({stage.name: call.settings}))
    commands.run(["run", "--output", "nowhere", "--urls", "y", "--exclude_sites", "a.example"])
    assert (seen["links"].exclude_sites, seen["documents"].exclude_sites) == (("a.example",), ("a.example",))
