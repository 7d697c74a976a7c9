"""Where a corpus' documents come from: page, domain and language of each, from the folder of the stage `documents`."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tokenizer.untrusted import MAX_JSON_BYTES, check_file, inner_name, read_file
from trainer.compare.plan import Corpus


def origin_tables(corpus: Corpus, columns: list[str]) -> Iterator[pa.Table]:
    """These columns of the documents, file by file; nothing without a corpus folder, and no file that cannot be read."""
    folder = Path(corpus.corpus or "", "documents")
    try:
        files = json.loads(read_file(folder / "manifest.json", MAX_JSON_BYTES))["files"] if corpus.corpus else []
        names = [inner_name(each["name"]) for each in files if each["kind"] == "documents"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for name in names:
        try:
            check_file(folder, name)
            yield pq.ParquetFile(folder / name).read(columns, use_threads=False)
        except (OSError, ValueError, pa.ArrowException):
            continue


def page_ids(corpus: Corpus) -> dict[bytes, bytes]:
    """A hash of its page's address by document id; of the first address where several pages have the same text."""
    urls = dict[bytes, str]()
    for table in origin_tables(corpus, ["document_id", "url"]):
        for document, url in zip(table["document_id"].to_pylist(), table["url"].to_pylist(), strict=True):
            urls[document] = min(url, urls.get(document, url))
    return {document: hashlib.blake2b(url.encode(), digest_size=16).digest() for document, url in urls.items()}
