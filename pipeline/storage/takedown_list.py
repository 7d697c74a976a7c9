"""Take-down lists: files of what must not be in a corpus, for its whole life. Stages and tools read the same list.

A text file has one request per line: an address, a domain, a document id of 32 hex digits or a submission id `t3_…`, then perhaps
a note. A table (CSV, TSV or JSON lines) has columns date, reference, kind and value; kind may be left out where the value tells it,
and kind `text` lists a passage. Addresses are compared by their dedup keys and hosts by their canonical names, so any spelling of
a listed address takes its page down.
"""

import csv
import io
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import unquote

from pipeline.storage import files
from pipeline.urls import canonical_host, dedup_key
from tokenizer.errors import InputError

URL: Final = "URL"
SITE: Final = "domain"
DOCUMENT: Final = "document"
SUBMISSION: Final = "submission"
TEXT: Final = "text"
KINDS: Final = {
    **dict.fromkeys(("url", "address", "page", "link"), URL),
    **dict.fromkeys(("domain", "site", "host"), SITE),
    **dict.fromkeys(("document", "document id", "document_id"), DOCUMENT),
    **dict.fromkeys(("submission", "submission id", "submission_id", "post"), SUBMISSION),
    **dict.fromkeys(("text", "passage"), TEXT),
}
"""The kind of each word that a table's column `kind` may hold."""
COLUMNS: Final = ("date", "reference", "kind", "value")
HELP: Final = "take-down list: what must not be in the corpus, an address, site, document or submission id per line, or a table"
"""What the flag --takedown says in each stage that has it."""
LEAST_PASSAGE: Final = 20
"""Characters: a shorter passage stands in documents that nobody means."""

DOCUMENT_ID: Final = re.compile(r"[0-9a-fA-F]{32}")
SUBMISSION_ID: Final = re.compile(r"t3_[0-9a-z]{1,13}", re.IGNORECASE | re.ASCII)
BARE_SUBMISSION_ID: Final = re.compile(r"(?:t3_)?([0-9a-z]{1,13})", re.IGNORECASE | re.ASCII)
DOMAIN: Final = re.compile(r"(?:\*?\.)?((?:[\w\u0080-\U0010ffff-]{1,63}[.。])+[\w\u0080-\U0010ffff-]{2,63})\.?/?")
"""A domain, perhaps as `*.example.org` or with a dot or a slash behind it."""

SCHEMELESS: Final = re.compile(r"(?:[\w\u0080-\U0010ffff-]{1,63}[.。])+[\w\u0080-\U0010ffff-]{2,63}(?::\d{1,5})?[/?]\S*")
NOTE: Final = re.compile(r"[\t]|\s[#;(\[|/-]|\s\d{1,4}[-./]\d|\s\d")
"""What surely begins a note. Other words behind a blank may also be the rest of an address with a blank in it."""
CAPTURE: Final = re.compile(r"/(?:\d{4,14}\*?|\*)(?:[a-z]{2}_)?/(https?(?::/{1,2}|%3a%2f%2f).+)", re.IGNORECASE | re.DOTALL)
"""What a web archive's address of a capture, or of its list of captures, holds: the address of the page."""
ARCHIVE_CAPTURE: Final = re.compile(
    r"(?:https?://)?(?:www\.)?web\.archive\.org/web/(?:\d{4,14}\*?|\*)(?:[a-z]{2}_)?/([^/]+\..+)", re.IGNORECASE | re.DOTALL
)
"""The Internet Archive also takes the page's address without a scheme."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that a line lists. `detail` is what the drops table says of a page that it takes down."""

    line: int
    text: str
    kind: str
    value: str
    date: str = ""
    reference: str = ""

    @property
    def detail(self) -> str:
        """The kind and the value: `domain example.org`. Of a passage its hash: a list of drops must not hold the text."""
        return detail_of(self.kind, self.value)


def entries(path: str) -> list[Entry]:
    """The entries of a list; lines of a text file that begin with # are comments.

    Raises InputError where the file is missing, or a line names nothing that can be taken down.
    """
    if not files.exists(path):
        raise InputError(f"{path}: no such file")
    content = files.read_bytes(path).decode("utf-8-sig", errors="replace")
    rows = _table_rows(content, path)
    if rows is not None:
        return [entry for number, row in rows for entry in _entries_of_row(number, row, f"{path}, line {number}")]
    found: list[Entry] = []
    for number, line in enumerate(content.splitlines(), 1):
        text = line.strip()
        if text and not text.startswith("#"):
            found += _entries_of_line(number, text, f"{path}, line {number}")
    return found


def detail_of(kind: str, value: str) -> str:
    """What a drop says of a listed value."""
    return f"{kind} {blake2b(value.encode(), digest_size=8).hexdigest() if kind == TEXT else value}"


def site_of(host: str, sites: Collection[str]) -> str | None:
    """The listed site that a host belongs to: the host itself or a parent domain.

    >>> site_of("en.m.wikipedia.org", {"wikipedia.org"})
    'wikipedia.org'
    """
    labels = host.lower().rstrip(".").split(".")
    return next((site for i in range(len(labels)) if (site := ".".join(labels[i:])) in sites), None)


def fold(text: str) -> str:
    """A text or a passage without case and with single blanks: as passages are compared.

    >>> fold("  The Text\\n of it")
    'the text of it'
    """
    return " ".join(text.casefold().split())


def _table_rows(content: str, path: str) -> list[tuple[int, dict[str, str]]] | None:
    """Line number and columns of each row; None where the file is no table."""
    first = next((line for line in content.splitlines() if line.strip()), "")
    if first.lstrip().startswith("{"):
        return list(_json_rows(content, path))
    dialect = "\t" if "\t" in first else ";" if ";" in first else ","
    names = [name.strip().strip('"').lower() for name in first.split(dialect)]
    if "value" not in names or len(names) < 2:
        return None
    if unknown := [name for name in names if name not in COLUMNS]:
        raise InputError(f"{path}: no column {unknown[0]!r} in a take-down list; its columns are {', '.join(COLUMNS)}")
    reader = csv.reader(io.StringIO(content), delimiter=dialect)
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        rows += [
            (reader.line_num, dict(zip(names, map(str.strip, row), strict=False)))
            for row in reader
            if any(cell.strip() for cell in row) and not row[0].startswith("#")
        ]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: no row of a table ({error}); correct it") from error
    return rows[1:]


def _json_rows(content: str, path: str) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: no JSON object ({error}); correct it") from error
        if not isinstance(row, dict) or not set(row) <= set(COLUMNS):
            raise InputError(f"{path}, line {number}: not an object with the keys {', '.join(COLUMNS)}; correct it")
        yield number, {name: str(value).strip() for name, value in row.items() if value is not None}


def _entries_of_row(number: int, row: dict[str, str], where: str) -> list[Entry]:
    value, word = row.get("value", ""), row.get("kind", "").lower()
    more = (row.get("date", ""), row.get("reference", ""))
    if not value:
        raise InputError(f"{where}: has no value; name an address, a site, a document id, a submission id or a text")
    if word and word not in KINDS:
        raise InputError(f"{where}: no kind {word!r} of take-down; one of address, site, document, submission, text")
    if not word:
        return [Entry(e.line, e.text, e.kind, e.value, *more) for e in _entries_of_line(number, value, where)]
    texts = addresses_of(value) if KINDS[word] == URL else [value]
    return [Entry(number, value, KINDS[word], typed_value(KINDS[word], text, where), *more) for text in texts]


def addresses_of(text: str) -> list[str]:
    """An address, and that of the page which it is a capture of: a request that names the capture means the page.

    >>> addresses_of("https://web.archive.org/web/20150901120000/http://a.example/b")
    ['https://web.archive.org/web/20150901120000/http://a.example/b', 'http://a.example/b']
    >>> addresses_of("http://a.example/b")
    ['http://a.example/b']
    """
    found = CAPTURE.search(text) or ARCHIVE_CAPTURE.match(text)
    if found is None:
        return [text]
    original = unquote(found[1]) if "://" not in found[1] and "%3a" in found[1].lower() else found[1]
    scheme, colon, rest = original.partition(":/")
    return [text, f"{scheme}://{rest.lstrip('/')}" if colon else f"http://{original}"]


def typed_value(kind: str, text: str, where: str) -> str:
    """A value of a kind as it is compared. Raises InputError where the text is no such value."""
    if kind == URL:
        return _key(text, where)
    if kind == SITE:
        found = DOMAIN.fullmatch(text)
        return _canonical(found[1] if found else text, where)
    if kind == DOCUMENT:
        if not DOCUMENT_ID.fullmatch(text):
            raise InputError(f"{where}: {text!r} is no document id, which has 32 hexadecimal digits")
        return text.lower()
    if kind == SUBMISSION:
        if not (found := BARE_SUBMISSION_ID.fullmatch(text)):
            raise InputError(f"{where}: {text!r} is no id of a Reddit submission, such as t3_7h2k9x")
        return found[1].lower()
    if len(passage := fold(text)) < LEAST_PASSAGE:
        raise InputError(f"{where}: the text {text!r} is too short to name a document; give {LEAST_PASSAGE} characters or more")
    return passage


def _entries_of_line(number: int, text: str, where: str) -> list[Entry]:
    first = text.split(None, 1)[0].rstrip(",;")
    if DOCUMENT_ID.fullmatch(first):
        return [Entry(number, text, DOCUMENT, first.lower())]
    if SUBMISSION_ID.fullmatch(first):
        return [Entry(number, text, SUBMISSION, first[3:].lower())]
    if domain := DOMAIN.fullmatch(first):
        return [Entry(number, text, SITE, _canonical(domain[1], where))]
    keys = [_key(address, where) for address in addresses_of(first)]
    if len(text.split()) > 1 and not NOTE.match(text, len(first)):
        keys += [_key(address, where) for address in addresses_of(text)]
    return [Entry(number, text, URL, key) for key in dict.fromkeys(keys)]


def _key(url: str, where: str) -> str:
    try:
        return dedup_key(f"http://{url}" if SCHEMELESS.fullmatch(url) else url)
    except ValueError as error:
        raise InputError(f"{where}: {url!r} is neither a URL, nor a domain, nor a document id of 32 hex digits") from error


def _canonical(domain: str, where: str) -> str:
    try:
        return canonical_host(domain)
    except ValueError as error:
        raise InputError(f"{where}: {domain!r} is not a domain ({error})") from error
