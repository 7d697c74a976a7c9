"""The page of before and after is what its script writes today, and each pair differs as it says."""

from importlib.metadata import version
from pathlib import Path

import pytest

from examples.extraction.pairs import FOLDER, Pair, page_text, pairs

DOCS = Path(__file__).parents[3] / "docs" / "before-after.md"


@pytest.fixture(scope="module")
def found() -> list[Pair]:
    return list(pairs())


def test_the_page_is_current(found: list[Pair]) -> None:
    shown = DOCS.read_text(encoding="utf-8")
    if f"trafilatura {version('trafilatura')} finds" not in " ".join(shown.split()):
        pytest.skip("written with another release of trafilatura")
    assert page_text(found) == shown
    assert max(map(len, shown.splitlines())) <= 100


def test_each_of_twelve_pairs_differs(found: list[Pair]) -> None:
    assert len(found) == len(list(FOLDER.glob("*.html"))) == 12
    assert [pair.title for pair in found if pair.before == pair.after] == []
    assert all(pair.after for pair in found)
    assert not any("About us" in line or "Home" in line for pair in found for line in pair.after)
