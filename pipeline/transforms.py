"""The stages as composable Beam transforms: ordinary PCollections in and out, in anyone's pipeline.

`Links` takes submissions, `Fetch` links, `Extract` pages, `Deduplicate` and `Tokenize` (id, text) pairs, `CountWords` texts. Each class
documents its outputs; outputs named `drops` hold the dropped items with their reasons.
"""

from pipeline.dedup.transform import Deduplicate
from pipeline.documents.transform import Extract
from pipeline.links.transform import Links
from pipeline.pages.transform import Fetch
from pipeline.tokens.transform import Tokenize
from pipeline.vocabulary.transform import CountWords

__all__ = ["CountWords", "Deduplicate", "Extract", "Fetch", "Links", "Tokenize"]
