import pytest

from pipeline.pages.settings import PagesSettings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"allow_addresses": ("127.0.0.0/33",)}, "--allow_addresses 127.0.0.0/33: not a network"),
        ({"threads": 0}, "--threads 0: must be more than 0"),
        ({"host_delay": -1.0}, "--host_delay -1.0: must be 0 or more"),
        ({"fetched_at": "yesterday"}, "--fetched_at yesterday: not an instant such as 2026"),
        ({"proxy": "ftp://me:secret@x"}, "--proxy ftp://x: not of the form"),
        ({"ca_bundle": "/nowhere.pem"}, "--ca_bundle /nowhere.pem: no such file"),
        ({"contact": "a\nb"}, "--contact: printable ASCII only"),
    ],
)
def test_invalid_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace(".", r"\.")):
        PagesSettings(**settings)  # type: ignore[arg-type]
