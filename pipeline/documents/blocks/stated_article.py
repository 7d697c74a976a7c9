"""The article that a page states in its JSON-LD (schema.org's `articleBody`), in every spelling that is met."""

import json
import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any, Final

import orjson

SCRIPT: Final = re.compile(r"<script\b([^>]{0,1000})>", re.IGNORECASE)
SCRIPT_END: Final = re.compile(r"</script\b", re.IGNORECASE)
LD_JSON: Final = re.compile(r"ld(?:\+|&#43;|&#x2b;|&plus;)json", re.IGNORECASE)
BEFORE: Final = ("<!--", "<![CDATA[", "//", "/*", "*/")
AFTER: Final = ("-->", "]]>", "//", "/*", "*/", ";")
"""What scripts are wrapped in for old browsers and for XHTML."""

NAMES: Final = (b"articleBody", b"articlebody")
"""A page without these bytes states no article. Bytes are searched several times as fast as text."""

KEY: Final = re.compile(r"(?:\A|[:/#])articleBody\Z", re.IGNORECASE)
TAG: Final = re.compile(r"</?[A-Za-z][A-Za-z0-9]{0,10}(?:\s[^<>]{0,1000})?/?>")
BLOCK_TAG: Final = re.compile(r"<(?:p|br|div|li|h[1-6]|blockquote|section|article)\b", re.IGNORECASE)
ESCAPED_TAG: Final = re.compile(r"&lt;/?(?:p|br|div|span|a|b|i|em|strong|li|ul|h[1-6])\b", re.IGNORECASE)
LINE_END: Final = re.compile(r"\r\n?|\n")


def longest_body(markup: str, render: Callable[[str], str], least: int = 0) -> str:
    """The longest article body of a page's JSON-LD, as text; empty where there is none. `render` writes the text of HTML.

    A body of fewer than `least` characters is passed over: no text is longer than its HTML.
    """
    bodies = [body for script in _scripts(markup) for body in _bodies(_parsed(script)) if len(body) >= least]
    return max((as_text(body, render) for body in bodies), key=len, default="")


def as_text(body: str, render: Callable[[str], str]) -> str:
    r"""The text of an article body, which may be text, HTML, or HTML that was escaped once more.

    >>> as_text("It&#8217;s calm.\nThe end.", lambda markup: markup.replace("&#8217;", "’").replace("<br>", "|"))
    'It’s calm.|The end.'
    """
    if not TAG.search(body) and ESCAPED_TAG.search(body):
        body = unescape(body)
    if not TAG.search(body):
        body = body.replace("<", "&lt;")
    return render(body if BLOCK_TAG.search(body) else LINE_END.sub("<br>", body)).strip()


def _scripts(markup: str) -> Iterator[str]:
    at = 0
    while start := SCRIPT.search(markup, at):
        end = SCRIPT_END.search(markup, start.end())
        at = end.start() if end else len(markup)
        if LD_JSON.search(start[1]):
            yield markup[start.end() : at]


def _parsed(script: str) -> Any:
    """The JSON of a script, also where it has line ends in its strings, or stands in a comment; None where it is not JSON."""
    text = _unwrapped(script)
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        pass
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _unwrapped(text: str) -> str:
    text = text.strip()
    while prefix := next((mark for mark in BEFORE if text.startswith(mark)), None):
        text = text[len(prefix) :].lstrip()
    while suffix := next((mark for mark in AFTER if text.endswith(mark)), None):
        text = text[: -len(suffix)].rstrip()
    return text


def _bodies(node: Any) -> Iterator[str]:
    """The strings under the key, at any depth."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            for key, value in node.items():
                if KEY.search(key):
                    yield "\n".join(_strings(value))
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key in ("@value", "@list", "@set"):
            yield from _strings(value.get(key))
