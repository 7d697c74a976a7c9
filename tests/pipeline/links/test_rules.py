from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from pipeline.links.intake import accept
from pipeline.links.rules import LinkDrop, LinkRules
from pipeline.links.settings import LinksSettings, SourceKind
from pipeline.records import Drop
from pipeline.reddit import LineFault, Post
from tokenizer.errors import InputError

POST = Post("abc", "news", 5, 1_400_000_000, "http://example.com/a", is_self=False, over_18=False, quarantine=False)


def reason(post: Post, kind: SourceKind = SourceKind.DUMP, **changes: Any) -> str | None:
    result = accept(post, LinkRules.of(LinksSettings(**changes), kind))
    return str(result.reason) if isinstance(result, Drop) else None


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
    ({"url": "http://example.com/a.PDF?x=1"}, {"pdf": True}, None),
    ({"url": "http://example.com/a.zip"}, {"pdf": True}, "media_file"),
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
    *(
        ({"subreddit": name}, {}, None)
        for name in ("", "pic", "a" * 21, "AskReddit", "4chan", "_x_", "de", "x", "reddit.com", "t:1920s")
    ),
    *(({"subreddit": name}, {}, None) for name in ("u_name", "u_some-body", "U_Some_Body", "u_")),
    *(
        ({"subreddit": name}, {}, "bad_subreddit")
        for name in (
            "a" * 22,
            "a b",
            "$x$",
            "a-b",
            "é" * 4,
            "a\nb",
            "news\n",
            "\x1b[2J",
            "<b>",
            "u_a b",
            "u_a\n",
            "reddit,com",
            "r/a",
        )
    ),
]


@pytest.mark.parametrize(("fields", "changes", "expected"), CASES)
def test_each_rule_gives_its_reason(fields: dict[str, Any], changes: dict[str, Any], expected: str | None) -> None:
    assert reason(structs.replace(POST, **fields), **changes) == expected


def test_profiles_are_published_without_the_users_name() -> None:
    row = accept(structs.replace(POST, subreddit="u_canary"), LinkRules.of(LinksSettings(), SourceKind.DUMP))
    assert "u_" in row
    assert "canary" not in repr(row)
    refused = accept(structs.replace(POST, subreddit="u_canary!"), LinkRules.of(LinksSettings(), SourceKind.DUMP))
    assert "canary" not in repr(refused)


def test_profiles_can_be_left_out_by_name(tmp_path: Path) -> None:
    (tmp_path / "names").write_text("u_Somebody\n")
    assert reason(structs.replace(POST, subreddit="u_somebody"), without_subreddits=str(tmp_path / "names")) == "subreddit"


def test_every_line_fault_is_a_reason_of_drops() -> None:
    assert {str(fault) for fault in LineFault} <= {str(drop) for drop in LinkDrop}


def test_paper_date_applies_to_dumps_only() -> None:
    late = structs.replace(POST, created_at=1_700_000_000)
    kinds = (SourceKind.DUMP, SourceKind.LIVE, SourceKind.URLS)
    assert [reason(late, kind) for kind in kinds] == ["too_late", None, None]
    assert reason(late, SourceKind.LIVE, created_before="2018-01-01") == "too_late"


def test_files_of_subreddits_and_sites_are_applied(tmp_path: Path) -> None:
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
