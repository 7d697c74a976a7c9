"""Trafilatura's lists without XPath and py3langid's compiled walk give what the libraries' own give.

On each fourth shared page; on every one with WEBTEXT_FULL=1.
"""

import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml.etree import XPath
from py3langid import langid
from trafilatura import xpaths

from pipeline.documents import attribute_lists, charset, html, language
from pipeline.documents.blocks.page import text_of

STRIDE = 1 if os.environ.get("WEBTEXT_FULL") else 4


def real_pages(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.glob("*.tar.xz")):
        with tarfile.open(path) as archive:
            for member in archive.getmembers()[::STRIDE]:
                if (file := archive.extractfile(member)) is not None:
                    yield member.name, charset.decode(file.read(), None)[0]


@pytest.mark.slow
def test_attribute_lists_find_what_the_expressions_find(shared_data: Path) -> None:
    assert attribute_lists.install()
    lists = (xpaths.BODY_XPATH, xpaths.OVERALL_DISCARD_XPATH, xpaths.REMOVE_COMMENTS_XPATH, xpaths.RAW_TREE_PRUNE_XPATH)
    entries = [entry for found in lists for entry in found if isinstance(entry, attribute_lists.AttributeList)]
    expressions = [XPath(entry.path, namespaces={"re": xpaths.REGEXP_NS}) for entry in entries]
    assert len(entries) == 7
    pages, hits, differing = 0, 0, []
    for name, markup in real_pages(shared_data / "html"):
        tree = html.parse(markup)
        if tree is None:
            continue
        pages += 1
        for entry, expression in zip(entries, expressions, strict=True):
            found, expected = list(entry(tree)), expression(tree)
            if "[1]" in entry.path:  # trafilatura takes the first alone
                found, expected = found[:1], expected[:1]
            hits += len(expected)
            if found != expected:
                differing.append((name, entry.path[:60]))
    assert differing == []
    assert pages > 1_200 // STRIDE
    assert hits > pages


def own_walk(nm: Any, rowbase: Any, out: Any, text: bytes) -> Counter[int] | None:
    """The library's own walk: the features of the states that a text's bytes lead to."""
    state, found = 0, []
    for letter in text:
        state = nm[rowbase[state] + letter]
        if out[state] >= 0:
            found.append(out[state])
    return Counter(found) or None


@pytest.mark.slow
def test_languages_are_those_of_the_library(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {name: text for name, markup in real_pages(shared_data / "html") if (text := text_of(markup))}
    ours = {name: language.identify(text) for name, text in texts.items()}
    monkeypatch.setattr(langid, "visit_counts", own_walk)
    library = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
    differing = []
    for name, text in texts.items():
        label, share = library.classify(text[: language.SAMPLE_CHARACTERS])
        if ours[name] != (label, round(float(share), 4)):
            differing.append((name, ours[name], label))
    assert differing == []
    assert len(texts) > 1_200 // STRIDE
