"""What every test may use. No `__init__.py` stands under tests/: a folder `tests/pipeline` with one would shadow the package."""

from pathlib import Path

import pytest

from pipeline.engine import Engine

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real dumps, pages and evaluation files; the test skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not here: real data is not part of the repository")
    return SHARED


@pytest.fixture
def engine() -> Engine:
    """The local runner in this process."""
    return Engine(workers=1)
