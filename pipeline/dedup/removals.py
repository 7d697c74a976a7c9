"""Which duplicates are removed, and the reasons of removals."""

from enum import StrEnum

NEAR, EXACT, NONE = REMOVALS = ("near", "exact", "none")
"""The duplicates that are removed: near and exact ones, exact ones alone (of one address, one text or the same words), none."""


class DedupDrop(StrEnum):
    """Why a document is removed."""

    SAME_URL = "same_url"
    SAME_TEXT = "same_text"
    SAME_NORMALISED_TEXT = "same_normalised_text"
    NEAR_DUPLICATE = "near_duplicate"
    NOTHING_LEFT = "nothing_left"
    TOO_SHORT = "too_short"


DUPLICATE_REASONS = (DedupDrop.SAME_URL, DedupDrop.SAME_TEXT, DedupDrop.SAME_NORMALISED_TEXT, DedupDrop.NEAR_DUPLICATE)
"""Those that name another document, which was kept."""
