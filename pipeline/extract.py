"""The public face of extraction: a page's main text, or the reason that it has none."""

from pipeline.documents.drops import ExtractDrop
from pipeline.documents.extract import extract
from pipeline.documents.response import page_from_response
from pipeline.documents.rules import DEFAULT_RULES, ExtractionRules
from pipeline.records import RawPage

__all__ = ["DEFAULT_RULES", "ExtractDrop", "ExtractionRules", "RawPage", "extract", "page_from_response"]
