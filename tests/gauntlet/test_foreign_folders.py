"""Hostile corpora, runs and tokenizers from a grammar: each is refused in one line or used; nobody reads outside, hangs or swells."""

from pathlib import Path

import pytest
from gauntlet.foreign import MOST_MEGABYTES, READERS
from gauntlet.test_faults import FULL, run_program

SEED = 600


@pytest.mark.slow
def test_hostile_folders_are_refused_in_one_line_or_used(tmp_path: Path) -> None:
    cases = 500 if FULL else 40
    result = run_program("foreign.py", tmp_path, cases, SEED, OMP_NUM_THREADS="1")
    assert result["faults"] == []
    assert sum(map(sum, result["counts"].values())) == cases
    assert result["most_megabytes"] <= MOST_MEGABYTES
    assert not FULL or result["counts"].keys() == READERS.keys()
    assert sum(refused for refused, _ in result["counts"].values()) > cases / 3
