"""The page's section on duplicates: figures, and pairs of texts side by side with their differences marked."""

import difflib
import re

from pipeline.report.markup import details, histogram
from pipeline.report.numbers import DuplicateExample, ReportNumbers
from tokenizer.labels import html, html_text


def duplicates(numbers: ReportNumbers) -> str:
    """The section's body; empty if there is no histogram of duplicates to draw."""
    figures = "".join(
        histogram(shown)
        for name in ("duplicates", "clusters", "similarity", "kept_clusters")
        if (shown := numbers.histogram(name))
    )
    if not figures:
        return ""
    pairs = "".join(_pair(pair) for pair in numbers.pairs)
    compared = f"<h3>Removed and kept, side by side</h3>{pairs}" if pairs else ""
    return f'<div class="figures">{figures}</div>\n<br>{compared}'


def _pair(pair: DuplicateExample) -> str:
    removed, kept = mark_differences(pair.text, pair.kept_text)
    summary = f"similarity {pair.similarity:.3f}, {pair.reason.replace('_', ' ')}, cluster of {pair.cluster_size}: {pair.url}"
    sides = _side("Removed", pair.url, removed) + _side("Kept", pair.kept_url, kept)
    return details(summary, f'<div class="pair">{sides}</div>')


def _side(title: str, url: str, text: str) -> str:
    address = f'<p class="small address">{html(url)}</p>'
    body = f'<div class="text" tabindex="0" role="region" aria-label="{title}: {html(url)}">{text}</div>'
    return f"<div><h3>{title}</h3>{address}{body}</div>"


def mark_differences(removed: str, kept: str) -> tuple[str, str]:
    """Both texts as HTML, words that only the first has in <del>, words that only the second has in <ins>.

    >>> mark_differences("a red fox", "a blue fox")
    ('a <del>red</del> fox', 'a <ins>blue</ins> fox')
    """
    first, second = (re.findall(r"\s+|\S+", text) for text in (removed, kept))
    left, right = [], []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        deleted, inserted = html_text("".join(first[a:b])), html_text("".join(second[c:d]))
        left.append(deleted if kind == "equal" or not deleted else f"<del>{deleted}</del>")
        right.append(inserted if kind == "equal" or not inserted else f"<ins>{inserted}</ins>")
    return "".join(left), "".join(right)
