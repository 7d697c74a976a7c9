"""What a person should know of the filters of a run: what they do to other languages than English, and which of them keep nothing."""

import logging
from collections.abc import Sequence
from typing import Final

from pipeline.documents.quality import ENGLISH
from pipeline.documents.settings import DocumentsSettings
from pipeline.storage.manifest import Books

logger = logging.getLogger(__name__)

BEYOND_ENGLISH: Final = {
    "gopher": "its stop words and lengths of words are those of English, and are left out for documents in other languages",
    "c4": "its phrases (cookie notices, JavaScript) are English, and remove no line in another language",
    "fineweb": "its figures were chosen on English pages; stops of all scripts count",
}
"""What each filter does to other languages, keyed by the filter's name."""


def warn_of_english(settings: DocumentsSettings) -> None:
    """Log what the chosen filters do to documents in other languages, where the settings keep any."""
    if set(settings.languages) == {ENGLISH}:
        return
    for name in settings.filters:
        if note := BEYOND_ENGLISH.get(name):
            logger.warning("--filters %s beyond English: %s", name, note)
    if settings.bad_words:
        logger.warning("--bad-words beyond English: only the words of %s count, in every language", settings.bad_words)


def warn_of_emptying(filters: Sequence[str], books: Books) -> None:
    """Log a filter that dropped every document that reached it. `filters` are in the order in which they run."""
    reached = books.items_out
    for name in reversed(filters):
        dropped = books.dropped.get(name, 0)
        if dropped and not reached:
            logger.warning("--filters %s: dropped all %s documents that reached it", name, f"{dropped:,}")
        reached += dropped
