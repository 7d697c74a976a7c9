"""Why a page gives no document: the reasons of the stage's drops."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from pipeline.documents.quality import QualityFilter

STAGE_NAME: Final = "documents"


class ExtractDrop(StrEnum):
    """All reasons but the quality filters: where a filter drops a page, the filter itself is the reason."""

    BAD_RECORD = "bad_record"
    TAKEN_DOWN = "taken_down"
    EXCLUDED_SITE = "excluded_site"
    MEDIA_TYPE = "media_type"
    TOO_LARGE = "too_large"
    NO_MARKUP = "no_markup"
    NO_TEXT = "no_text"
    EXTRACTOR_FAILED = "extractor_failed"
    TOO_SHORT = "too_short"
    LANGUAGE = "language"
    BAD_WORDS = "bad_words"
    CPU_TIME = "cpu_time"
    WALL_TIME = "wall_time"
    MEMORY = "memory"
    CRASHED = "crashed"


def _by_word(reasons: Iterable[ExtractDrop | QualityFilter]) -> dict[str, ExtractDrop | QualityFilter]:
    by_word: dict[str, ExtractDrop | QualityFilter] = {}
    for reason in reasons:
        if by_word.setdefault(str(reason), reason) is not reason:
            raise ValueError(f"{reason!r}: another reason of the stage has this word; choose another word for the filter")
    return by_word


REASONS: Final = _by_word([*ExtractDrop, *QualityFilter])
"""Every reason by the word that the drops table has."""
