"""Listed passages in pages that gave no document: the WARC files keep their text."""

import html
import re
from collections.abc import Collection, Iterator, Sequence

from pipeline.corpus.folder import CorpusFolder
from pipeline.documents import charset
from pipeline.pages.warc_reader import read_body
from pipeline.pages.warc_record import WarcError
from pipeline.storage import files
from pipeline.storage.takedown_list import fold

COLUMNS = ["dedup_key", "warc_file", "warc_offset", "warc_length", "charset"]
_UNSEEN = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")


def pages_with_passages(corpus: CorpusFolder, passages: Sequence[str], known: Collection[str]) -> Iterator[tuple[str, str]]:
    """The dedup keys of pages with one of the passages (folded), and their texts. `known` are the keys of pages to leave out."""
    for path in corpus.paths("pages", "pages"):
        for batch in files.record_batches(path, COLUMNS, rows=1024):
            for row in batch.to_pylist():
                if row["dedup_key"] in known:
                    continue
                warc = files.join(corpus.folders["pages"], row["warc_file"])
                try:
                    text = page_text(read_body(warc, row["warc_offset"], row["warc_length"]), row["charset"])
                except WarcError:  # a drop of the stage documents too: nobody can read it
                    continue
                if any(passage in text for passage in passages):
                    yield row["dedup_key"], text


def page_text(body: bytes, declared: str | None) -> str:
    r"""All that a page says, folded; once with blanks in place of its tags, once without.

    >>> page_text(b"<p>The <b>sh</b>ip<br>sank &amp; rose<!-- not this --></p>", None)
    'the sh ip sank & rose\x00the shipsank & rose'
    """
    markup = _UNSEEN.sub(" ", charset.decode(body, declared)[0])
    return "\0".join(fold(html.unescape(_TAG.sub(blank, markup))) for blank in (" ", ""))
