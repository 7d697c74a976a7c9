import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.overlap.evaluation_files import read_examples
from pipeline.overlap.ngrams import words
from pipeline.overlap.settings import OverlapSettings
from tokenizer.errors import InputError

compressed = partial(gzip.compress, mtime=0)
"""Equal in every process: the names of tests hold the bytes."""


def test_published_files_are_read(shared_data: Path) -> None:
    folder = shared_data / "evals"
    counts = {
        name: sum(1 for _ in read_examples(str(folder / name)))
        for name in ("lambada_openai_test.part1.jsonl", "NQ-open.dev.part1.jsonl")
    }
    assert counts == {"lambada_openai_test.part1.jsonl": 2600, "NQ-open.dev.part1.jsonl": 1805}
    (schemas,) = read_examples(str(folder / "WSCollection285.xml"))
    assert words(schemas)[:5] == ["the", "city", "councilmen", "refused", "the"]


RECORDS = [{"text": "the keeper of the lamp", "n": 1}, {"question": "who sleeps?", "answers": ["nobody", {"text": "the sea"}]}]
EXAMPLES = ["the keeper of the lamp", "who sleeps?\nnobody\nthe sea"]
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS).encode()


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return file.getvalue()


def packed_tar(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def parquet() -> bytes:
    file = io.BytesIO()
    columns = {
        "text": ["the keeper of the lamp", None],
        "question": [None, "who sleeps?"],
        "answers": [[], ["nobody", "the sea"]],
    }
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


FILES = {
    "s.jsonl": LINES, "s.ndjson": LINES, "s.jsonl.gz": compressed(LINES), "s.jsonl.zst": zstandard.compress(LINES),
    "s.jsonl.xz": lzma.compress(LINES), "s.jsonl.bz2": bz2.compress(LINES), "s.JSONL.GZ": compressed(LINES),
    "s.gz": compressed(LINES),
    "s": LINES, "s.dat": compressed(LINES), "s.json": json.dumps(RECORDS).encode(), "lines.json": LINES, "s.parquet": parquet(),
    "s.zip": zipped(a__jsonl=LINES),
    "s.jsonl.zip": zipped(a__jsonl=LINES[:LINES.index(b"\n")],
                          b__jsonl__gz=compressed(LINES.split(b"\n")[1])),
    "s.tar": packed_tar("a.jsonl", LINES), "s.tar.gz": compressed(packed_tar("a.jsonl", LINES)),
    "s.tgz": compressed(packed_tar("a.jsonl", LINES)),
    "marked.jsonl": b"\xef\xbb\xbf" + LINES, "wide.jsonl": LINES.decode().encode("utf-16"), "windows.jsonl": LINES.replace(b"\n", b"\r\n"),
    "frames.jsonl.zst": zstandard.compress(LINES[:30]) + zstandard.compress(LINES[30:]),
    "members.jsonl.gz": compressed(LINES[:30]) + compressed(LINES[30:]), "twice.jsonl.gz.xz": lzma.compress(compressed(LINES)),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_set_is_read_in_whatever_it_is_packed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    assert list(read_examples(str(tmp_path / name))) == EXAMPLES


def test_tables_and_marked_up_texts_are_read(tmp_path: Path) -> None:
    for name, data, examples in (
        ("s.csv", b'a,"b, c"\n"d\ne",f\n', ["a\nb, c", "d\ne\nf"]),
        ("s.tsv.gz", compressed(b"a\tb\n"), ["a\nb"]),
        ("s.sgm.xz", lzma.compress(b"<doc>a<p>b"), [" a b"]),
        ("latin.txt", b"Stra\xdfe", ["Straße"]),
        ("s.txt.zst", zstandard.compress(b"plain text\n"), ["plain text\n"]),
    ):
        (tmp_path / name).write_bytes(data)
        assert list(read_examples(str(tmp_path / name))) == examples


@pytest.mark.parametrize(("name", "data", "message"), [
    ("s.jsonl.gz", compressed(LINES)[:-12], r"s\.jsonl\.gz: cannot be read"),
    ("s.jsonl.zst", zstandard.compress(LINES * 50)[:60], "cannot be read"),
    ("s.jsonl.xz", lzma.compress(LINES)[:-9], "cannot be read"),
    ("s.parquet", parquet()[:-20], "cannot be read"),
    ("s.zip", zipped(a__jsonl=LINES)[:-30], "cannot be read"),
    ("s.jsonl", LINES + b"{", "line 3: not JSON"),
    ("s.zip", zipped(a__jsonl=b"{"), r"s\.zip, a\.jsonl, line 1: not JSON"),
    ("s.json", b"[1,", "line 1: not JSON"),
    ("s.arrow", b"ARROW1\x00\x00", r"neither text nor a kind of file that is read here \(byte 6\)"),
    ("s.bin", bytes(range(256)), "neither text nor a kind of file"),
    ("s.7z", b"7z\xbc\xaf\x27\x1c", "neither text nor a kind of file"),
    ("s.npy", b"\x93NUMPY\x01\x00", "neither text"),
    ("s.pkl", b"\x80\x04\x95", "neither text"),
])  # fmt: skip
def test_what_is_no_text_is_refused(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        list(read_examples(str(tmp_path / name)))


def test_composed_and_decomposed_letters_overlap() -> None:
    assert words("Caf\u00e9 \u1112\u1161\u11ab") == words("Cafe\u0301 \ud55c")


@pytest.mark.parametrize(("path", "name"), [
    ("a/ptb.txt", "ptb"), ("s.jsonl.gz", "s"), ("s.jsonl.zst", "s"), ("s.xz", "s"), ("s.zip", "s"), ("s.parquet", "s"), ("S.JSON.GZ", "S"),
    ("gs://b/wiki.v2.txt.bz2", "wiki.v2"), ("plain", "plain"), ("s.tar.gz", "s"),
])  # fmt: skip
def test_a_set_is_named_after_its_file(path: str, name: str) -> None:
    assert OverlapSettings((path,)).sets() == {name: path}
