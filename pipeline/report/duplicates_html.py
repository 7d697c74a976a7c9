"""Duplicates on the page: figures, and pairs side by side with what differs marked."""

import difflib
import re
from html import escape

from pipeline.report.markup import details, histogram
from pipeline.report.numbers import Numbers, Pair


def duplicates(numbers: Numbers) -> str:
    """The section's body."""
    drawn = "".join(histogram(found) for name in ("duplicates", "clusters", "similarity") if (found := numbers.histogram(name)))
    if not drawn:
        return ""
    pairs = "".join(_pair(pair) for pair in numbers.pairs)
    shown = f"<h3>Removed and kept, side by side</h3>{pairs}" if pairs else ""
    return f'<div class="figures">{drawn}</div>\n<br>{shown}'


def _pair(pair: Pair) -> str:
    removed, kept = marked(pair.text, pair.kept_text)
    summary = f"similarity {pair.similarity:.3f}, {pair.reason.replace('_', ' ')}, cluster of {pair.cluster_size}: {pair.url}"
    sides = _side("Removed", pair.url, removed) + _side("Kept", pair.kept_url, kept)
    return details(summary, f'<div class="pair">{sides}</div>')


def _side(title: str, url: str, text: str) -> str:
    address = f'<p class="small address">{escape(url)}</p>'
    body = f'<div class="text" tabindex="0" role="region" aria-label="{title}: {escape(url)}">{text}</div>'
    return f"<div><h3>{title}</h3>{address}{body}</div>"


def marked(removed: str, kept: str) -> tuple[str, str]:
    """Both texts as HTML; words that only the first has stand in <del>, those of the second in <ins>.

    >>> marked("a red fox", "a blue fox")
    ('a <del>red</del> fox', 'a <ins>blue</ins> fox')
    """
    first, second = (re.findall(r"\s+|\S+", text) for text in (removed, kept))
    left, right = [], []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        gone, come = escape("".join(first[a:b])), escape("".join(second[c:d]))
        left.append(gone if kind == "equal" or not gone else f"<del>{gone}</del>")
        right.append(come if kind == "equal" or not come else f"<ins>{come}</ins>")
    return "".join(left), "".join(right)
