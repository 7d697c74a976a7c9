"""Time one peer's extraction of pages from standard input. extraction.py runs this with the peer's own Python.

    PYTHON extraction_peer.py NAME < pickled list of HTML texts > JSON {texts, cpu_seconds, peak_mb}

CPU time counts this process and its children; memory is that of the largest process.
"""

import json
import logging
import pickle
import resource
import sys
from collections.abc import Iterator

import scores  # beside this file


def datatrove(pages: list[str]) -> Iterator[str]:
    """datatrove's Trafilatura extractor in its sandbox, with its defaults (FineWeb's settings) and a longer deadline for a busy machine."""
    from datatrove.data import Document
    from datatrove.pipeline.extractors import Trafilatura

    extractor = Trafilatura(favour_precision=True, timeout=20, deduplicate=False)
    documents = {str(i): "" for i in range(len(pages))}
    for document in extractor.run(Document(text=page, id=str(i)) for i, page in enumerate(pages)):
        documents[document.id] = document.text
    yield from documents.values()


def trafilatura(pages: list[str]) -> Iterator[str]:
    """trafilatura in a loop, as it is shipped: fast and without comments, as ours uses it."""
    from trafilatura import extract

    for page in pages:
        yield extract(page, fast=True, include_comments=False) or ""


def readability(pages: list[str]) -> Iterator[str]:
    from html_text import extract_text
    from readability import Document

    for page in pages:
        yield extract_text(Document(page).summary())


def newspaper4k(pages: list[str]) -> Iterator[str]:
    from newspaper import Article, Config

    config = Config()
    config.fetch_images = False
    for page in pages:
        article = Article("http://example.org/", config=config)
        article.download(input_html=page)
        try:
            article.parse()
        except ImportError:  # the word splitter of this language is not installed
            yield ""
            continue
        yield article.text


def cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def peak_mb() -> float:
    """Return the peak memory of this process or of its largest ended child, whose high-water mark the kernel keeps."""
    return max(scores.peak_mb(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6)


def main() -> None:
    logging.disable(logging.CRITICAL)
    pages = pickle.load(sys.stdin.buffer)
    run = {
        "datatrove": datatrove,
        "trafilatura": trafilatura,
        "readability": readability,
        "newspaper4k": newspaper4k,
    }[sys.argv[1]]
    list(run(pages[:1]))
    began = cpu_seconds()
    texts = list(run(pages))
    json.dump({"texts": texts, "cpu_seconds": cpu_seconds() - began, "peak_mb": peak_mb()}, sys.stdout)


if __name__ == "__main__":
    main()
