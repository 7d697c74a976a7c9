"""Fixtures of all tests. No folder under tests/ has an `__init__.py`: `tests/pipeline` with one would shadow the package."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pipeline.engine.runner import Engine

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # started in the background: programs that tests start would ignore Ctrl-C too

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Tests run one process per core: several threads of a small network, here or in programs that tests start, wait for each other."""
settings.register_profile("any pace", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any pace")  # no test fails because the machine is busy

SHARED = Path(__file__).parents[2] / "shared" / "data"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Keep `--doctest-modules` to the packages: it would also import the programs and helpers in this folder."""
    return True if collection_path.suffix == ".py" and not collection_path.name.startswith("test_") else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real dumps, pages and evaluation files; a test that needs it skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not here: real data is not part of the repository")
    return SHARED


@pytest.fixture
def engine() -> Engine:
    """The local engine in this process."""
    return Engine(workers=1)
