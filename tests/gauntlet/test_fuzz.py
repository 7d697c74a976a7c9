"""Inputs that fuzzing found no longer break their parsers, and random changes of seeds raise only the documented errors."""

import os
import random
from pathlib import Path

import pytest
from gauntlet import fuzz

FULL = bool(os.environ.get("WEBTEXT_FULL"))
FOUND = sorted((Path(__file__).parent / "found").glob("*"))


@pytest.fixture(autouse=True, scope="module")
def load_targets() -> None:
    fuzz.load()


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_an_input_that_fuzzing_found_breaks_nothing(path: Path) -> None:
    fuzz.TARGETS[path.name.split("-")[0]](path.read_bytes())


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_changed_seeds_raise_only_documented_errors(name: str) -> None:
    draw = random.Random(name)
    for _ in range(20_000 if FULL else 300):
        data = bytearray(draw.choice(fuzz.SEEDS[name]))
        for _ in range(draw.randrange(1, 6)):
            at = draw.randrange(len(data) + 1)
            change = draw.randrange(4)
            if change == 0 and at < len(data):
                data[at] ^= 1 << draw.randrange(8)
            elif change == 1:
                data[at : at + draw.randrange(8)] = b""
            elif change == 2:
                data[at:at] = draw.randbytes(draw.randrange(1, 6))
            else:
                low = draw.randrange(len(data) + 1)
                data[at:at] = data[low : low + draw.randrange(40)]
        fuzz.TARGETS[name](bytes(data))
