"""What a take-down list (`pipeline.storage.takedown_list`) means for the extraction of documents, and which of its lines did nothing."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pipeline.documents.rules import Takedown
from pipeline.storage.takedown_list import DOCUMENT, SITE, SUBMISSION, TEXT, URL, Entry, entries
from pipeline.urls import has_public_suffix, host_of

logger = logging.getLogger(__name__)

SHOWN_LINES: Final = 10


def load(path: str) -> Takedown:
    """The entries of a list, for extraction. Raises InputError as `entries` does."""
    return of(entries(path))


def of(found: Iterable[Entry], submission_keys: Mapping[str, Iterable[str]] | None = None) -> Takedown:
    """The entries by their kinds. `submission_keys` has the dedup keys of the links of listed submissions, by id."""
    values: dict[str, set[str]] = {kind: set() for kind in (URL, SITE, DOCUMENT, SUBMISSION, TEXT)}
    for entry in found:
        values[entry.kind].add(entry.value)
    ids = frozenset(map(bytes.fromhex, values[DOCUMENT]))
    linked = frozenset((key, name) for name, keys in (submission_keys or {}).items() for key in keys)
    return Takedown(frozenset(values[URL]), frozenset(values[SITE]), ids, frozenset(values[TEXT]), linked)


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
    if not found:
        logger.info("%s: lists nothing", path)
        return
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
