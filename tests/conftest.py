"""What every test may use. No `__init__.py` stands under tests/: a folder `tests/pipeline` with one would shadow the package."""

import signal
from pathlib import Path

import pytest

from pipeline.engine.runner import Engine

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # begun in the background: what tests start would ignore Ctrl-C too

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
