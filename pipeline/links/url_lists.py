"""Lists of URLs as a source: one URL per line, or a table (CSV, TSV) whose header names the column of URLs.

Comments, blank lines and the header are rejected lines with a reason of their own, so that every line of a list is accounted for.
A file that is no list (a dump, HTML, binary data, a table without a header) raises InputError.
"""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from pipeline.reddit import LineFault, Post, RejectedLine, karma, unescape
from pipeline.storage.lines import LONGEST_LINE_BYTES, decompressed_blocks, split_lines
from pipeline.urls import keys
from tokenizer.errors import InputError

SAMPLE_LINES = 1000
"""The first lines of a list, which decide how it is read."""
RECORD_LINES = 100
"""A quoted field over more lines than this is taken for a quote that nothing closes."""
URL_COLUMNS = ("url", "urls", "link", "links", "uri", "href", "address", "source_url", "page_url", "target")
KARMA_COLUMNS = ("karma", "score", "points", "ups")
DELIMITERS = ",\t;|"
NO_CONTENT = (LineFault.BLANK_LINE, LineFault.COMMENT, LineFault.HEADER)
_URL = re.compile(r"\s*https?:", re.IGNORECASE)
_ESCAPED = re.compile(r"&(?:amp|lt|gt);")
_CONTROLS = re.compile(r"[\0-\b\x0e-\x1a\x1c-\x1f]")
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Table:
    """A header: the line it is in, and the columns it names."""

    line: int
    delimiter: str
    url: int
    karma: int | None


def read_urls(path: str, name: str) -> Iterator[Post | RejectedLine]:
    """A list of URLs as submissions with the ids `name:line`; a tab and the karma may follow a URL.

    A list is made of dumps where every & of its URLs begins `&amp;`, `&lt;` or `&gt;`: those URLs are unescaped, as a dump's are.
    A list that holds nothing, or nothing but blank lines, comments and a header, is an empty list. Raises InputError where the list is
    missing, truncated or damaged, no list, or none of its lines is a URL.
    """
    table = _table_of(path, list(islice(_lines(path), SAMPLE_LINES)))
    escaped = _is_escaped(post.url for post in _parse(path, name, table) if isinstance(post, Post))
    count, has_content, has_url = 0, False, False
    for line in _parse(path, name, table):
        count += 1
        if escaped and isinstance(line, Post):
            line = _unescaped(line)
        has_content = has_content or isinstance(line, Post) or line.reason not in NO_CONTENT
        has_url = has_url or (isinstance(line, Post) and _is_url(line.url))
        yield line
    if has_content and not has_url:
        raise InputError(f"{path}: none of its {count} lines is a URL; give one per line, beginning with http:// or https://")


def _unescaped(post: Post) -> Post:
    return Post(post.id, "", post.score, None, unescape(post.url), is_self=False, over_18=False, quarantine=False)


def _is_escaped(urls: Iterator[str]) -> bool:
    """Whether there is an & in the URLs, and each begins an escape of Reddit's. Stops at the first that does not."""
    found = False
    for url in urls:
        if "&" in url:
            if url.count("&") != len(_ESCAPED.findall(url)):
                return False
            found = True
    return found


def _is_url(text: str) -> bool:
    try:
        keys(text)
    except ValueError:
        return False
    return True


def _lines(path: str) -> Iterator[str | int]:
    """The lines as text without their ends; for a line that is too long, its length."""
    for line in split_lines(_utf8_blocks(path)):
        yield line if isinstance(line, int) else _text(line)


def _text(line: bytes) -> str:
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = line.decode("cp1252", "replace")
    return text.rstrip("\r")


def _utf8_blocks(path: str) -> Iterator[bytes]:
    """The list's bytes, from UTF-16 or UTF-32 to UTF-8; line ends that are a carriage return alone become newlines."""
    blocks = decompressed_blocks(path)
    first = next(blocks, b"")
    encoding = _encoding(first)
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    old_ends = b"\r" in first and b"\n" not in first
    for block in _chain(first, blocks):
        data = block if encoding == "utf-8" else decoder.decode(block).encode()
        yield data.replace(b"\r", b"\n") if old_ends else data


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _encoding(start: bytes) -> str:
    """The encoding by byte order mark, or by the zero bytes that ASCII has in UTF-16."""
    for mark, encoding in _BOMS:
        if start.startswith(mark):
            return encoding
    if start[1:2] == start[3:4] == b"\0" and b"\0" not in (start[0:1], start[2:3]):
        return "utf-16-le"
    return "utf-16-be" if start[0:1] == start[2:3] == b"\0" and b"\0" not in (start[1:2], start[3:4]) else "utf-8"


def _table_of(path: str, sample: Sequence[str | int]) -> Table | None:
    """The header of a table; None for a list of one URL per line. Raises InputError for what is neither."""
    lines = [(number, line) for number, line in enumerate(sample, 1) if isinstance(line, str) and _content(line)]
    if not lines:
        return None
    number, first = lines[0]
    start = first.lstrip()
    if _CONTROLS.search(first):
        raise InputError(f"{path}: not a text file; give a list with one URL per line")
    if start[:1] in ("{", "["):
        raise InputError(f"{path}: JSON, not a list of URLs; give a dump of submissions with --submissions")
    if start.startswith("<") and not _URL.match(start[1:]):
        raise InputError(f"{path}: HTML or XML, not a list of URLs; give a list with one URL per line")
    table = None if _URL.match(first) else _header(number, first)
    if table is None and _is_headless([line for _, line in lines if _URL.match(line.lstrip('"'))]):
        raise InputError(
            f"{path}: a table without a header; give it one that names the columns, as url,karma (or url alone if the commas "
            "belong to the URLs)"
        )
    return table


def _header(number: int, line: str) -> Table | None:
    for delimiter in DELIMITERS:
        names = [name.strip().strip("\"'").strip().lower() for name in line.split(delimiter)]
        url = next((names.index(name) for name in URL_COLUMNS if name in names), None)
        if url is not None:
            known = next((names.index(name) for name in KARMA_COLUMNS if name in names), None)
            return Table(number, delimiter if len(names) > 1 else "", url, known)
    return None


def _is_headless(lines: Sequence[str]) -> bool:
    """Whether lines that begin with a URL are rows of a table: equally many fields, one quoted, with blanks, or always a number.

    Commas and semicolons are legal in a URL; quotes and blanks are not.
    """
    for delimiter in ",;|":
        rows = [next(csv.reader([line], delimiter=delimiter), []) for line in lines]
        if not rows or len(rows[0]) < 2 or any(len(row) != len(rows[0]) for row in rows):
            continue
        if any(f'{delimiter}"' in line for line in lines) or any(" " in field.strip() for row in rows for field in row[1:]):
            return True
        if any(all(re.fullmatch(r"\s*-?\d+(?:\.\d+)?\s*", row[column]) for row in rows) for column in range(1, len(rows[0]))):
            return True
    return False


def _content(line: str) -> str:
    """A line of a list without its comment and blanks. A # within a URL is no comment."""
    return re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()


def _parse(path: str, name: str, table: Table | None) -> Iterator[Post | RejectedLine]:
    lines = enumerate(_lines(path), 1)
    for number, line in lines:
        if isinstance(line, int):
            yield RejectedLine(number, LineFault.LINE_TOO_LONG, f"{line} bytes, at most {LONGEST_LINE_BYTES}")
        elif not line.strip():
            yield RejectedLine(number, LineFault.BLANK_LINE, "")
        elif line.lstrip().startswith("#"):
            yield RejectedLine(number, LineFault.COMMENT, "")
        elif table is None or not table.delimiter:
            yield (
                RejectedLine(number, LineFault.HEADER, "") if table and number == table.line else _plain(line, f"{name}:{number}")
            )
        elif number == table.line:
            yield RejectedLine(number, LineFault.HEADER, "")
        else:
            row = _record(path, number, line, lines, table.delimiter)
            yield _post(_field(row, table.url), _field(row, table.karma), f"{name}:{number}")


def _field(row: Sequence[str], column: int | None) -> str:
    return row[column] if column is not None and column < len(row) else ""


def _record(path: str, number: int, line: str, lines: Iterator[tuple[int, str | int]], delimiter: str) -> list[str]:
    """The fields of a row that begins in `line`: a quoted field may hold line ends. Fields of TSV end at tabs alone."""
    if delimiter == "\t":
        return [field.strip().removeprefix('"').removesuffix('"') for field in line.split("\t")]
    text = line
    for _ in range(RECORD_LINES):
        try:
            return next(csv.reader([text], delimiter=delimiter, strict=True))
        except csv.Error as error:
            if "unexpected end" not in str(error):
                return next(csv.reader([text], delimiter=delimiter))
        _, following = next(lines, (0, 0))
        if isinstance(following, int):
            break
        text = f"{text}\n{following}"
    raise InputError(f"{path}:{number}: a quote that no quote closes; correct the line")


def _plain(line: str, name: str) -> Post:
    url, _, score = _content(line).partition("\t")
    return _post(url, score.partition("\t")[0], name)


def _post(url: str, score: str, name: str) -> Post:
    bare = url.strip()
    if len(bare) > 1 and bare[0] + bare[-1] in ('""', "''", "<>"):
        bare = bare[1:-1].strip()
    return Post(name, "", karma(score.strip()), None, bare, is_self=False, over_18=False, quarantine=False)
