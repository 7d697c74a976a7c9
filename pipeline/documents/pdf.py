"""The text layer of PDF files, read by pypdf, which is pure Python: a bad file raises an error or exceeds the sandbox's limits."""

from importlib.util import find_spec
from io import BytesIO
from typing import Final

from pipeline.documents import extractors

LIBRARY_FAILURES: Final = (*extractors.LIBRARY_FAILURES, OSError)
"""What pypdf raises for a bad file; `text_and_title` turns pypdf's own errors into ValueError."""


def is_available() -> bool:
    """Whether pypdf, which is optional, is installed."""
    return find_spec("pypdf") is not None


def text_and_title(body: bytes) -> tuple[str, str | None]:
    """The text of all pages, and the title in the file's metadata. Raises LIBRARY_FAILURES."""
    from pypdf import PdfReader  # optional, and its import takes half a second
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(BytesIO(body))
        text = "\n\n".join(page.extract_text() for page in reader.pages)
        title = reader.metadata.title if reader.metadata else None
    except PyPdfError as error:
        raise ValueError(str(error)) from error
    return text, title
