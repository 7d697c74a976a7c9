"""The demo's web: docstrings become prose, sites have made-up names, and a proxy answers for them."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

import pytest
import zstandard

DEMO = Path(__file__).parents[1] / "examples" / "demo"
NAMES = ("prose", "modules", "document", "web")


@pytest.fixture(scope="module")
def demo() -> Iterator[dict[str, ModuleType]]:
    """The demo's modules, which stand in a folder that is no package."""
    sys.path.insert(0, str(DEMO))
    yield {name: importlib.import_module(name) for name in NAMES}
    sys.path.remove(str(DEMO))
    for name in NAMES:
        del sys.modules[name]


PROSE = {
    "One\nsentence.\n\nAnother.": "<p>One sentence.</p><p>Another.</p>",
    "Parameters\n----------\nx : int\n    A\n    number.\ny\n    More.": (
        "<h4>Parameters</h4><dl><dt>x : int</dt><dd>A number.</dd><dt>y</dt><dd>More.</dd></dl>"
    ),
    ">>> f(1)\n2": "<pre>&gt;&gt;&gt; f(1)\n2</pre>",
    "Such as::\n\n    f(1)\n      g": "<p>Such as:</p><pre>f(1)\n  g</pre>",
    "- one\n  thing\n- two": "<ul><li>one thing</li><li>two</li></ul>",
    "Call :func:`~a.f` with ``x < 1`` and **care**.": "<p>Call a.f with x &lt; 1 and care.</p>",
    "See `the page <https://a.example/>`_.": "<p>See the page.</p>",
    ".. versionadded:: 1.2\n   The argument.": "<p>Version added 1.2 The argument.</p>",
    ".. math::\n\n    x^2": "",
    ".. [1] A. Author, 2001.": "<p>[1] A. Author, 2001.</p>",
    "   Indented text\n   of a manual.": "<p>Indented text of a manual.</p>",
    "=====\nTitle": "<p>===== Title</p>",
    "": "",
    "a & b": "<p>a &amp; b</p>",
}


@pytest.mark.parametrize("text", PROSE, ids=range(len(PROSE)))
def test_a_docstring_becomes_prose(demo: dict[str, ModuleType], text: str) -> None:
    found = demo["prose"].prose(text).replace("\n", "\0").replace(">\0", ">").replace("\0", "\n")
    assert found == PROSE[text] or (not PROSE[text] and "x^2" in found)


@pytest.mark.parametrize("name", ["textwrap", "json.decoder", "topics.while", "string"])
def test_a_page_holds_text_and_no_tables(demo: dict[str, ModuleType], name: str) -> None:
    page = demo["document"].page(name)
    assert "<p>" in page
    assert not any(mark in page for mark in ("<table", "&nbsp;", "<span", " at 0x", "__weakref__"))


def test_sites_have_names_that_are_kept_for_examples(demo: dict[str, ModuleType]) -> None:
    names = [*demo["modules"].topic_names(), *demo["modules"].module_names(400, 1)]
    hosts = {demo["modules"].host_of(name) for name in names}
    assert len(hosts) > 20
    assert all(host.endswith(".example") and host == host.lower() and "_" not in host for host in hosts)


@pytest.fixture
def served(demo: dict[str, ModuleType], tmp_path: Path) -> Iterator[str]:
    (tmp_path / "json.tool.html").write_text("<p>tool")
    (tmp_path / "secret.txt").write_text("no page")
    with demo["web"].serve(demo["web"].Web(tmp_path)) as proxy:
        yield proxy


class Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


ANSWERS = {
    "http://json.python.example/json.tool.html": (200, "text/html; charset=utf-8"),
    "http://json.python.example/json.tool.html?utm_source=reddit": (200, "text/html; charset=utf-8"),
    "http://docs.python.example/json.tool.html": (404, "text/html; charset=utf-8"),
    "http://json.python.example/secret.txt": (404, "text/html; charset=utf-8"),
    "http://json.python.example/../json.tool.html": (200, "text/html; charset=utf-8"),
    "http://json.python.example/": (404, "text/html; charset=utf-8"),
    "http://json.python.example/robots.txt": (200, "text/plain"),
    "http://json.python.example/data/x": (200, "application/octet-stream"),
    "http://json.python.example/old/json.tool.html": (301, "text/plain"),
}


@pytest.mark.parametrize("url", ANSWERS)
def test_the_proxy_answers_for_each_site(served: str, url: str) -> None:
    assert urlsplit(served).hostname == "127.0.0.1"
    try:
        with build_opener(ProxyHandler({"http": served}), Stay).open(url) as answer:
            found = answer.status, answer.headers["Content-Type"]
    except HTTPError as error:
        found = error.code, error.headers["Content-Type"]
        error.close()
    assert found == ANSWERS[url]


def test_the_dump_links_to_every_page_and_to_what_is_dropped(demo: dict[str, ModuleType], tmp_path: Path) -> None:
    web = demo["web"].Web(tmp_path)
    names = demo["modules"].module_names(60, 1)
    demo["web"]._write_dump(web.dump, list(demo["web"]._submissions(web, names)))
    lines = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(web.dump.read_bytes()).readall().splitlines()
    submissions = [json.loads(line) for line in lines]
    assert {web.url(name) for name in names} <= {submission["url"] for submission in submissions}
    others = {s["domain"] for s in submissions if not s["domain"].endswith(".example")}
    assert others == {"self.python", "en.wikipedia.org"}
    assert any(s["score"] < 3 for s in submissions)
