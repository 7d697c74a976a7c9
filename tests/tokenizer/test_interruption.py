import os
import signal
import subprocess
import sys

import pytest

from tokenizer.interruption import INTERRUPTED, ends_on_interrupt

IN_A_CALLBACK = """
import os, signal, weakref
from tokenizer.interruption import ends_on_interrupt

class Thing:
    pass

def interrupt(_):
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1_000_000):
        pass

with ends_on_interrupt("stopped"):
    thing = Thing()
    watched = weakref.ref(thing, interrupt)
    del thing
    print("went on")
"""


def test_interrupt_in_a_callback_is_not_lost() -> None:
    process = subprocess.run([sys.executable, "-c", IN_A_CALLBACK], capture_output=True, text=True, check=False, timeout=60)
    assert (process.returncode, process.stdout, process.stderr) == (INTERRUPTED, "", "\nstopped\n")


def test_ignored_interrupt_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell starts background jobs with SIGINT ignored."""
    monkeypatch.setattr(os, "_exit", pytest.fail)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ends_on_interrupt("stopped"):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
