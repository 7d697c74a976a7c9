"""Errors of commands are lines of a bounded length, whatever the file of others that they quote."""

import pickle

import pytest

from tokenizer.errors import LONGEST_LINE, FormatError, InputError


@pytest.mark.parametrize("kind", [InputError, FormatError])
@pytest.mark.parametrize("length", [0, 1, LONGEST_LINE, LONGEST_LINE + 1, 10_000_000])
def test_a_long_value_leaves_the_beginning_and_the_end_of_the_line(kind: type[Exception], length: int) -> None:
    error = kind(f"corpus: {'a' * length}; run it again")

    assert len(str(error)) <= LONGEST_LINE
    assert str(error).startswith("corpus: ")
    assert str(error).endswith("; run it again")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
