import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents import pii

ANYTHING = st.text(st.characters(codec="utf-8"), max_size=400)


@pytest.mark.parametrize(("text", "masked"), [
    ("jo.smith+news@mail.example.co.uk, please", "email@example.com, please"),
    ("call +44 20 7946 0958 today", "call 000-000-0000 today"),
    ("(555) 123-4567 or 555-123-4567", "000-000-0000 or 000-000-0000"),
    ("from 8.8.8.8:53", "from 0.0.0.0:53"),
])  # fmt: skip
def test_personal_data_is_masked(text: str, masked: str) -> None:
    assert pii.mask(text)[0] == masked


@pytest.mark.parametrize("text", [
    "192.168.0.1 and 10.0.0.1 are nobody's", "version 1.2.3.4.5", "999.1.2.3", "in 1914-1918 and 2001-09-11", "ISBN 978-3-16-148410-0",
    "me @ home", "user@localhost", "3.14159265358979", "from 100,000,000 to 200,000,000", "price 1234567890",
])  # fmt: skip
def test_ordinary_figures_are_not_masked(text: str) -> None:
    assert pii.mask(text) == (text, 0)


@settings(max_examples=300, deadline=None)
@given(ANYTHING)
def test_masking_is_idempotent(text: str) -> None:
    once, _ = pii.mask(text)
    assert pii.mask(once) == (once, 0)
