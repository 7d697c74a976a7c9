"""English text that ships with every Python, and a vocabulary trained on it."""

import pydoc_data.topics
from pathlib import Path

import pyarrow as pa
import pytest

from tokenizer.bpe import train
from tokenizer.codec import Tokenizer
from tokenizer.counting import PreTokenCounter

LIBRARY = Path(pydoc_data.topics.__file__).parents[1]


@pytest.fixture(scope="session")
def english() -> list[str]:
    """Python's language reference and modules of its library: about 4 MB."""
    modules = sorted(LIBRARY.glob("*.py"))[:150]
    return [*pydoc_data.topics.topics.values(), *(path.read_text("utf-8", "replace") for path in modules)]


@pytest.fixture(scope="session")
def counts(english: list[str]) -> PreTokenCounter:
    """Counts of the pre-tokens of `english`."""
    counter = PreTokenCounter()
    counter.add(pa.array(english, pa.large_string()))
    return counter


@pytest.fixture(scope="session")
def trained(counts: PreTokenCounter) -> Tokenizer:
    """A vocabulary of 5,000 entries, trained on `english`."""
    return train(counts.table(), 5_000)
