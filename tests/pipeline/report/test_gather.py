"""The numbers of a report equal what is in the corpus and in the training log."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from report_runs import report_json

from pipeline.report.histograms import slow_path
from pipeline.storage.manifest import Books, StageManifest

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
    gone = {d.url for d in chosen.duplicates}
    assert totals == {
        "karma": 40, "year": 40, "subreddits": 40, "outcomes": 40, "media_types": 34,
        "language": unique, "published": unique, "characters": unique, "tokens": unique,
        "confidence": sum(d.extraction_confidence is not None for d in chosen.documents if d.url not in gone),
        "duplicates": 3, "clusters": 1, "similarity": 3,
    }  # fmt: skip


def test_last_log_line_without_newline_is_ignored(report: Path) -> None:
    (run,) = report_json(report)["runs"]
    loss = next(c for c in run["curves"] if c["name"] == "loss")
    assert loss["steps"] == list(range(1, 31))
    assert run["tokens"] == 30 * 512


def test_confidence_is_shown_in_per_cent_with_the_slow_path(report: Path, chosen: Any) -> None:
    shown = next(h for h in report_json(report)["histograms"] if h["name"] == "confidence")
    gone = {d.url for d in chosen.duplicates}
    confidences = [d.extraction_confidence for d in chosen.documents if d.url not in gone]
    expected = {"40–49": confidences.count(0.42), "80–84": confidences.count(0.8), "95–97": confidences.count(0.9512)}
    assert {label: count for label, count in zip(shown["labels"], shown["counts"], strict=True) if count} == expected
    assert shown["note"] == (
        "The slow path read 8 of 34 extracted pages, 23.5% (2 broad, 6 thorough). In 1 the article comes from JSON-LD."
    )
    assert "Confidence of extraction" in (report / "report.html").read_text()


@pytest.mark.parametrize(("settings", "counters", "note"), [
    ({"extractor": "cascade"}, {"extracted_thorough": 5}, ""), ({}, {"extracted_blocks": 5}, ""), ({"extractor": "blocks"}, {}, ""),
    ({"extractor": "blocks"}, {"extracted_pdf": 3}, ""),
    ({"extractor": "blocks"}, {"extracted_blocks": 5}, "The slow path read 0 of 5 extracted pages, 0.0%."),
    ({"extractor": "blocks"}, {"extracted_unsure": 1, "extracted_pdf": 3}, "The slow path read 1 of 1 extracted pages, 100.0% (1 unsure)."),
])  # fmt: skip
def test_slow_path_is_counted_for_the_extractor_that_has_one(
    settings: dict[str, str], counters: dict[str, int], note: str
) -> None:
    manifest = StageManifest("documents", settings, {}, (), Books(0, 0, {}), counters)
    assert slow_path(manifest) == note
    assert slow_path(None) == ""
