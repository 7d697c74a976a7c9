"""Constants of the GPT-2 paper: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"."""

from datetime import UTC, datetime
from typing import Final

MIN_KARMA: Final = 3
"""Section 2.1: "all outbound links from Reddit ... which received at least 3 karma"."""

CREATED_BEFORE: Final = datetime(2018, 1, 1, tzinfo=UTC)
"""Section 2.1: the preliminary WebText "does not include links created after Dec 2017"."""

REMOVED_SITES: Final = ("wikipedia.org",)
"""Section 2.1: "We removed all Wikipedia documents from WebText"."""

WEBTEXT_LINKS: Final = 45_000_000
"""Section 2.1: "the text subset of these 45 million links"."""

WEBTEXT_DOCUMENTS: Final = 8_000_000
"""Section 2.1: "slightly over 8 million documents for a total of 40 GB of text"."""

OVERLAP_NGRAM_WORDS: Final = 8
"""Section 4: overlap is counted in 8-grams of "lower-cased alphanumeric words with a single space as a delimiter"."""

OVERLAP_PERCENT: Final = {
    "ptb": (2.67, 0.88),
    "wikitext2": (0.66, 1.63),
    "enwik8": (7.50, 6.31),
    "text8": (2.34, 3.94),
    "wikitext103": (9.09, 2.42),
    "lm1b": (13.19, 3.75),
}
"""Table 6: percent of a test set's 8-grams that occur in its own training split, and in WebText's."""

# The paper says only "de-duplication and some heuristic based cleaning". The constants below are this project's, each a flag:
MIN_DOCUMENT_CHARACTERS: Final = 128
"""Not the paper's figure: OpenWebText keeps documents from 128 tokens, C4 from 5 sentences. Shorter pages are mostly errors."""

NEAR_DUPLICATE_THRESHOLD: Final = 0.7
"""Not the paper's figure: exact Jaccard similarity of word 5-grams, the threshold of FineWeb's 14 bands of 8 rows."""

NEAR_DUPLICATE_RECALL: Final = 0.96
"""Not the paper's figure: recall of pairs 0.1 above the threshold. FineWeb's 14 bands have 0.92, 18 bands 0.96."""
