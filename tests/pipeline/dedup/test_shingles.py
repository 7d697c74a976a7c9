import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup import words
from pipeline.dedup.folding import decode
from pipeline.dedup.shingles import PACKED_BYTES, hash_shingle, hash_shingles, pack, shingles, unpack


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.one_of(st.none(), st.text()), max_size=6), st.integers(1, 6))
def test_compiled_shingles_equal_the_reference(texts: list[str | None], shingle: int) -> None:
    hashed = hash_shingles(pa.array(texts, pa.string()), shingle)
    for i, text in enumerate(texts):
        expected = [hash_shingle(s) for s in shingles(text or "", shingle)]
        low_bits = hashed.hashes[hashed.starts[i] : hashed.starts[i + 1]] & np.uint64(0xFFFFFFFF)
        assert low_bits.tolist() == expected
        assert hashed.units[i] == len(words.words(text or ""))


@pytest.mark.parametrize("part", [*map(chr, range(128)), "é", "ı", "\u0301", "\u00ad", "中", "，", "𝒜"])
def test_words_fold_equally_inside_64_bytes_and_near_the_end_of_a_text(part: str) -> None:
    """A long text is folded 64 bytes at a time, a single word is not."""
    texts = [f"{'Ab ' * (before // 3)}{'c' * (before % 3)}{part}D_9 {'e f' * 30}" for before in range(70)]
    hashed = hash_shingles(pa.array(texts), 1)
    for i, text in enumerate(texts):
        expected = hash_shingles(pa.array(words.words(text)), 1).hashes
        assert np.array_equal(hashed.hashes[hashed.starts[i] : hashed.starts[i + 1]], expected)


def test_invalid_utf8_does_not_affect_other_texts() -> None:
    """Arrow does not look into the strings of a file that it reads."""
    valid = b"To be, or not to be: that is the question"
    broken = [b"\xf0", b"\xf7\xbf\xbf\xbf" * 9, b"caf\xc3", b"\x80" * 70, b"a\xe3" + b" b" * 40, b"\xff" * 64]
    texts = [part for text in broken for part in (valid, text)] + [valid]
    offsets = pa.py_buffer(np.cumsum([0, *map(len, texts)]))
    array = pa.LargeStringArray.from_buffers(len(texts), offsets, pa.py_buffer(b"".join(texts)))
    alone = hash_shingles(pa.array([valid.decode()])).hashes
    hashed = hash_shingles(array)
    for i in range(0, len(texts), 2):
        assert np.array_equal(hashed.hashes[hashed.starts[i] : hashed.starts[i + 1]], alone)
    code, _ = decode(np.frombuffer(b"\xff\xff\xff\xff", np.uint8), np.uint64(0), np.uint64(4))
    assert code < len(words.table()), "four bytes spell more than there are code points"


def test_case_width_accents_and_format_marks_are_ignored() -> None:
    same = [
        "The naïve café – no. 12",
        "THE NAI\u0308VE cafe\u0301: no 12",
        "ｔｈｅ naive\u200b “café”—no ¹²",
        "the na\u00adïve CAFÉ, no 12",
    ]
    keys = hash_shingles(pa.array(same)).texts
    assert (keys == keys[0]).all()
    other = hash_shingles(pa.array(["the naive cafe no 21", "naive the cafe no 12", "thenaive cafe no 12"])).texts
    assert not (other == keys[0]).all(axis=1).any()


def test_texts_without_spaces_have_shingles() -> None:
    counts = hash_shingles(pa.array(["吾輩は猫である", "สวัสดี", "hello"])).counts()
    assert counts.tolist() == [3, 2, 0]


def test_character_shingles_run_over_folded_text_with_single_spaces() -> None:
    hashed = hash_shingles(pa.array(["  Ab,\n cd ", "ab cd", "abcd"]), 3, characters=True)
    first, second, third = (hashed.hashes[hashed.starts[i] : hashed.starts[i + 1]].tolist() for i in range(3))
    assert first == second
    assert len(first) == 3
    assert not set(first) & set(third)


def test_packed_hashes_keep_48_bits() -> None:
    hashes = np.array([0, 1, 2**48 - 1, 2**64 - 1], np.uint64)
    packed = pack(hashes)
    assert packed.nbytes == 4 * PACKED_BYTES
    back = np.zeros(5, np.uint64)
    unpack(packed, np.array([2, 0]), np.array([2, 2]), back, np.array([0, 3]))
    assert (back[[3, 4, 0, 1]] == hashes % np.uint64(2**48)).all()
