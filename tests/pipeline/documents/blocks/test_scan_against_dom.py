"""No word of a visible text node is lost, joined or made: the text of all blocks has the words of the tree that a browser builds."""

import os
import re
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from resiliparse.parse.html import DOMNode, HTMLTree, NodeType

from pipeline.documents import charset
from pipeline.documents.blocks import layout, tags
from pipeline.documents.blocks.formulas import replace_mathml
from pipeline.documents.blocks.page import BlockPage, text_of
from pipeline.documents.blocks.renderer import finish
from pipeline.documents.blocks.word_groups import SPECIAL_GROUPS

NOT_TEXT = {name for name, number in tags.TAG.items() if tags.KINDS[number] in (tags.RAW, tags.SKIPPED)}
ENDS_LINE = {name for name, number in tags.TAG.items() if tags.KINDS[number] in (tags.BLOCK, tags.BREAKING)} | {"br"}
HIDDEN = re.compile(r"display[\s:]*none", re.IGNORECASE)
WORDS = re.compile(r"\w+")


def is_hidden(node: DOMNode) -> bool:
    """Whether an element is a part of a line that is not shown."""
    if tags.KINDS[tags.TAG.get(node.tag, 0)] != tags.INLINE:
        return False
    names = f"{node.getattr('class') or ''} {node.getattr('id') or ''}".lower()
    return (
        node.hasattr("hidden")
        or bool(HIDDEN.search(node.getattr("style") or ""))
        or any(word in names for word in SPECIAL_GROUPS[0])
    )


def visible(node: DOMNode, out: list[str]) -> None:
    child = node.first_child
    while child is not None:
        if child.type == NodeType.TEXT:
            out.append(child.text)
        elif child.type == NodeType.ELEMENT and child.tag not in NOT_TEXT and not is_hidden(child):
            ends = "\n" if child.tag in ENDS_LINE else ""
            out.append(ends)
            visible(child, out)
            out.append(ends)
        child = child.next


def words_of_tree(markup: str) -> Counter[str]:
    out: list[str] = []
    tree = HTMLTree.parse(markup)
    if tree.body is not None:
        visible(tree.body, out)
    return Counter(WORDS.findall(finish("".join(out).replace("&", "&amp;"))))


@pytest.mark.parametrize("markup", [
    "<p>one<p>two<div>three</p>four</div>", "<b>one<p>two</b>three</p>four", "<table><tr><td>a<td>b</tr>c</table>d",
    "<ul><li>a<ul><li>b</ul>c<li>d</ul>",
    "<a href=x>one<a href=y>two</a>three", "<div><span>one</div>two</span>three", "<h1>one<h2>two</h1>three",
    "a</p>b</br>c", "<p>a<table><td>b</table>c",
    "</div>a</span>b", "<dl><dt>a<dd>b<dl><dt>c</dl>d<dt>e</dl>", "<p>a<p hidden>b</p>c",
    "<body><body class=x>a</body>b</html>c",
    "<form><p>a</form>b", "<p>a&nbsp;b&amp;c&lt;d", "<button>a<button>b</button>c", "<address>a<p>b</address>c", "<p>a <b>b<i>c</b>d</i>e",
])  # fmt: skip
def test_odd_markup_has_the_words_of_its_tree(markup: str) -> None:
    assert Counter(WORDS.findall(text_of(markup))) == words_of_tree(markup)


NOT_COMPARED = re.compile(
    r"<noscript\b.*?</noscript\s*>|<script\b[^>]*math/[^>]*>.*?</script\s*>|<img\b[^>]*>", re.IGNORECASE | re.DOTALL
)
"""What a browser without scripts reads in another way, and formulas that the scan reads where a tree has no text."""


@pytest.mark.slow
def test_all_real_pages_have_the_words_of_their_trees(shared_data: Path) -> None:
    """On each fourth shared page (WEBTEXT_FULL=1: on all); on each tenth of them, the kept blocks' text has the words of each block."""
    stride = 1 if os.environ.get("WEBTEXT_FULL") else 4
    compared, differing = 0, []
    for path in sorted((shared_data / "html").glob("*.tar.xz")):
        with tarfile.open(path) as archive:
            for member in archive.getmembers()[::stride]:
                if (file := archive.extractfile(member)) is None:
                    continue
                markup = replace_mathml(NOT_COMPARED.sub("", charset.decode(file.read(), None)[0]))
                page = BlockPage.of(markup)
                assert page.counts.status == layout.COMPLETE, member.name
                compared += 1
                if Counter(WORDS.findall(page.all_text())) != words_of_tree(markup):
                    differing.append(member.name)
                if compared % 10 == 0 and page.counts.blocks:
                    texts = [text for text, kept in zip(page.block_texts(), page.choice.keep, strict=True) if kept]
                    assert WORDS.findall(page.text(page.choice.keep)) == WORDS.findall("\n".join(texts)), member.name
    assert compared > 1_200 // stride
    assert differing == []
