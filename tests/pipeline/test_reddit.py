import bz2
import gzip
import json
import lzma
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from pipeline.reddit import LineFault, Post, RejectedLine, parse_line, parse_lines, read_submissions, whole_number
from pipeline.storage.lines import LONGEST_LINE_BYTES, zstd
from tokenizer.errors import InputError

ROW = {
    "id": "abc",
    "subreddit": "news",
    "score": 5,
    "created_utc": 1_400_000_000,
    "url": "http://example.com/a",
    "is_self": False,
}
PLAIN = Post("abc", "news", 5, 1_400_000_000, "http://example.com/a", is_self=False, over_18=False, quarantine=False)


def line_of(**changes: object) -> bytes:
    return json.dumps({k: v for k, v in (ROW | changes).items() if v is not ...}).encode()


VARIANTS = [
    (line_of(), PLAIN),
    (line_of(created_utc="1400000000"), PLAIN),
    (line_of(created_utc=1_400_000_000.0), PLAIN),
    (line_of(score="5"), PLAIN),
    (line_of(score=5.0), PLAIN),
    (line_of(score=...), replace(PLAIN, score=None)),
    (line_of(score=None), replace(PLAIN, score=None)),
    (line_of(score="many"), replace(PLAIN, score=None)),
    (line_of(score=True), replace(PLAIN, score=None)),
    (line_of(score=10**30), replace(PLAIN, score=None)),
    (line_of(score=1 << 40), replace(PLAIN, score=None)),
    (line_of(score=-(1 << 40) + 1), replace(PLAIN, score=-(1 << 40) + 1)),
    (line_of(created_utc=...), replace(PLAIN, created_at=None)),
    (line_of(created_utc=1 << 62), replace(PLAIN, created_at=None)),
    (line_of(created_utc=-(1 << 62)), replace(PLAIN, created_at=None)),
    (line_of(created_utc=253_402_300_800), replace(PLAIN, created_at=None)),
    (line_of(created_utc=253_402_300_799), replace(PLAIN, created_at=253_402_300_799)),
    (line_of(url=""), replace(PLAIN, url="")),
    (line_of(url=None), replace(PLAIN, url="")),
    (line_of(url=...), replace(PLAIN, url="")),
    (line_of(url_overridden_by_dest="http://example.com/b"), replace(PLAIN, url="http://example.com/b")),
    (line_of(crosspost_parent_list=[]), PLAIN),
    (line_of(crosspost_parent_list=None), PLAIN),
    (line_of(url="/r/b/1", crosspost_parent_list=[{"url": "http://example.com/p"}]), replace(PLAIN, url="http://example.com/p")),
    (line_of(crosspost_parent_list=[{"is_self": True, "url": "/r/x"}]), replace(PLAIN, url="/r/x", is_self=True)),
    (line_of(id=..., name="t3_abc"), PLAIN),
    (line_of(author="[deleted]"), PLAIN),
    (line_of(over_18=True, quarantine=True), replace(PLAIN, over_18=True, quarantine=True)),
    (line_of(subreddit=None), replace(PLAIN, subreddit="")),
    (line_of().replace(b"/", b"\\/"), PLAIN),
    (line_of() + b"\r", PLAIN),
    (b"\xef\xbb\xbf" + line_of(), PLAIN),
    (line_of(title="\ud800"), PLAIN),
    (line_of(url="http://example.com/\ud800"), replace(PLAIN, url="http://example.com/\ufffd")),
    (line_of(title="x").replace(b'"x"', b'"\xff\xfe"'), PLAIN),
    (line_of(title="x").replace(b'"x"', b"NaN"), PLAIN),
]
ESCAPED = [
    ("http://a.example/?b=1&amp;c=2", "http://a.example/?b=1&c=2"),
    ("http://a.example/?b=1&c=2", "http://a.example/?b=1&c=2"),
    ("http://a.example/?b=1&amp;amp;c=2", "http://a.example/?b=1&amp;c=2"),
    ("http://a.example/?b=&amp;lt;i&amp;gt;", "http://a.example/?b=&lt;i&gt;"),
    ("http://a.example/?b=&lt;i&gt;", "http://a.example/?b=<i>"),
    ("http://a.example/?b=1&amp;copy=2&amp;reg;", "http://a.example/?b=1&copy=2&reg;"),
    ("http://a.example/?b=1&copy=2&reg=3", "http://a.example/?b=1&copy=2&reg=3"),
    ("http://a.example/?b=&quot;c&quot;&#39;&#x27;", "http://a.example/?b=&quot;c&quot;&#39;&#x27;"),
    ("http://a.example/?b=1&AMP;c=2", "http://a.example/?b=1&AMP;c=2"),
    ("http://a.example/?b=1&ltd=2&ampere=3", "http://a.example/?b=1&ltd=2&ampere=3"),
    ("http://a.example/R&amp;D/é&amp;é", "http://a.example/R&D/é&é"),
    ("http://a.example/b#c&amp;d", "http://a.example/b#c&d"),
]
FAULTS = [
    (b"", LineFault.BLANK_LINE),
    (b" \r", LineFault.BLANK_LINE),
    (b"{", LineFault.NOT_JSON),
    (b"<html>", LineFault.NOT_JSON),
    (line_of()[:-9], LineFault.NOT_JSON),
    (line_of(score=0).replace(b": 0", b": " + b"9" * 4400), LineFault.NOT_JSON),
    (b"[" * 200_000, LineFault.NOT_JSON),
    (b'{"a":' * 100_000, LineFault.NOT_JSON),
    (b"[]", LineFault.NOT_A_SUBMISSION),
    (b"7", LineFault.NOT_A_SUBMISSION),
    (b"{}", LineFault.NOT_A_SUBMISSION),
    (line_of(id=7), LineFault.NOT_A_SUBMISSION),
    (5_000_000, LineFault.LINE_TOO_LONG),
]


@pytest.mark.parametrize(("line", "expected"), VARIANTS)
def test_field_variants_give_one_submission(line: bytes, expected: Post) -> None:
    assert parse_line(line, 1) == expected


@pytest.mark.parametrize(("written", "posted"), ESCAPED)
@pytest.mark.parametrize("field", ["url", "url_overridden_by_dest", "crosspost_url", "crosspost_dest", "lenient"])
def test_urls_of_dumps_are_unescaped_once(written: str, posted: str, field: str) -> None:
    fields: dict[str, object] = {
        "url": {"url": written},
        "url_overridden_by_dest": {"url_overridden_by_dest": written},
        "crosspost_url": {"crosspost_parent_list": [{"url": written}]},
        "crosspost_dest": {"crosspost_parent_list": [{"url_overridden_by_dest": written}]},
        "lenient": {"url": written, "title": "\ud800"},
    }[field]
    assert parse_line(line_of(**fields), 1) == replace(PLAIN, url=posted)
    assert parse_line(line_of(**fields), 1, escaped=False) == replace(PLAIN, url=written)


@pytest.mark.parametrize(("line", "reason"), FAULTS)
def test_a_line_that_is_no_submission_is_rejected_with_a_reason(line: bytes | int, reason: LineFault) -> None:
    rejected = parse_line(line, 3)
    assert isinstance(rejected, RejectedLine)
    assert (rejected.line, rejected.reason) == (3, reason)
    assert len(rejected.detail) <= 200


def test_whole_numbers_are_read_from_text_or_refused() -> None:
    assert [whole_number(v) for v in ("1e3", " 7", "-2", "inf", "9" * 30, [], 2**63)] == [1000, 7, -2, None, None, None, None]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress, zstd.compress])
def test_compression_is_recognised_by_content(tmp_path: Path, compress) -> None:
    path = tmp_path / "dump.of_some_name"
    path.write_bytes(compress(line_of() + b"\n" + line_of(id="second")))
    assert [post.id for post in read_submissions(str(path))] == ["abc", "second"]


def test_a_zstd_window_of_two_gibibytes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "RS.zst"
    options = {zstd.CompressionParameter.window_log: 31, zstd.CompressionParameter.enable_long_distance_matching: 1}
    with zstd.open(path, "wb", options=options) as file:
        file.write((line_of() + b"\n") * 3)
    assert len(list(read_submissions(str(path)))) == 3


def test_every_line_is_accepted_or_rejected_by_reason(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    long = line_of(title="x" * (LONGEST_LINE_BYTES + 7))
    longest = line_of(title="x" * (LONGEST_LINE_BYTES - len(line_of(title=""))))
    assert len(longest) == LONGEST_LINE_BYTES
    multibyte = line_of(title="é中" * 400_000).decode("unicode_escape", "surrogatepass").encode("utf-8", "surrogatepass")
    lines = [line_of(), b"", long, b"{", longest, b"[]", multibyte, line_of(), long, b"\xff", line_of()]
    path.write_bytes(b"\n".join(lines))
    parsed = list(parse_lines(str(path)))
    assert len(parsed) == len(lines)
    rejected = [p for p in parsed if isinstance(p, RejectedLine)]
    assert [r.line for r in rejected] == [2, 3, 4, 6, 9, 10]
    assert Counter(r.reason for r in rejected) == {
        LineFault.BLANK_LINE: 1,
        LineFault.LINE_TOO_LONG: 2,
        LineFault.NOT_JSON: 2,
        LineFault.NOT_A_SUBMISSION: 1,
    }


def test_a_rejected_line_raises_unless_a_callback_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(line_of() + b"\n{\n" + line_of() + b"\n")
    with pytest.raises(InputError, match=r"dump:2: not json"):
        list(read_submissions(str(path)))
    rejected: list[RejectedLine] = []
    assert len(list(read_submissions(str(path), rejected.append))) == 2
    assert [r.line for r in rejected] == [2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "dump: empty, 0 bytes; download it again"),
        (zstd.compress(b"")[:-1], "dump: cut short or damaged"),
        (gzip.compress(b"")[:-3], "dump: cut short or damaged"),
        (b"id,score\n1,2\n", r"dump:1: none of its 2 lines"),
        (b"\n" * 5000, r"dump:1: none of its 1000 lines"),
        (line_of().decode().encode("utf-16"), "dump:1: none of its"),
    ],
)
def test_a_file_that_is_no_dump_raises(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "dump"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(parse_lines(str(path)))


@pytest.mark.parametrize("compress", [zstd.compress, gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_file_of_no_lines_is_a_month_without_submissions(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "RS_2005-05.zst"
    path.write_bytes(compress(b""))
    assert list(parse_lines(str(path))) == list(read_submissions(str(path))) == []


def test_a_missing_dump_raises(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(parse_lines(str(tmp_path / "none")))


def damaged(data: bytes, random: Random) -> list[bytes]:
    """200 cuts and 200 single-bit flips."""
    cuts = [data[: random.randrange(len(data))] for _ in range(200)]
    flips = []
    for _ in range(200):
        flipped = bytearray(data)
        flipped[random.randrange(len(data))] ^= 1 << random.randrange(8)
        flips.append(bytes(flipped))
    return cuts + flips


def test_every_truncated_or_damaged_dump_raises(tmp_path: Path, shared_data: Path) -> None:
    lines = lzma.decompress((shared_data / "reddit" / "RS_v2_2005-07.xz").read_bytes())
    options = {zstd.CompressionParameter.checksum_flag: 1, zstd.CompressionParameter.window_log: 31}
    path = tmp_path / "RS.zst"
    reported = 0
    variants = damaged(zstd.compress(lines, options=options), Random(1))
    for variant in variants:
        path.write_bytes(variant)
        with pytest.raises(InputError, match=r"RS\.zst"):
            list(parse_lines(str(path)))
        reported += 1
    assert reported == len(variants) == 400


def test_no_line_of_real_dumps_is_lost(shared_data: Path) -> None:
    counts = {}
    for name in ("RS_2024-01_sample31.jsonl", "RS_v2_2005-07.xz", "api_submissions.jsonl.xz"):
        parsed = list(parse_lines(str(shared_data / "reddit" / name)))
        complete = sum(isinstance(p, Post) and p.score is not None and p.created_at is not None for p in parsed)
        counts[name] = (len(parsed), complete)
    assert counts == {
        "RS_2024-01_sample31.jsonl": (31, 31),
        "RS_v2_2005-07.xz": (1079, 1079),
        "api_submissions.jsonl.xz": (4275, 4275),
    }
