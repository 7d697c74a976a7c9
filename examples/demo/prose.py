"""HTML of docstrings: paragraphs, headings, definition lists, bullets and code, as a writer of web pages would set them."""

import html
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

_UNDERLINE = re.compile(r"([-=~^*#\"'])\1{2,}\s*")
_BULLET = re.compile(r"(?:[-*+•]|\d{1,2}[.)])\s+")
_ROLE = re.compile(r":[a-z][a-z:+-]*:(?=`)")
_MARK = re.compile(r"``([^`\n]+)``|`~?\.?([^`\n<]+?)(?:\s*<[^`<>\n]*>)?`_{0,2}|\*\*([^*\n]+)\*\*")
_CITATION = re.compile(r"(?:\.\. )?\[(\d+)\]_?")
_DIRECTIVE = re.compile(r"\.\. ([a-z-]+)::\s*(.*)")
_CODE_DIRECTIVES = frozenset({"code", "code-block", "sourcecode", "math", "plot", "highlight", "testcode", "parsed-literal"})


@lru_cache(4096)  # classes inherit docstrings
def prose(text: str) -> str:
    """The HTML of a docstring without common indentation; reStructuredText's and numpydoc's usual marks are understood.

    >>> prose("Return the sum.\\n\\nParameters\\n----------\\na : int\\n    First\\n    number.")
    '<p>Return the sum.</p>\\n<h4>Parameters</h4>\\n<dl><dt>a : int</dt><dd>First number.</dd></dl>\\n'
    """
    elements: list[str] = []
    announced = False
    for block in _blocks(text):
        elements += [_code(block)] if _is_code(block, announced) else _elements(_dedented(block))
        announced = block[-1].endswith(":")
    return "".join(f"{element}\n" for element in elements)


def _is_code(block: list[str], announced: bool) -> bool:
    """Whether a block is code: a dialogue with Python, or indented below a line that ends in a colon."""
    first = block[0].strip()
    return first.startswith((">>>", "$ ")) or (announced and _indent(block[0]) >= 2 and not _BULLET.match(first))


def _blocks(text: str) -> Iterator[list[str]]:
    """Runs of lines without a blank one between them."""
    block: list[str] = []
    for line in [*text.expandtabs(4).splitlines(), ""]:
        if line.strip():
            block.append(line.rstrip())
        elif block:
            yield block
            block = []


def _elements(block: list[str]) -> Iterator[str]:
    if directive := _DIRECTIVE.match(block[0].strip()):
        yield from _directive(directive, block[1:])
    elif len(block) > 1 and _UNDERLINE.fullmatch(block[1].strip()) and not _UNDERLINE.fullmatch(block[0].strip()):
        yield f"<h4>{_inline(block[0].strip())}</h4>"
        if block[2:]:
            yield from _elements(block[2:])
    elif any(_indent(line) > _indent(block[0]) for line in block[1:]) and not _BULLET.match(block[0].strip()):
        yield from _definitions(block)
    elif _BULLET.match(block[0].strip()):
        yield f"<ul>{''.join(f'<li>{_inline(item)}</li>' for item in _items(block))}</ul>"
    elif not all(_UNDERLINE.fullmatch(line.strip()) for line in block):
        yield f"<p>{_inline(' '.join(line.strip() for line in block))}</p>"


def _directive(match: re.Match[str], body: Sequence[str]) -> Iterator[str]:
    """A reStructuredText directive: code stays code, notes and warnings become paragraphs with their name."""
    name, argument = match.groups()
    lines = [line for line in body if not re.match(r"\s*:[a-z-]+:", line)]
    if name in _CODE_DIRECTIVES:
        if lines:
            yield _code(lines)
        return
    words = " ".join([argument, *(line.strip() for line in lines)]).strip()
    label = name.replace("-", " ").replace("version", "version ").replace("deprecated", "deprecated since version").strip()
    yield f"<p>{label.capitalize()} {_inline(words)}</p>".replace("  ", " ")


def _definitions(block: Sequence[str]) -> Iterator[str]:
    """Each unindented line is a term, the indented lines below it its definition. Where most terms have none, the block is text."""
    outer = _indent(block[0])
    groups: list[tuple[str, list[str]]] = []
    for line in block:
        if _indent(line) <= outer or not groups:
            groups.append((line.strip(), []))
        else:
            groups[-1][1].append(line)
    if not groups[-1][1] or sum(1 for _, body in groups if not body) > len(groups) / 2:
        yield f"<p>{_inline(' '.join(line.strip() for line in block))}</p>"
        return
    yield f"<dl>{''.join(f'<dt>{_inline(term)}</dt>{_definition(body)}' for term, body in groups)}</dl>"


def _definition(body: Sequence[str]) -> str:
    if not body:
        return ""
    elements = "".join(_elements(_dedented(body)))
    plain = elements.removeprefix("<p>").removesuffix("</p>")
    return f"<dd>{elements if '<' in plain else plain}</dd>"


def _items(block: Sequence[str]) -> Iterator[str]:
    item: list[str] = []
    for line in map(str.strip, block):
        if bullet := _BULLET.match(line):
            if item:
                yield " ".join(item)
            item = [line[bullet.end() :]]
        else:
            item.append(line)
    yield " ".join(item)


def _code(lines: Sequence[str]) -> str:
    return f"<pre>{html.escape(chr(10).join(_dedented(lines)), quote=False)}</pre>"


def _dedented(lines: Sequence[str]) -> list[str]:
    """The lines without the indentation that all share."""
    least = min(map(_indent, lines))
    return [line[least:] for line in lines]


def _inline(text: str) -> str:
    """The text without marks that a browser would show as they are, and with single blanks."""
    plain = _MARK.sub(lambda match: next(group for group in match.groups() if group), _ROLE.sub("", text))
    plain = _CITATION.sub("[\\1]", plain)
    return html.escape(" ".join(plain.replace("::", ":").split()), quote=False)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
