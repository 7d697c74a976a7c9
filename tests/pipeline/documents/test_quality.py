import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents import quality
from pipeline.documents.quality import FILTERS, QualityFilter

WORDS = re.findall(
    r"\w+",
    """the morning had come and with it all that people have to carry up from their boats before rain can spoil what nets brought home
    while gulls keep watch over every basket of silver herring that is left alone for longer than a moment on our old stone pier""",
)
SENTENCES = [f"{' '.join(WORDS[(i * 7 + j * (i + 1)) % len(WORDS)] for j in range(12))} number {i}." for i in range(14)]
PROSE = "\n".join(SENTENCES)
ANYTHING = st.text(st.characters(codec="utf-8"), max_size=400)

DROPPED = [
    ("gopher", "too few words here", "gopher_words"),
    ("gopher", " ".join(["extraordinarily"] * 60), "gopher_word_length"),
    ("gopher", PROSE + " #" * 60, "gopher_hashes"),
    ("gopher", "\n".join(f"- {s}" for s in SENTENCES), "gopher_bullets"),
    ("gopher", "\n".join(f"{s[:-1]}..." for s in SENTENCES), "gopher_ellipses"),
    ("gopher", PROSE + " 123 456" * 40, "gopher_letters"),
    ("gopher", " ".join(f"lorem{i} ipsum{i}" for i in range(40)), "gopher_stop_words"),
    ("gopher", PROSE + "\n" + "\n".join(["a line with some words"] * 12), "gopher_duplicate_lines"),
    ("gopher", PROSE + " " + "very good " * 40, "gopher_top_2_gram"),
    ("c4", "function() { return 1; }\n" + PROSE, "c4_brace"),
    ("c4", PROSE + "\nLorem Ipsum dolor.", "c4_lorem_ipsum"),
    ("c4", "\n".join(SENTENCES[:2]), "c4_sentences"),
    ("c4", quality.c4_lines("\n".join(f"{s} We use cookies." for s in SENTENCES))[0], "c4_sentences"),
    ("fineweb", "\n".join(s[:-1] for s in SENTENCES), "fineweb_line_ends"),
    ("fineweb", "\n".join(["Short line.", "Another one."] * 9 + SENTENCES[:2]), "fineweb_short_lines"),
    ("fineweb", "\n".join(SENTENCES + SENTENCES[:4]), "fineweb_duplicate_lines"),
]


@pytest.mark.parametrize("quality_filter", QualityFilter)
def test_prose_is_kept(quality_filter: QualityFilter) -> None:
    assert quality_filter.judge(PROSE) is None


@pytest.mark.parametrize(("name", "text", "rule"), DROPPED)
def test_each_rule_drops_its_kind_of_text(name: str, text: str, rule: str) -> None:
    detail = FILTERS[name].judge(text)
    assert detail is not None
    assert detail.split(":")[0] == rule


@settings(max_examples=300, deadline=None)
@given(ANYTHING)
def test_no_filter_raises_on_any_text(text: str) -> None:
    for quality_filter in QualityFilter:
        assert quality_filter.judge(text) is None or ":" in str(quality_filter.judge(text))


FUNCTION = """def shouting(text: str) -> str | None:
    return "shouting: 1" if text.isupper() else None


"""
PROGRAM = """
from dataclasses import fields
from pipeline.documents.sandbox import Sandbox
from pipeline.documents.settings import DocumentsSettings
from pipeline.records import RawPage
settings = DocumentsSettings(filters=("shouting",), languages=("all",))
print(next(field.metadata["text"] for field in fields(settings) if field.name == "filters"))
with Sandbox(settings.rules(), settings.limits()) as sandbox:
    for page in (b"<p>THE SHIP CAME IN WITH THE TIDE. " * 20, b"<p>The ship came in with the tide. " * 20):
        result = sandbox.extract(RawPage("http://example.org/", page)).result
        print(getattr(result, "reason", "kept"), getattr(result, "detail", ""))
"""


def run_with_filter(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """PROGRAM in a copy of the package that has FUNCTION and one more line in the registry."""
    shutil.copytree(Path(quality.__file__).parents[1], folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    module = folder / "pipeline" / "documents" / "quality.py"
    source = module.read_text()
    last = '    FINEWEB = "fineweb", fineweb\n'
    assert last in source
    module.write_text(source.replace("@unique\n", f"{FUNCTION}@unique\n").replace(last, f"{last}    {line}\n"))
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    return subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )


def test_new_filter_needs_one_function_and_one_line(tmp_path: Path) -> None:
    done = run_with_filter(tmp_path, 'SHOUTING = "shouting", shouting')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "published quality filters to apply: gopher, c4, fineweb, shouting",
        "shouting shouting: 1",
        "kept ",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('SHOUTING = "language", shouting', "another reason of the stage has this word; choose another word for the filter"),
        ('SHOUTING = "gopher", shouting', "SHOUTING -> GOPHER"),
    ],
)
def test_filter_with_the_word_of_another_reason_fails_at_import(tmp_path: Path, line: str, message: str) -> None:
    done = run_with_filter(tmp_path, line)
    assert done.returncode != 0
    assert message in done.stderr
