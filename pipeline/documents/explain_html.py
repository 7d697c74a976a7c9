"""The account of one page as a self-contained HTML page without scripts: blocks in colour beside the text that is left of them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.resources import files as package_files
from typing import Final

from pipeline.documents.account import BlockAccount, PageAccount
from pipeline.records import Document, Drop
from tokenizer.labels import html, html_text

GENERATOR: Final = "webtext documents --explain"
"""What the pages of this module begin with, so that a command replaces only such a page."""

MOST_BLOCKS: Final = 10_000
"""Blocks that are shown: a browser takes seconds for more."""

NO_BLOCKS: Final = "No blocks are shown: the page did not come as far as its blocks."
LEGEND: Final = (("kept", "kept"), ("cut", "kept, but a later rule removed lines"), ("dropped", "dropped"))
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(url: str, steps: Sequence[tuple[str, str]], result: Document | Drop, account: PageAccount | None) -> str:
    """The page; equal accounts give equal bytes. Every value may be hostile: it is escaped, and directions are isolated."""
    account = account or PageAccount()
    is_kept = isinstance(result, Document)
    verdict = "Kept" if isinstance(result, Document) else f"Dropped: {_reason(result)}"
    text = result.text if isinstance(result, Document) else account.text
    title = isinstance(result, Document) and result.title
    confidence = result.extraction_confidence if isinstance(result, Document) else None
    facts = [("Address", f'<bdi class="address">{html(url)}</bdi>')]
    facts += [("Title", f"<bdi>{html(title)}</bdi>")] if title else []
    facts += [("Path", html(account.path))] if account.path else []
    facts += [("Confidence", _meter(confidence, "expected F1 of the text"))] if confidence is not None else []
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="{GENERATOR}">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>Extraction of {html(url)}</title>
<link rel="icon" href="data:,">
<style>
{(package_files("pipeline.documents") / "explain.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<header>
<h1>What became of a page</h1>
<p class="verdict {"kept" if is_kept else "dropped"}">{html(verdict)}</p>
{_definitions(facts)}<nav aria-label="Sections"><a href="#blocks">Blocks</a> <a href="#text">Text</a> <a href="#steps">Steps</a></nav>
</header>
<main>
<section id="blocks" aria-labelledby="blocks-title"><h2 id="blocks-title">Blocks</h2>
{_blocks(account)}</section>
<section id="text" aria-labelledby="text-title"><h2 id="text-title">Text</h2>
<p class="quiet">{len(text):,} characters{"" if is_kept else ", as far as the page came"}</p>
<div class="text" dir="auto" tabindex="0" role="region" aria-label="Text">{html_text(text)}</div></section>
<section id="steps" aria-labelledby="steps-title"><h2 id="steps-title">Steps</h2>
{_definitions((html(step), f"<bdi>{html(effect)}</bdi>") for step, effect in steps)}</section>
</main>
</body>
</html>
"""


def _reason(drop: Drop) -> str:
    return f"{drop.reason} ({drop.detail})" if drop.detail else str(drop.reason)


def _definitions(pairs: Sequence[tuple[str, str]] | Iterator[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in pairs)}</dl>\n"


def _meter(share: float, label: str) -> str:
    """A number from 0 to 1 as a bar, and as text."""
    width = 100 * min(1.0, max(0.0, share))
    return f'<span class="meter" title="{html(label)}"><i style="width:{width:.1f}%"></i></span><b>{share:.2f}</b> '


def _blocks(account: PageAccount) -> str:
    if not account.blocks:
        return f"<p>{NO_BLOCKS}</p>\n"
    waiting = Counter(line for _, line in account.removed)
    steps = {line: step for step, line in reversed(account.removed)}
    kinds: Counter[str] = Counter()
    items = []
    for number, block in enumerate(account.blocks[:MOST_BLOCKS], 1):
        kind, item = _block(number, block, waiting, steps)
        kinds[kind] += 1
        items.append(item)
    more = len(account.blocks) - MOST_BLOCKS
    rest = f"<p>{more:,} more blocks are not shown.</p>\n" if more > 0 else ""
    legend = "".join(f'<li class="{kind}"><b>{kinds[kind]:,}</b> {text}</li>' for kind, text in LEGEND)
    return f'<ul class="legend">{legend}</ul>\n<ol class="blocks">\n{"".join(items)}</ol>\n{rest}'


def _block(number: int, block: BlockAccount, waiting: Counter[str], steps: dict[str, str]) -> tuple[str, str]:
    """The kind of a block and its item. Lines that a later step removed are struck; `waiting` counts those not met so far."""
    lines, rules = [], [block.rule]
    for line in block.text.split("\n"):
        bare = line.strip()
        if block.kept and bare and waiting[bare]:
            waiting[bare] -= 1
            lines.append(f"<del>{html_text(line)}</del>")
            rules += (
                [f"then removed by the step {steps[bare]}"] if rules[-1:] != [f"then removed by the step {steps[bare]}"] else []
            )
        else:
            lines.append(html_text(line))
    kind = "dropped" if not block.kept else "cut" if len(rules) > 1 else "kept"
    chance = "" if block.likely is None else _meter(block.likely, "probability of being the article's")
    about = f'<code>{html(block.element)}</code> {chance}<span class="rule">{html("; ".join(rules))}</span>'
    body = "\n".join(lines)
    return (
        kind,
        f'<li class="{kind}" value="{number}"><div class="about">{about}</div><div class="block" dir="auto">{body}</div></li>\n',
    )
