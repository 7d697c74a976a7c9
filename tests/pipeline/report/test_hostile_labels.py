"""A corpus whose every name, title and address is code: its card, report, figures and answers have the structure of a harmless one's."""

import base64
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import orjson
import pyarrow as pa
import pytest
import yaml
from hostile_labels import FORBIDDEN, LABELS
from manifest_chain import follow
from markdown_it import MarkdownIt
from report_runs import write_report

from pipeline.corpus import inspect
from pipeline.dedup.explain import explain
from pipeline.report import card, plots
from pipeline.report.numbers import Curve, Histogram, TrainingRun
from pipeline.storage import files
from pipeline.storage.manifest import FileEntry, StageManifest

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
KEPT = {"id", "text", "warc_file", "stage", "cluster"}
NAME, CONTACT = "A name", "Write to the team"


def poison(corpus: Path, label: Callable[[str], str]) -> Path:
    """Replace every string in a corpus' tables and the names in its manifests; equal strings by equal ones."""
    for manifest_path in corpus.glob("*/manifest.json"):
        folder = manifest_path.parent
        manifest = StageManifest.load(str(folder))
        entries = []
        for entry in manifest.files:
            digest = None
            if entry.name.endswith(".parquet"):
                digest = files.publish_table(
                    str(folder / entry.name), poison_table(files.read_table(str(folder / entry.name)), label)
                )
            entries.append(FileEntry(entry.name, entry.kind, entry.rows, digest.bytes, digest.sha256) if digest else entry)
        data = orjson.loads(manifest.to_bytes())
        data["books"]["dropped"] = {label(reason): items for reason, items in data["books"]["dropped"].items()}
        data["settings"] = {label(name): label(str(value)) for name, value in data["settings"].items()}
        data["files"] = [orjson.loads(orjson.dumps(entry)) for entry in entries]
        del data["sha256"]
        manifest_path.write_bytes(orjson.dumps(data))
    follow(corpus)
    return corpus


def poison_table(table: pa.Table, label: Callable[[str], str]) -> pa.Table:
    def replaced(name: str, value: Any) -> Any:
        if isinstance(value, str):
            return value if name in KEPT else label(value)
        if isinstance(value, list):
            return [replaced(name, item) for item in value]
        return {key: replaced(key, item) for key, item in value.items()} if isinstance(value, dict) else value

    rows = [{name: replaced(name, value) for name, value in row.items()} for row in table.to_pylist()]
    return pa.Table.from_pylist(rows, schema=table.schema)


@pytest.fixture(scope="module")
def corpora(chosen: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A harmless corpus, and two that have each hostile label somewhere."""
    folder = tmp_path_factory.mktemp("corpora")
    made = [shutil.copytree(chosen.folder, folder / name) for name in ("harmless", "before", "after")]
    given: dict[str, str] = {}

    def hostile(value: str) -> str:
        return given.setdefault(value, LABELS[len(given) % len(LABELS)])

    for corpus in made:
        for left in ("README.md", "SHA256SUMS"):
            (corpus / left).unlink(missing_ok=True)
    poison(made[0], lambda value: f"{value}x")  # as unknown to the report as the hostile ones
    poison(made[1], lambda value: f"{hostile(value)} {value}")
    poison(made[2], lambda value: f"{value}{hostile(value)}"[:9000])
    return made


def kinds(text: str) -> list[str]:
    tokens = [child.type for token in MARKDOWN.parse(text) for child in (token, *(token.children or ()))]
    return [kind for kind in tokens if not kind.startswith("text")]


def test_the_card_has_the_structure_of_a_harmless_one(corpora: list[Path]) -> None:
    cards = []
    for number, corpus in enumerate(corpora):
        label = "" if not number else LABELS[4] + LABELS[7] + LABELS[3]
        card.TOOL.run(["--corpus", str(corpus), "--name", NAME + label, "--contact", CONTACT + label])
        cards.append((corpus / card.README).read_text())
    for text in cards[1:]:
        assert not FORBIDDEN & set(text)
        (_, header, body), (_, plain_header, plain_body) = (c.split("---\n", 2) for c in (text, cards[0]))
        assert kinds(body) == kinds(plain_body)
        ours, plain = yaml.safe_load(header), yaml.safe_load(plain_header)
        assert list(ours) == list(plain)
        assert {**ours, "pretty_name": "", "language": ""} == {**plain, "pretty_name": "", "language": ""}
        assert re.findall("(?m)^## .*", text) == re.findall("(?m)^## .*", cards[0])


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.images: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.images += [value or "" for name, value in attrs if name == "src"]


def test_the_report_has_the_structure_of_a_harmless_one_and_figures_that_open(
    corpora: list[Path], run_folder: Path, tmp_path: Path
) -> None:
    pages = []
    run = shutil.copytree(run_folder, tmp_path / "run $\\frac{a$ <b>\x1b[2J\u202e")
    for corpus in corpora:
        output = tmp_path / corpus.name
        write_report(corpus, output, run=(str(run), str(run_folder)), report_title=f"Title of {LABELS[0]}{LABELS[13]}")
        text = (output / "report.html").read_text()
        assert not FORBIDDEN & set(text)
        page = _Tags()
        page.feed(text)
        pages.append(page)
        for image in page.images:
            head, _, data = image.partition("base64,")
            assert head == "data:image/svg+xml;"
            ET.fromstring(base64.b64decode(data))
        ET.fromstring((output / "loss.svg").read_bytes())
    for page in pages[1:]:
        assert [tag for tag in page.tags if tag[0] not in ("del", "ins")] == [
            tag for tag in pages[0].tags if tag[0] not in ("del", "ins")
        ]


@pytest.mark.parametrize("number", range(len(LABELS)))
def test_every_figure_draws_a_label_as_text(number: int) -> None:
    label = LABELS[number]
    run = TrainingRun(label, {}, (Curve("loss", (1, 2), (3.0, 2.0)), Curve("val_loss", (2,), (2.5,))), 9)
    drawn = [
        plots.draw_histogram(Histogram("a", label, label, label, (label, "b"), (2, 1), label, binned=binned)) for binned in (0, 1)
    ]
    drawn += [plots.draw_loss([run, run], 2.0), plots.draw_curve([run, run], "loss", "loss")]
    for svg in drawn:
        texts = {element.text for element in ET.fromstring(svg).iter() if element.tag.endswith("text")}
        shown = plots.clip(label.replace("_", " ")), plots.clip(label)
        assert any(text and text.strip() and (text.strip() in part or part in text) for text in texts for part in shown)


def test_answers_in_a_terminal_have_as_many_lines_and_no_control_characters(
    corpora: list[Path], chosen: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [document.document_id.hex() for document in chosen.documents]
    answers = []
    for corpus in corpora:
        inspect.TOOL.run(["--corpus", str(corpus)])
        inspect.TOOL.run(["--corpus", str(corpus), "--document", *ids])
        inspect.TOOL.run(["--corpus", str(corpus), "--submission", *(f"s{i}" for i in range(40))])
        answers.append(capsys.readouterr().out)
    assert len({text.count("\n") for text in answers}) == 1
    for text in answers[1:]:
        assert not FORBIDDEN & set(text)
        assert "submission t3_" in text
        assert "dropped by" in text
        assert max(map(len, text.splitlines())) < 1100


def test_an_explanation_of_a_duplicate_has_no_control_characters(corpora: list[Path], chosen: Any) -> None:
    for corpus in corpora[1:]:
        shown = explain(str(corpus / "dedup"), chosen.duplicates[0].document_id.hex())
        assert not FORBIDDEN & set(shown)
        assert "similarity" in shown
