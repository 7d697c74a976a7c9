"""What Ctrl-C does: nothing is half-written at any moment, so a command may end at once."""

import os
import signal
import sys
import threading

INTERRUPTED = 130
"""Exit code of a command that was told to stop."""


def stop_on_signals(advice: str) -> None:
    """From here on Ctrl-C and SIGTERM print one line and end this process at once: all that is finished is on disk under its receipt.

    To be called before any thread or child is made, and so before Beam is imported: they inherit that the signals are blocked, so no
    worker writes a traceback; workers end with their runner.
    """
    watched = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)

    def wait() -> None:
        signal.sigwait(watched)
        sys.stderr.write(f"\nstopped; finished parts are kept. {advice}\n")
        sys.stderr.flush()
        os._exit(INTERRUPTED)

    threading.Thread(target=wait, name="signals", daemon=True).start()
