"""Small PDF files, by the PDF specification: lines of text at places on pages."""

from collections.abc import Sequence

Line = tuple[int, int, str]
"""Left edge and baseline in points, and the text."""


def pdf_of(pages: Sequence[Sequence[Line]], title: str = "The tide") -> bytes:
    """A PDF of these pages, each of its lines in the order in which they are drawn."""
    first = 5
    kids = b" ".join(b"%d 0 R" % (first + 2 * i) for i in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d /MediaBox [0 0 612 792] >>" % (kids, len(pages)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Title (%s) >>" % title.encode(),
    ]
    for i, lines in enumerate(pages):
        content = b"\n".join(b"BT /F1 10 Tf %d %d Td (%s) Tj ET" % (x, y, _escaped(text)) for x, y, text in lines)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /Contents %d 0 R /Resources << /Font << /F1 3 0 R >> >> >>" % (first + 2 * i + 1)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    body, places = b"%PDF-1.4\n", []
    for number, entry in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, entry)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table
    return body + head + b"trailer << /Size %d /Root 1 0 R /Info 4 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(body))


def column(lines: Sequence[str], left: int = 72, top: int = 720) -> list[Line]:
    """Lines below each other."""
    return [(left, top - 12 * number, text) for number, text in enumerate(lines)]


def _escaped(text: str) -> bytes:
    return text.encode("cp1252").replace(b"\\", rb"\\").replace(b"(", rb"\(").replace(b")", rb"\)")
