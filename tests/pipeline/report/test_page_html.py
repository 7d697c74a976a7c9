"""The page is self-contained, escapes the corpus's text, and shows only numbers that are in report.json."""

import re
from base64 import b64decode
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.axes import Axes
from report_runs import report_json, write_report

from pipeline.corpus.folder import CorpusFolder
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.overlap import stage as overlap
from pipeline.overlap.find import OverlapSettings
from pipeline.report.gather import gather
from pipeline.report.numbers import Curve, ReportNumbers, TrainingRun
from pipeline.report.page_html import render
from pipeline.report.plots import POINTS_PER_CURVE
from pipeline.storage.manifest import StageManifest
from pipeline.storage.places import naming

SVG = "data:image/svg+xml;base64,"


class Page(HTMLParser):
    """Tags, ids, numbers and addresses of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.data: dict[str, str] = {}
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        self.ids += [values["id"]] if "id" in values else []
        self.addresses += [values[name] for name in ("src", "href", "xlink:href") if name in values]
        if "data-key" in values:
            self.data[values["data-key"]] = values["value"]


def numbers_of(report: Path) -> ReportNumbers:
    """The numbers of the corpus that the report was made from."""
    manifest = StageManifest.load(str(report))
    names = ("links", "pages", "documents", "dedup", "tokens")
    return gather(CorpusFolder.open({name: str(report / manifest.inputs[name].path) for name in names}))


def test_every_number_with_a_key_is_in_report_json(report: Path) -> None:
    page = Page((report / "report.html").read_text())
    numbers = report_json(report)
    assert len(page.data) > 60
    for key, value in page.data.items():
        kind, _, rest = key.partition(".")
        if kind == "funnel":
            index, what, *reason = rest.split(".", 2)
            step = numbers["funnel"][int(index)]
            assert int(value) == (step["lost"][reason[0]] if reason else step[what])
        elif kind == "histograms":
            name, _, label = rest.partition(".")
            shown = next(h for h in numbers["histograms"] if h["name"] == name)
            assert int(value) == dict(zip(shown["labels"], shown["counts"], strict=True))[label]
        elif kind == "stages":
            name, _, counter = rest.partition(".")
            stage = next(s for s in numbers["stages"] if s["name"] == name)
            books = {"items in": stage["items_in"], "items out": stage["items_out"]}
            assert int(value) == (books | stage["dropped"] | stage["counters"])[counter]


def test_page_is_self_contained(report: Path) -> None:
    html = (report / "report.html").read_text()
    page = Page(html)
    figures = [address for address in page.addresses if address.startswith(SVG)]
    assert page.tags["script"] == 0
    assert all(address.startswith(("#", SVG)) or address == "data:," for address in page.addresses)
    assert not re.search(r"url\((?!#)", html)
    assert "@import" not in html
    assert len(page.ids) == len(set(page.ids))
    assert page.tags["img"] == len(figures) == 13 + 1 + 3
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= set(page.ids)
    for figure in figures:
        root = ElementTree.fromstring(b64decode(figure.removeprefix(SVG)))
        sources = [value for e in root.iter() for name, value in e.attrib.items() if name.endswith("href")]
        assert all(value.startswith("#") for value in sources)


def test_text_of_the_corpus_is_escaped(report: Path) -> None:
    html = (report / "report.html").read_text()
    assert "&lt;b&gt;&amp;amp;" in html
    assert "<b>&amp;" not in html


def test_page_and_figures_stay_small_for_eight_million_documents(report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = numbers_of(report)
    histograms = tuple(
        replace(h, counts=tuple(8_000_000 // (i + 1) for i in range(20)), labels=tuple(f"{i}" for i in range(20)))
        for h in numbers.histograms
    )
    steps = tuple(replace(s, items=45_000_000, lost={f"reason_{i}": 1_000_000 + i for i in range(30)}) for s in numbers.funnel)
    curve = Curve("loss", tuple(range(600_000)), tuple(3.0 for _ in range(600_000)))
    large = replace(numbers, histograms=histograms, funnel=steps, runs=(TrainingRun("124M", {}, (curve,), 10**10),))
    points: list[int] = []
    plot = Axes.plot

    def count_points(axes: Axes, x: Sequence[float], y: Sequence[float], **options: Any) -> Any:
        points.append(len(x))
        return plot(axes, x, y, **options)

    monkeypatch.setattr(Axes, "plot", count_points)
    page = render(large)
    assert points == [POINTS_PER_CURVE]
    assert len(page) < 2_000_000
    assert "45,000,000" in page


def test_overlap_is_shown_with_the_papers_figures(chosen: Any, tmp_path: Path, engine: Engine) -> None:
    held_out = tmp_path / "wikitext2.txt"
    held_out.write_text(chosen.documents[0].text + "\n" + " ".join(f"never{i}" for i in range(60)) + "\n")
    settings = OverlapSettings(evaluation_sets=(f"wikitext2={held_out}",))
    (tmp_path / "links").symlink_to(chosen.folder / "links")
    overlap.STAGE.run(Call({"dedup": str(chosen.folder / "dedup")}, str(tmp_path / "overlap"), settings, engine))
    with naming(str(chosen.folder)):  # --also-read: the overlap was measured on another corpus's dedup
        write_report(tmp_path, tmp_path / "out")
    (measured,) = report_json(tmp_path / "out")["overlap"]
    assert measured["name"] == "wikitext2"
    assert 0 < measured["percent"] < 100
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"{measured['percent']:.2f} %" in page
    assert f"{measured['paper_webtext_percent']:.2f} %" in page
