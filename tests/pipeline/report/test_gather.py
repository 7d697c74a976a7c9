"""The numbers of a report equal what is in the corpus and in the training log."""

from itertools import pairwise
from pathlib import Path
from typing import Any

from report_runs import report_json

from pipeline.storage.manifest import StageManifest

FUNNEL_STAGES = ("links", "pages", "documents", "dedup")


def test_funnel_equals_the_books_of_the_manifests(report: Path, chosen: Any) -> None:
    steps = report_json(report)["funnel"]
    assert [(s["name"], s["items"]) for s in steps] == [
        ("submissions", 70),
        ("links", 40),
        ("pages", 34),
        ("documents", 30),
        ("unique documents", 27),
    ]
    for step, stage in zip(steps[1:], FUNNEL_STAGES, strict=True):
        assert step["lost"] == StageManifest.load(str(chosen.folder / stage)).books.dropped
    for before, after in pairwise(steps):
        assert before["items"] == after["items"] + sum(after["lost"].values())


def test_histograms_count_every_item_once(report: Path, chosen: Any) -> None:
    totals = {h["name"]: sum(h["counts"]) for h in report_json(report)["histograms"]}
    unique = len(chosen.documents) - len(chosen.duplicates)
    assert totals == {
        "karma": 40, "year": 40, "subreddits": 40, "outcomes": 40, "media_types": 34,
        "language": unique, "published": unique, "characters": unique, "tokens": unique,
        "duplicates": 3, "clusters": 1, "similarity": 3,
    }  # fmt: skip


def test_last_log_line_without_newline_is_ignored(report: Path) -> None:
    (run,) = report_json(report)["runs"]
    loss = next(c for c in run["curves"] if c["name"] == "loss")
    assert loss["steps"] == list(range(1, 31))
    assert run["tokens"] == 30 * 512
