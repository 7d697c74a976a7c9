"""The tools of web archives, which are no dependencies: pywb, cdxj-indexer and surt, in an environment of their own."""

import os
from pathlib import Path

import pytest

from benchmarks import peers


def archive_tools() -> Path:
    """The folder of their programs. A test that needs it skips where it is absent; `make archive-tools` makes it."""
    if os.environ.get("WEBTEXT_FULL"):
        return peers.python("archives", *peers.ARCHIVES).parent
    if interpreter := peers.installed("archives", *peers.ARCHIVES):
        return interpreter.parent
    pytest.skip("pywb, cdxj-indexer and surt are not installed: `make archive-tools` installs them")
