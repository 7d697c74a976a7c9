import json
import re
import time
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline.corpus.folder import Corpus
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.overlap import stage as overlap
from pipeline.overlap.find import OverlapSettings
from pipeline.report.gather import gather
from pipeline.report.numbers import Curve, Numbers, Run
from pipeline.report.page_html import render
from pipeline.report.stage import STAGE, ReportSettings
from pipeline.storage.files import InputError
from pipeline.storage.manifest import StageManifest, resolve

CORPUS_STAGES = ("links", "pages", "documents", "dedup", "tokens")


class Page(HTMLParser):
    """What a test wants to know of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.data: dict[str, str] = {}
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        self.ids += [given["id"]] if "id" in given else []
        self.addresses += [given[name] for name in ("src", "href", "xlink:href") if name in given]
        if "data-key" in given:
            self.data[given["data-key"]] = given["value"]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    folder.mkdir()
    lines: list[dict[str, Any]] = [{"config": {"model": {"layers": 2}}}]
    for step in range(1, 31):
        lines.append({"step": step, "tokens": 512 * step, "loss": 9.0 - step / 10, "lr": 1e-3, "tokens_per_second": 900.0})
        if step % 10 == 0:
            lines.append({"step": step, "val_loss": 9.1 - step / 10, "bits_per_byte": 3.0})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 31, "los')
    return folder


@pytest.fixture(scope="module")
def report(chosen: Any, run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "out"
    report_on(chosen.folder, folder, run=(str(run_folder),))
    return folder


def report_on(corpus: Path, output: Path, **settings: Any) -> None:
    inputs = {name: str(corpus / name) for name in STAGE.inputs}
    STAGE.run(Call(inputs, str(output), ReportSettings(**settings), Engine()))


def numbers(report: Path) -> Any:
    return json.loads((report / "report.json").read_bytes())


def test_the_funnel_is_the_manifests_books(report: Path, chosen: Any) -> None:
    steps = numbers(report)["funnel"]
    assert [(s["name"], s["items"]) for s in steps] == [
        ("submissions", 70),
        ("links", 40),
        ("pages", 34),
        ("documents", 30),
        ("unique documents", 27),
    ]
    for step, stage in zip(steps[1:], CORPUS_STAGES, strict=False):
        assert step["lost"] == StageManifest.load(str(chosen.folder / stage)).books.dropped
    for before, after in pairwise(steps):
        assert before["items"] == after["items"] + sum(after["lost"].values())


def test_histograms_count_every_item_once(report: Path, chosen: Any) -> None:
    totals = {h["name"]: sum(h["counts"]) for h in numbers(report)["histograms"]}
    unique = len(chosen.documents) - len(chosen.duplicates)
    assert totals == {
        "karma": 40, "year": 40, "subreddits": 40, "outcomes": 40, "media_types": 34,
        "language": unique, "published": unique, "characters": unique, "tokens": unique,
        "duplicates": 3, "clusters": 1, "similarity": 3,
    }  # fmt: skip


def test_every_figure_on_the_page_stands_in_the_numbers(report: Path) -> None:
    page = Page((report / "report.html").read_text())
    found = numbers(report)
    assert len(page.data) > 60
    for key, value in page.data.items():
        kind, _, rest = key.partition(".")
        if kind == "funnel":
            index, what, *reason = rest.split(".", 2)
            step = found["funnel"][int(index)]
            assert int(value) == (step["lost"][reason[0]] if reason else step[what])
        elif kind == "histograms":
            name, _, label = rest.partition(".")
            shown = next(h for h in found["histograms"] if h["name"] == name)
            assert int(value) == dict(zip(shown["labels"], shown["counts"], strict=True))[label]
        elif kind == "stages":
            name, _, counter = rest.partition(".")
            stage = next(s for s in found["stages"] if s["name"] == name)
            books = {"items in": stage["items_in"], "items out": stage["items_out"]}
            assert int(value) == (books | stage["dropped"] | stage["counters"])[counter]


def test_the_page_needs_nothing_from_elsewhere(report: Path) -> None:
    html = (report / "report.html").read_text()
    page = Page(html)
    assert page.tags["script"] == 0
    assert all(address.startswith("#") or address == "data:," for address in page.addresses)
    assert not re.search(r"url\((?!#)", html)
    assert "@import" not in html
    assert len(page.ids) == len(set(page.ids))
    assert page.tags["svg"] == 12 + 1 + 3
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= set(page.ids)


def test_text_of_the_corpus_cannot_become_markup(report: Path) -> None:
    html = (report / "report.html").read_text()
    assert "&lt;b&gt;&amp;amp;" in html
    assert "<b>&amp;" not in html


def test_the_same_corpus_gives_the_same_bytes(report: Path, chosen: Any, run_folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    report_on(chosen.folder, again, run=(str(run_folder),))
    for name in ("report.html", "report.json", "loss.svg"):
        assert (again / name).read_bytes() == (report / name).read_bytes()


def test_a_log_that_grew_gives_a_new_report(chosen: Any, run_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "tiny"
    run.mkdir()
    log = run / "log.jsonl"
    log.write_bytes((run_folder / "log.jsonl").read_bytes().rpartition(b"\n")[0] + b"\n")
    report_on(chosen.folder, tmp_path / "out", run=(str(run),))
    first = (tmp_path / "out" / "report.html").stat().st_mtime_ns
    report_on(chosen.folder, tmp_path / "out", run=(str(run),))
    assert (tmp_path / "out" / "report.html").stat().st_mtime_ns == first
    with log.open("a") as file:
        file.write('{"step": 40, "val_loss": 1.5}\n')
    report_on(chosen.folder, tmp_path / "out", run=(str(run),))
    curve = next(c for c in numbers(tmp_path / "out")["runs"][0]["curves"] if c["name"] == "val_loss")
    assert (curve["steps"][-1], curve["values"][-1]) == (40, 1.5)


def test_a_line_cut_short_by_a_kill_is_left_out(report: Path) -> None:
    (run,) = numbers(report)["runs"]
    loss = next(c for c in run["curves"] if c["name"] == "loss")
    assert loss["steps"] == list(range(1, 31))
    assert run["tokens"] == 30 * 512


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"run": ("{tmp}",)}, "log.jsonl: no such file"),
        ({"webtext_domains": "{tmp}/list.txt"}, "list.txt:2: 'google'"),
        ({"webtext_domains": "{tmp}/none.txt"}, "none.txt: no such file"),
    ],
)
def test_bad_input_is_named(chosen: Any, tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    (tmp_path / "list.txt").write_text("12 github\ngoogle\n")
    given = {
        k: v.format(tmp=tmp_path) if isinstance(v, str) else tuple(i.format(tmp=tmp_path) for i in v) for k, v in settings.items()
    }
    with pytest.raises(InputError, match=re.escape(said)):
        report_on(chosen.folder, tmp_path / "out", **given)
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_corpus_without_a_finished_stage_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished stage in any of"):
        report_on(tmp_path, tmp_path / "out")


def test_a_port_is_a_port() -> None:
    with pytest.raises(ValueError, match="--watch 70000: a port is"):
        ReportSettings(watch=70_000)


def test_numbers_of_eight_million_documents_render_in_seconds(report: Path) -> None:
    found = numbers_of(report)
    histograms = tuple(
        replace(h, counts=tuple(8_000_000 // (i + 1) for i in range(20)), labels=tuple(f"{i}" for i in range(20)))
        for h in found.histograms
    )
    steps = tuple(replace(s, items=45_000_000, lost={f"reason_{i}": 1_000_000 + i for i in range(30)}) for s in found.funnel)
    curve = Curve("loss", tuple(range(600_000)), tuple(3.0 for _ in range(600_000)))
    large = replace(found, histograms=histograms, funnel=steps, runs=(Run("124M", {}, (curve,), 10**10),))
    started = time.process_time()
    page = render(large)
    assert time.process_time() - started < 8  # 0.9 s on an idle machine; the machine of a test is seldom idle
    assert len(page) < 2_000_000
    assert "45,000,000" in page


def numbers_of(report: Path) -> Numbers:
    """The numbers as gathered, from the corpus that the report was made of."""
    manifest = StageManifest.load(str(report))
    return gather(Corpus.open({name: resolve(str(report), manifest.inputs[name]) for name in CORPUS_STAGES}))


def test_the_overlap_stands_beside_the_papers(chosen: Any, tmp_path: Path, engine: Engine) -> None:
    held = tmp_path / "wikitext2.txt"
    held.write_text(chosen.documents[0].text + "\n" + " ".join(f"never{i}" for i in range(60)) + "\n")
    settings = OverlapSettings(evaluation_sets=(f"wikitext2={held}",))
    folder = str(tmp_path / "overlap")
    overlap.STAGE.run(Call({"dedup": str(chosen.folder / "dedup")}, folder, settings, engine))
    inputs = {"links": str(chosen.folder / "links"), "overlap": folder}
    STAGE.run(Call(inputs, str(tmp_path / "out"), ReportSettings(), engine))
    (found,) = numbers(tmp_path / "out")["overlap"]
    assert found["name"] == "wikitext2"
    assert 0 < found["percent"] < 100
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"{found['percent']:.2f} %" in page
    assert f"{found['paper_webtext_percent']:.2f} %" in page
