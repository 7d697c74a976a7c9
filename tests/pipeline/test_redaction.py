import pytest

from pipeline.redaction import redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://u:p@h.example/a", "https://h.example/a"),
        ("http://h.example/?token=1&x=2", "http://h.example/?token=REDACTED&x=2"),
        ("http://h.example/?x=2&access_token=a%20b#f", "http://h.example/?x=2&access_token=REDACTED#f"),
        ("http://h.example/?sid=1;key=2", "http://h.example/?sid=REDACTED-G3DW;key=REDACTED-Z4WY"),
        ("http://h.example/?monkey=2&author=x", "http://h.example/?monkey=2&author=x"),
        ("at http://u:p@h.example/ and http://v@i.example/", "at http://h.example/ and http://i.example/"),
    ],
)
def test_passwords_and_keys_are_redacted(text: str, expected: str) -> None:
    assert redact(text) == expected
