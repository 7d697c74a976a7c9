"""Generated HTTP responses: a page in many legal, lenient and broken spellings, each with its right reading. Fixed seeds.

A response has one rule of the table `RULES` in the foreground, and legal spellings of everything else behind it.
"""

import gzip
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

WORDS = [
    "the",
    "a",
    "of",
    "crawl",
    "page",
    "link",
    "text",
    "reader",
    "caf\u00e9",
    "\u4e2d\u6587",
    "--",
    "42",
    "<b>bold</b>",
    "&amp;",
]
LEGAL, LENIENT, BROKEN, CHOICE = "legal", "lenient", "broken", "choice"
"""What a rule's responses are: legal by RFC 9110 and 9112; repaired as browsers do; without a page to rely on; refused though
browsers read on."""


@dataclass
class Draft:
    """A response that is being made. `right` is the body that it means; None where no page can be relied on."""

    chance: random.Random
    page: bytes
    before: bytes = b""
    version: bytes = b"HTTP/1.1"
    status: bytes = b"200 OK"
    kind: list[bytes] = field(default_factory=lambda: [b"Content-Type: text/html; charset=utf-8"])
    fields: list[bytes] = field(default_factory=list)
    end: bytes = b"\r\n"
    coding: Callable[["Draft"], None] | None = None
    framing: Callable[["Draft"], None] | None = None
    sent: bytes = b""
    right: bytes | None = b""
    cut: int | None = None

    def wire(self) -> bytes:
        """The bytes to send."""
        lines = [self.version + b" " + self.status, *self.kind, *self.fields]
        data = self.before + b"".join(line + self.end for line in [*lines, b""]) + self.sent
        return data if self.cut is None else data[: self.cut]


@dataclass(frozen=True)
class Rule:
    """A way to spell a response. `slot` is the part that it spells: of two rules with one slot only one is taken."""

    name: str
    slot: str
    sort: str
    apply: Callable[[Draft], None]


RULES: list[Rule] = []


def rule(slot: str, sort: str) -> Callable[[Callable[[Draft], None]], Callable[[Draft], None]]:
    """Register a function as a rule, named after it."""

    def register(apply: Callable[[Draft], None]) -> Callable[[Draft], None]:
        RULES.append(Rule(apply.__name__, slot, sort, apply))
        return apply

    return register


def lines_rule(name: str, slot: str, sort: str, *lines: bytes, **changes: Any) -> None:
    """Register a rule that adds header lines (`%d` is the number of bytes that follow) and sets attributes."""

    def apply(draft: Draft) -> None:
        draft.fields += [line.replace(b"%d", b"%d" % len(draft.sent)) for line in lines]
        for key, value in changes.items():
            setattr(draft, key, value)

    RULES.append(Rule(name, slot, sort, apply))


LENGTHS: dict[str, tuple[str, list[bytes]]] = {
    "length": (LEGAL, [b"Content-Length: %d"]),
    "length_blanks_around": (LEGAL, [b"content-length:\t %d \t"]),
    "length_without_blank": (LEGAL, [b"CONTENT-LENGTH:%d"]),
    "length_zeros": (LEGAL, [b"Content-Length: 000%d"]),
    "length_listed": (LENIENT, [b"Content-Length: %d, %d,%d"]),
    "length_repeated": (LENIENT, [b"Content-Length: %d", b"X-Between: 1", b"Content-length: %d"]),
    "length_folded": (LENIENT, [b"Content-Length:\r\n %d"]),
    "length_blank_before_colon": (LENIENT, [b"Content-Length : %d"]),
    "length_beside_identity": (LENIENT, [b"Transfer-Encoding: identity", b"Content-Length: %d"]),
    "until_close": (LEGAL, []),
    "until_close_said": (LEGAL, [b"Connection: close"]),
    "length_words": (CHOICE, [b"Content-Length: many"]),
    "length_negative": (CHOICE, [b"Content-Length: -1"]),
    "length_signed": (CHOICE, [b"Content-Length: +%d"]),
    "length_with_unit": (CHOICE, [b"Content-Length: %d bytes"]),
    "length_hexadecimal": (CHOICE, [b"Content-Length: 0x20"]),
    "length_empty": (CHOICE, [b"Content-Length:"]),
    "length_differing": (BROKEN, [b"Content-Length: %d", b"Content-Length: 7"]),
    "length_list_differing": (BROKEN, [b"Content-Length: %d, 7"]),
    "length_list_with_gap": (BROKEN, [b"Content-Length: %d,"]),
}  # fmt: skip
for _name, (_sort, _lines) in LENGTHS.items():
    lines_rule(_name, "framing", _sort, *_lines, **({"right": None} if _sort in (CHOICE, BROKEN) else {}))


@rule("framing", BROKEN)
def length_too_large(draft: Draft) -> None:
    draft.fields.append(b"Content-Length: %d" % (len(draft.sent) + draft.chance.choice([1, 2, 1000])))
    draft.right = None


@rule("framing", BROKEN)
def length_too_small(draft: Draft) -> None:
    size = draft.chance.randrange(1, len(draft.sent))
    draft.fields.append(b"Content-Length: %d" % size)
    draft.right = draft.page[:size]


def chunk_rule(name: str, sort: str, size: bytes = b"%x", end: bytes = b"\r\n", last: bytes = b"0\r\n\r\n", **more: Any) -> None:
    """Register a rule of chunked bodies: spellings of a chunk's size, of the line ends and of the last chunk."""

    def apply(draft: Draft) -> None:
        pieces = []
        data = draft.sent
        while data:
            piece, data = data[: (cut := draft.chance.choice([1, 7, 100, 5000]))], data[cut:]
            pieces.append(size % len(piece) + end + piece + end)
        draft.fields += more.get("lines", [b"Transfer-Encoding: chunked"])
        draft.sent = b"".join(pieces) + last
        if sort in (BROKEN, CHOICE):
            draft.right = None

    RULES.append(Rule(name, "framing", sort, apply))


chunk_rule("chunks", LEGAL)
chunk_rule("chunks_upper_case_zeros", LEGAL, b"00%X", last=b"000\r\n\r\n")
chunk_rule("chunks_extensions", LEGAL, b'%x;name=value;other="a;b"', last=b"0;last\r\n\r\n")
chunk_rule("chunks_trailers", LEGAL, last=b"0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n")
chunk_rule("chunks_coding_capitals", LEGAL, lines=[b"TRANSFER-ENCODING:  Chunked "])
chunk_rule("chunks_beside_length", LENIENT, lines=[b"Transfer-Encoding: chunked", b"Content-Length: 5"])
chunk_rule("chunks_beside_words", LENIENT, lines=[b"Content-Length: many", b"Transfer-Encoding: chunked"])
chunk_rule("chunks_twice", LENIENT, lines=[b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"])
chunk_rule("chunks_blanks_after_size", LENIENT, b"%x  ")
chunk_rule("chunks_line_feeds", LENIENT, end=b"\n", last=b"0\n\n")
chunk_rule("chunks_without_last_line", LENIENT, last=b"0\r\n")
chunk_rule("chunks_without_last", BROKEN, last=b"")
chunk_rule("chunks_last_cut", BROKEN, last=b"0")
chunk_rule("chunks_size_words", BROKEN, b"x%x")
chunk_rule("chunks_size_negative", BROKEN, b"-%x")
chunk_rule("chunks_size_prefixed", BROKEN, b"0x%x")
chunk_rule("chunks_without_ends", BROKEN, b"%x\r\n", end=b"")
chunk_rule("chunks_below_gzip", BROKEN, lines=[b"Transfer-Encoding: chunked, gzip"])
lines_rule("chunks_not_there", "framing", BROKEN, b"Transfer-Encoding: chunked", right=None)


@rule("framing", BROKEN)
def chunk_cut(draft: Draft) -> None:
    draft.fields.append(b"Transfer-Encoding: chunked")
    draft.sent, draft.right = b"%x\r\n%s" % (len(draft.sent) + 3, draft.sent), None


@rule("framing", CHOICE)
def transfer_gzip(draft: Draft) -> None:
    packed = gzip.compress(draft.sent, mtime=0)
    draft.fields.append(b"Transfer-Encoding: gzip, chunked")
    draft.sent, draft.right = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed), None


def coding_rule(name: str, sort: str, value: bytes, code: Callable[[bytes], bytes]) -> None:
    """Register a rule of content codings."""

    def apply(draft: Draft) -> None:
        draft.fields += [b"Content-Encoding: " + one for one in value.split(b"|")]
        draft.sent = code(draft.sent)
        if sort in (BROKEN, CHOICE):
            draft.right = None

    RULES.append(Rule(name, "coding", sort, apply))


def packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def bare(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()


def broken_sum(data: bytes) -> bytes:
    return packed(data)[:-8] + bytes(8)


coding_rule("gzip", LEGAL, b"gzip", packed)
coding_rule("gzip_x", LEGAL, b"x-gzip", packed)
coding_rule("gzip_capitals", LEGAL, b"GZip\t", packed)
coding_rule("gzip_members", LEGAL, b"gzip", lambda data: packed(data[:100]) + packed(b"") + packed(data[100:]))
coding_rule("gzip_twice", LEGAL, b"gzip, gzip", lambda data: packed(packed(data)))
coding_rule("gzip_in_two_fields", LEGAL, b"deflate|gzip", lambda data: packed(zlib.compress(data)))
coding_rule("deflate", LEGAL, b"deflate", zlib.compress)
coding_rule("coding_identity", LENIENT, b"identity", bytes)
coding_rule("coding_empty", LENIENT, b"", bytes)
coding_rule("deflate_bare", LENIENT, b"deflate", bare)
coding_rule("coding_none", LENIENT, b"none", bytes)
coding_rule("coding_utf_8", LENIENT, b"UTF-8", bytes)
coding_rule("gzip_tail", LENIENT, b"gzip", lambda data: packed(data) + b"tail")
coding_rule("gzip_zeros", LENIENT, b"gzip", lambda data: packed(data) + bytes(100))
coding_rule("gzip_cut", BROKEN, b"gzip", lambda data: packed(data)[:-12])
coding_rule("gzip_without_end", BROKEN, b"gzip", lambda data: packed(data)[:-8])
coding_rule("gzip_wrong_sum", BROKEN, b"gzip", broken_sum)
coding_rule("gzip_not_there", BROKEN, b"gzip", bytes)
coding_rule("deflate_cut", BROKEN, b"deflate", lambda data: zlib.compress(data)[:-9])
coding_rule("deflate_tail", CHOICE, b"deflate", lambda data: zlib.compress(data) + b"tail")
coding_rule("gzip_three_times", CHOICE, b"gzip, gzip, gzip", lambda data: packed(packed(packed(data))))
coding_rule("coding_unknown", BROKEN, b"sdch", lambda data: b"\0\1\2" + data)
coding_rule("coding_unknown_over_text", BROKEN, b"sdch", bytes)

lines_rule("blanks_around", "head", LEGAL, b"X-A:\t value \t ", b"X-B:value", b"X-C:")
lines_rule("names_of_odd_letters", "head", LEGAL, b"x!#$%&'*+-.^_`|~9: 1", b'ETag: "a:b"')
lines_rule("fields_repeated", "head", LEGAL, b"Vary: a", b"X-A: 1", b"vary: b", b"VARY: c")
lines_rule("fields_200", "head", LEGAL, *(b"X-%03d: value" % i for i in range(200)))
lines_rule("value_latin_1", "head", LEGAL, b"X-Name: caf\xe9 \xa0")
lines_rule("value_utf_8", "head", LEGAL, "X-Name: \u0445\u4e2d\u2028\u0085".encode())
lines_rule("no_phrase", "head", LEGAL, status=b"200 ")
lines_rule("phrase_latin_1", "head", LEGAL, status=b"200 \xc7a va  bien")
lines_rule("http_1_0", "head", LEGAL, version=b"HTTP/1.0")
lines_rule("hints_first", "head", LEGAL, before=b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" * 2)
lines_rule("continue_first", "head", LEGAL, before=b"HTTP/1.1 100 Continue\r\n\r\n")
lines_rule("no_blank_after_status", "head", LENIENT, status=b"200")
lines_rule("folded", "head", LENIENT, b"X-A: one\r\n two\r\n\tthree", b"X-B:\r\n four")
lines_rule("line_feeds", "head", LENIENT, b"X-A: 1", end=b"\n")
lines_rule("line_ends_mixed", "head", LENIENT, b"X-A: 1\nX-B: 2")
lines_rule("blank_before_colon", "head", LENIENT, b"P3P : CP=x", b"X-A\t:1")
lines_rule("nul_in_value", "head", LENIENT, b"X-A: b\0c")
lines_rule("cr_in_value", "head", LENIENT, b"X-A: b\rc")
lines_rule("controls_in_value", "head", LENIENT, b"X-A: \x0bb\x0cc\x1cd\x1de\x1ef\x85Content-Encoding: br")
lines_rule("name_beyond_ascii", "head", LENIENT, "X-\u00e9: 1".encode(), b"X-A: 1")
lines_rule("empty_line_first", "head", LENIENT, before=b"\r\n")
lines_rule("version_in_small_letters", "head", LENIENT, version=b"http/1.1")
lines_rule("line_without_colon", "head", CHOICE, b"X-A: 1", b"no colon", right=None)
lines_rule("name_with_blank", "head", CHOICE, b"X A: 1", right=None)
lines_rule("name_empty", "head", CHOICE, b": 1", right=None)
lines_rule("fields_1100", "head", CHOICE, *(b"X-%04d: 1" % i for i in range(1100)), right=None)
lines_rule("line_of_70_kb", "head", CHOICE, b"X-A: " + b"y" * 70_000, right=None)
lines_rule("http_2", "head", CHOICE, version=b"HTTP/2", right=None)
lines_rule("status_words", "head", BROKEN, status=b"OK 200", right=None)
lines_rule("status_two_digits", "head", BROKEN, status=b"20 OK", right=None)
lines_rule("status_four_digits", "head", BROKEN, status=b"2000 OK", right=None)
lines_rule("status_999", "head", CHOICE, status=b"999 No", right=None)
lines_rule("status_101", "head", BROKEN, status=b"101 Switching", right=None)
lines_rule("not_http", "head", BROKEN, version=b"SSH-2.0-x", status=b"", right=None)
lines_rule("nothing", "head", BROKEN, right=None, cut=0)
lines_rule("cut_in_status_line", "head", BROKEN, right=None, cut=12)
lines_rule("cut_in_head", "head", BROKEN, b"X-A: 1", right=None, cut=40)


@rule("head", LENIENT)
def blank_line_folded_first(draft: Draft) -> None:
    draft.kind.insert(0, b"X-A: 1\r\n \r\n\t")


@rule("head", CHOICE)
def blank_before_first_field(draft: Draft) -> None:
    draft.kind.insert(0, b" X-A: 1")
    draft.right = None


STATUSES = [b"201 Created", b"203 Other", b"206 Part", b"300 Many", b"302 Found", b"404 Not Found", b"418 Teapot", b"500 Error"]


@rule("status", LEGAL)
def status_with_body(draft: Draft) -> None:
    draft.status = draft.chance.choice(STATUSES)


@rule("status", LEGAL)
def status_without_body(draft: Draft) -> None:
    draft.status, draft.sent, draft.right = draft.chance.choice([b"204 No Content", b"304 Not Modified"]), b"", b""


TYPES = [
    [], [b"Content-Type: text/html"], [b"content-type:TEXT/HTML;charset=\"utf-8\""], [b"Content-Type: text/plain"],
    [b"Content-Type: image/png", b"Content-Type: text/html"], [b"Content-Type: text/html,text/html;charset=gbk"],
    [b"Content-Type: html"], [b"Content-Type:"], [b"Content-Type: text/html; charset=utf-8;"], [b"Content-Type: */*"],
    [b"Content-Type: text/html; x=\",text/plain"], [b"Content-Type: application/octet-stream"], [b"Content-Type: \xff;=;"],
]  # fmt: skip


@rule("type", LENIENT)
def content_types(draft: Draft) -> None:
    draft.kind = list(draft.chance.choice(TYPES))


SLOTS = ("status", "coding", "framing", "head", "type")
"""In this order a response is made: codings before the framing, which counts their bytes."""
BY_SLOT = {slot: [one for one in RULES if one.slot == slot] for slot in SLOTS}


@dataclass(frozen=True)
class Generated:
    """A response: the rule in its foreground, its bytes, and its right body (None: no page)."""

    number: int
    rule: Rule
    behind: tuple[str, ...]
    wire: bytes
    right: bytes | None


def generated(number: int) -> Generated:
    """The response of a number, always the same one. Every rule is in the foreground of one in len(RULES)."""
    chance = random.Random(number)
    first = RULES[number % len(RULES)]
    text = " ".join(chance.choice(WORDS) for _ in range(chance.randrange(20, 300)))
    page = f"<!doctype html><title>Page {number}</title><p>{text}</p>\n".encode()
    draft = Draft(chance, page, sent=page, right=page)
    behind = []
    for slot in SLOTS:
        chosen = first if first.slot == slot else _behind(slot, first, chance)
        if chosen is None:
            continue
        keep = draft.right
        chosen.apply(draft)
        behind.append(chosen.name)
        if chosen is not first and keep is None:
            draft.right = None
    return Generated(number, first, tuple(behind), draft.wire(), draft.right)


def _behind(slot: str, first: Rule, chance: random.Random) -> Rule | None:
    """A legal rule for a slot that the rule in the foreground leaves free."""
    plain = {"framing": "length", "coding": None, "status": None, "head": None, "type": None}[slot]
    names = [one for one in BY_SLOT[slot] if one.sort == LEGAL and one.name != "status_without_body"]
    if first.sort in (BROKEN, CHOICE) and slot in ("coding", "status"):
        return None  # a broken length is to be seen on the page's own bytes
    if first.name == "status_without_body" and slot == "coding":
        return None
    if plain is None and chance.random() < 0.5:
        return None
    return chance.choice(names) if names else None
