"""Results of hostile names: tables, pages and curves show them as text."""

from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hostile_labels import FORBIDDEN, LABELS
from markdown_it import MarkdownIt

from tokenizer.codec import Tokenizer
from trainer.config import ModelConfig
from trainer.evals import report
from trainer.evals.curves import MetricCurve, draw
from trainer.evals.results import Provenance, Result, TaskRecord
from trainer.evals.suite import CheckpointEvaluation
from trainer.explain.page import page as explain
from trainer.model import GPT

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def evaluations(label: str) -> list[CheckpointEvaluation]:
    made = []
    for name in ("a", "b"):
        provenance = Provenance(f"{name}{label}", "c" * 64, 10, 300, "d" * 64, f"fp32{label}", "cpu", "e" * 40)
        result = Result(f"task{label}", f"accuracy{label}", 12.5, 0.3, 2600, f"last word{label}", "examples", detokeniser=label)
        record = TaskRecord(f"task{label}", (result,), (), 1.0, "f")
        made.append(CheckpointEvaluation(provenance, (record,), {f"skipped{label}": f"reason{label}"}))
    return made


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags += [tag, *(name for name, _ in attrs)]


def tags(page: str) -> list[str]:
    parser = _Tags()
    parser.feed(page)
    return parser.tags


def kinds(text: str) -> list[str]:
    tokens = [child.type for token in MARKDOWN.parse(text) for child in (token, *(token.children or ()))]
    return [kind for kind in tokens if not kind.startswith("text")]


@pytest.mark.parametrize("number", range(len(LABELS)))
def test_tables_pages_and_curves_show_names_as_text(number: int) -> None:
    label = LABELS[number]
    table, page = report.markdown(evaluations(label)), report.page(evaluations(label))
    assert kinds(table) == kinds(report.markdown(evaluations("x")))
    assert tags(page) == tags(report.page(evaluations("x")))
    assert not FORBIDDEN & set(table + page)
    curve = MetricCurve(label, f"perplexity {label}", label, {"ours": [(1.0, 2.0), (3.0, 4.0)]}, logarithmic=True)
    for drawn in (curve, replace(curve, axis="parameters")):
        texts = [element.text or "" for element in ET.fromstring(draw(drawn)).iter() if element.tag.endswith("text")]
        assert not any("mathdefault" in text for text in texts)


def test_the_page_that_explains_a_prompt_holds_any_prompt() -> None:
    gpt = GPT(ModelConfig(layers=1, heads=1, width=8, context=300, vocabulary=257))
    gpt.init_weights(1)
    bytes_only = Tokenizer([])
    plain = tags(explain(gpt.eval(), bytes_only, "plain", "plain text"))
    for label in LABELS:
        shown = explain(gpt, bytes_only, label[:200], "plain text")
        shown.encode()
        assert tags(shown) == plain
