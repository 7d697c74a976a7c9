"""PDF, on demand: the text layer as pypdf reads it, page after page. pypdf is pure Python, so a bad file raises or runs into the limits."""

from importlib.util import find_spec
from io import BytesIO
from typing import Final

from pipeline.documents import extractors

MEDIA_TYPE: Final = "application/pdf"
LIBRARY_FAILURES: Final = (*extractors.LIBRARY_FAILURES, OSError)
"""pypdf's own errors become ValueError below."""


def is_available() -> bool:
    """Whether the optional pypdf is installed."""
    return find_spec("pypdf") is not None


def text_and_title(body: bytes) -> tuple[str, str | None]:
    """The text, and the title of the document's information. Raises LIBRARY_FAILURES."""
    from pypdf import PdfReader  # optional, and half a second of import
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(BytesIO(body))
        text = "\n\n".join(page.extract_text() for page in reader.pages)
        title = reader.metadata.title if reader.metadata else None
    except PyPdfError as error:
        raise ValueError(str(error)) from error
    return text, title
