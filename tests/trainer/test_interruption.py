import signal

import pytest

from trainer.interruption import StopRequest, stop_signals


def test_a_second_interrupt_calls_the_previous_handler() -> None:
    with pytest.raises(KeyboardInterrupt), stop_signals() as stop:  # noqa: PT012 - the first of the two must not raise
        signal.raise_signal(signal.SIGINT)
        assert stop == StopRequest(requested=True, interrupted=True)
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
