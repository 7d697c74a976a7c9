"""Take-down lists: text files of what must not be in a corpus; each line is a URL, a domain or a document id in hex, then perhaps a note.

Addresses are compared by their dedup keys and hosts by their canonical names, so any spelling of a listed address takes its page down.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.documents.rules import Takedown
from pipeline.storage import files
from pipeline.urls import canonical_host, dedup_key, has_public_suffix, host_of
from tokenizer.errors import InputError

logger = logging.getLogger(__name__)

DOCUMENT_ID: Final = re.compile(r"[0-9a-fA-F]{32}")
DOMAIN: Final = re.compile(r"(?:\*?\.)?((?:[\w\u0080-\U0010ffff-]{1,63}[.。])+[\w\u0080-\U0010ffff-]{2,63})\.?/?")
"""A domain, perhaps as `*.example.org` or with a dot or a slash behind it."""

SCHEMELESS: Final = re.compile(r"(?:[\w\u0080-\U0010ffff-]{1,63}[.。])+[\w\u0080-\U0010ffff-]{2,63}(?::\d{1,5})?[/?]\S*")
NOTE: Final = re.compile(r"[\t]|\s[#;(\[|/-]|\s\d{1,4}[-./]\d|\s\d")
"""What surely begins a note. Other words behind a blank may also be the rest of an address with a blank in it."""

SHOWN_LINES: Final = 10


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that a line lists. `detail` is what the drops table says of a page that it takes down."""

    line: int
    text: str
    kind: str
    value: str

    @property
    def detail(self) -> str:
        """The kind and the value: `domain example.org`."""
        return f"{self.kind} {self.value}"


def entries(path: str) -> list[Entry]:
    """The entries of a list; lines that begin with # are comments.

    Raises InputError where the file is missing or a line is neither a URL, nor a domain, nor a document id.
    """
    if not files.exists(path):
        raise InputError(f"{path}: no such file")
    found: list[Entry] = []
    for number, line in enumerate(files.read_bytes(path).decode("utf-8-sig", errors="replace").splitlines(), 1):
        text = line.strip()
        if text and not text.startswith("#"):
            found += _entries_of_line(number, text, f"{path}, line {number}")
    return found


def load(path: str) -> Takedown:
    """The entries of a list, for extraction. Raises InputError as `entries` does."""
    return of(entries(path))


def of(found: Iterable[Entry]) -> Takedown:
    """The entries by their kinds."""
    values: dict[str, set[str]] = {"URL": set(), "domain": set(), "document": set()}
    for entry in found:
        values[entry.kind].add(entry.value)
    ids = frozenset(map(bytes.fromhex, values["document"]))
    return Takedown(frozenset(values["URL"]), frozenset(values["domain"]), ids)


def warn_of_dead_lines(path: str, found: Sequence[Entry]) -> None:
    """Log the lines that can match no page of the web: their host is under no public suffix."""
    for entry in found:
        host = entry.value if entry.kind == "domain" else host_of(entry.value) if entry.kind == "URL" else ""
        if host and not has_public_suffix(host):
            logger.warning(
                "%s, line %d: %r can match no page of the web, its host has no public suffix", path, entry.line, entry.text
            )


def report_matches(path: str, found: Sequence[Entry], details: Counter[str]) -> None:
    """Log how many pages the list took down, and which of its lines none. `details` are those of the pages' drops."""
    pages = sum(details.values())
    idle = {entry.line: entry.text for entry in found} | {}
    for entry in found:
        if details[entry.detail]:
            idle.pop(entry.line, None)
    if not idle:
        logger.info("%s: took down %s pages; every line matches", path, f"{pages:,}")
        return
    shown = "; ".join(f"line {line}: {text[:80]}" for line, text in list(idle.items())[:SHOWN_LINES])
    more = f"; and {len(idle) - SHOWN_LINES:,} more" if len(idle) > SHOWN_LINES else ""
    lines = len({entry.line for entry in found})
    logger.warning(
        "%s: took down %s pages; %s of %s lines match none (%s%s)",
        path,
        f"{pages:,}",
        f"{len(idle):,}",
        f"{lines:,}",
        shown,
        more,
    )


def _entries_of_line(number: int, text: str, where: str) -> list[Entry]:
    first = text.split(None, 1)[0].rstrip(",;")
    if DOCUMENT_ID.fullmatch(first):
        return [Entry(number, text, "document", first.lower())]
    if domain := DOMAIN.fullmatch(first):
        return [Entry(number, text, "domain", _canonical(domain[1], where))]
    keys = [_key(first, where)]
    if len(text.split()) > 1 and not NOTE.match(text, len(first)):
        keys.append(_key(text, where))
    return [Entry(number, text, "URL", key) for key in dict.fromkeys(keys)]


def _key(url: str, where: str) -> str:
    try:
        return dedup_key(f"http://{url}" if SCHEMELESS.fullmatch(url) else url)
    except ValueError as error:
        raise InputError(f"{where}: {url!r} is neither a URL, nor a domain, nor a document id of 32 hex digits") from error


def _canonical(domain: str, where: str) -> str:
    try:
        return canonical_host(domain)
    except ValueError as error:
        raise InputError(f"{where}: {domain!r} is not a domain ({error})") from error
