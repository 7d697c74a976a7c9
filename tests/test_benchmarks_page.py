"""The head of the benchmarks' page: ten rows and a chart, chosen by rule from the recorded figures; the page that is committed."""

from pathlib import Path
from xml.etree import ElementTree

import benchmarks.__main__ as bench
from benchmarks.headlines import KINDS, chart, headlines
from benchmarks.page import CHART, BenchmarkRecord, render
from benchmarks.scores import Race

DOCS = Path(__file__).parents[1] / "docs"
RECORD = BenchmarkRecord.from_json((DOCS / "benchmarks.json").read_text())
RACES = [row for section in RECORD.sections for row in section.rows if isinstance(row, Race)]


def test_the_page_and_the_chart_are_those_of_the_recorded_figures() -> None:
    order = list(dict(bench.commands(Path("data"), [], None, Path("build"))))
    assert (DOCS / "benchmarks.md").read_text() == render(RECORD, order)
    assert (DOCS / CHART).read_text() == chart(headlines(RACES))


def test_every_kind_of_work_has_the_row_of_its_best_peer() -> None:
    chosen = headlines(RACES)
    assert len(chosen) == len(KINDS)
    for (stage, _, work), (_, best) in zip(KINDS, chosen, strict=True):
        others = [race for race in RACES if race.stage == stage and work in race.work and "(ours" not in race.work]
        assert best.ratios[1] == min(race.ratios[1] for race in others)


def test_a_peer_that_is_ahead_is_shown() -> None:
    slow = Race("tokens", "240 MB: whole stage", "faster <1.0>, a bare loop", "CPU s", (4.0,), (1.0,))
    fast = Race("tokens", "240 MB: whole stage", "slower 2.0", "CPU s", (4.0,), (8.0,))
    assert headlines([fast, slow]) == [("token shards, Parquet to Arrow", slow)]
    drawn = chart(headlines([fast, slow]))
    ElementTree.fromstring(drawn)
    assert 'class="behind"' in drawn
    assert "faster &lt;1.0&gt;" in drawn
    assert "0.25x" in drawn
