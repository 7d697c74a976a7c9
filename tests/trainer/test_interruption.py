import signal

import pytest

from trainer.interruption import stop_signals


def test_a_second_interrupt_does_what_the_first_did_before() -> None:
    with pytest.raises(KeyboardInterrupt), stop_signals() as stop:  # noqa: PT012 - the first of the two must not raise
        signal.raise_signal(signal.SIGINT)
        assert stop == {"asked": True, "interrupted": True}
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
