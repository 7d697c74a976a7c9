"""Take-down lists: text files of what must not be in a corpus; each line is a URL, a domain or a document id in hex."""

import re
from typing import Final

from pipeline.documents.rules import Takedown
from pipeline.storage import files
from pipeline.urls import dedup_key
from tokenizer.errors import InputError

DOCUMENT_ID: Final = re.compile(r"[0-9a-fA-F]{32}")
DOMAIN: Final = re.compile(r"(?:[\w-]{1,63}\.)+[\w-]{2,63}")


def load(path: str) -> Takedown:
    """The entries of a list; lines that begin with # are comments.

    Raises InputError where the file is missing or a line is neither a URL, nor a domain, nor a document id.
    """
    if not files.exists(path):
        raise InputError(f"{path}: no such file")
    keys: set[str] = set()
    domains: set[str] = set()
    document_ids: set[bytes] = set()
    for number, line in enumerate(files.read_bytes(path).decode("utf-8", errors="replace").splitlines(), 1):
        entry = line.partition("#")[0].strip() if line.startswith("#") else line.strip()
        if not entry:
            continue
        if DOCUMENT_ID.fullmatch(entry):
            document_ids.add(bytes.fromhex(entry))
        elif DOMAIN.fullmatch(entry):
            domains.add(entry.lower())
        else:
            keys |= {entry, _key(entry, f"{path}, line {number}")}
    return Takedown(frozenset(keys), frozenset(domains), frozenset(document_ids))


def _key(url: str, where: str) -> str:
    try:
        return dedup_key(url)
    except ValueError as error:
        raise InputError(f"{where}: {url!r} is neither a URL, nor a domain, nor a document id of 32 hex digits") from error
