import json
import os
from pathlib import Path

import pytest

from pipeline.pages.http_response import HttpResponse
from pipeline.pages.outcomes import redirect_target
from pipeline.urls import fetch_url

VECTORS = Path(os.environ.get("WEBTEXT_STANDARDS", "../shared/data/standards"))
BASE = "http://a.example/b/c?d"


def target(*locations: str, base: str = BASE) -> str:
    headers = tuple(("Location", location) for location in locations)
    return redirect_target(HttpResponse(base, 302, "Found", headers, b"", ()))


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/e", "http://a.example/e"),
        ("e", "http://a.example/b/e"),
        ("?e", "http://a.example/b/c?e"),
        ("?", "http://a.example/b/c?"),
        ("e?", "http://a.example/b/e?"),
        ("#e", "http://a.example/b/c?d"),
        ("../e", "http://a.example/e"),
        ("e:f", None),
        ("./e:f", "http://a.example/b/e:f"),
        ("http:e", "http://a.example/b/e"),
        ("http:/e", "http://a.example/e"),
        ("http:e:f", "http://a.example/b/e:f"),
        ("https:e.example/f", "https://e.example/f"),
        ("https:/e.example/f", "https://e.example/f"),
        ("//e.example/f", "http://e.example/f"),
        ("///e.example/f", "http://e.example/f"),
        ("////e.example", "http://e.example/"),
        ("http:////e.example/f", "http://e.example/f"),
        ("\\e\\f", "http://a.example/e/f"),
        ("e\\f?g\\h", "http://a.example/b/e/f?g%5Ch"),
        ("\\\\e.example\\f", "http://e.example/f"),
        ("/\\e.example/f", "http://e.example/f"),
        ("\\/e.example/f", "http://e.example/f"),
        ("HTTP:\\\\e.example\\f", "http://e.example/f"),
        ("https:\\\\e.example\\f#\\", "https://e.example/f"),
        ("  /e \t", "http://a.example/e"),
        ("/e\tf", "http://a.example/ef"),
        ("/caf\xe9", "http://a.example/caf%E9"),
        ("/caf\xc3\xa9", "http://a.example/caf%C3%A9"),
        ("/\xd1\x85?q=\xd1\x85", "http://a.example/%D1%85?q=%D1%85"),
        ("/\xe9?q=\xc3\xa9", "http://a.example/%E9?q=%C3%A9"),
        ("/caf%E9", "http://a.example/caf%E9"),
        ("http://b\xc3\xbccher.example/", "http://xn--bcher-kva.example/"),
        ("mailto:me@a.example", None),
        ("javascript:alert(1)", None),
        ("file:\\\\\\etc", None),
        ("http://", None),
        ("", None),
        (" ", None),
    ],
)
def test_location_is_resolved_as_browsers_do(location: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match=r"."):
            target(location)
    else:
        assert target(location) == expected


def test_equal_locations_are_one_and_others_lead_nowhere() -> None:
    assert target("/e", "/e", " /e") == "http://a.example/e"
    with pytest.raises(ValueError, match="several"):
        target("/e", "/f")
    with pytest.raises(ValueError, match="without"):
        target()


def test_relative_vectors_of_the_url_standard() -> None:
    path = VECTORS / "whatwg_urls" / "relative.json"
    if not path.is_file():
        pytest.skip(f"no vectors in {VECTORS}")
    wrong = {}
    for location, base, expected in json.loads(path.read_text("utf-8"))["vectors"]:
        try:
            got = target(location.encode("utf-8").decode("latin-1"), base=base)
        except ValueError:
            assert expected is None or not location.strip(), location  # an empty Location counts as missing (deliberate)
            continue
        if expected is None or got != fetch_url(expected):
            wrong[location, base] = (got, expected)
    assert wrong == {}
