"""The public face of extraction: a page's main text, or the reason that it has none."""

from pipeline.documents.extract import extract
from pipeline.documents.rules import Rules
from pipeline.records import RawPage

__all__ = ["RawPage", "Rules", "extract"]
