import subprocess
import sys

import datasketch
import numpy as np
import pyarrow as pa
import pytest
from datasketch.lsh import _optimal_param
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup import lsh_parameters, minhash, words
from pipeline.dedup.settings import DedupSettings

TEXTS = [
    "To be, or not to be: that is the question",
    "Naïve – “curly” café soft\u00adhyphen ＡＢＣ ①",
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "كل إنسان حر في الاختيار ، وهو مسؤول عما يفعل",
    "שלום לכל העולם, זה טקסט מימין לשמאל",
    "สวัสดีชาวโลก ภาษาไทย",
    "one two three four",
    "...",
    "",
]


def sketch(text: str, permutations: int = minhash.PERMUTATIONS, shingle: int = 5, seed: int = 1) -> datasketch.MinHash:
    found = datasketch.MinHash(permutations, seed=seed, hashfunc=minhash.hash_shingle)
    found.update_batch(minhash.shingles(text, shingle))
    return found


@pytest.mark.parametrize(("permutations", "shingle", "seed"), [(112, 5, 1), (128, 3, 7), (16, 1, 2)])
def test_signatures_are_datasketchs_bit_for_bit(permutations: int, shingle: int, seed: int) -> None:
    ours = minhash.signatures(pa.array(TEXTS), permutations, shingle, seed)
    assert ours.dtype == np.uint32
    for text, signature in zip(TEXTS, ours, strict=True):
        assert (sketch(text, permutations, shingle, seed).hashvalues == signature).all()


def test_a_long_text_is_signed_across_blocks() -> None:
    text = " ".join(f"word{i % 3001}" for i in range(9000))
    assert (sketch(text).hashvalues == minhash.signatures(pa.array([text]))[0]).all()


def test_signatures_and_datasketch_find_each_other_in_its_index() -> None:
    (ours,) = minhash.signatures(pa.array(TEXTS[:1]), 128)
    wrapped = datasketch.MinHash(hashvalues=ours, scheme="affine32", hashfunc=minhash.hash_shingle)
    index = datasketch.MinHashLSH(threshold=0.8, num_perm=128)
    index.insert("ours", wrapped)
    index.insert("theirs", sketch(TEXTS[1], 128))
    assert index.query(sketch(TEXTS[0].upper(), 128)) == ["ours"]
    (other,) = minhash.signatures(pa.array(TEXTS[1:2]), 128)
    assert index.query(datasketch.MinHash(hashvalues=other, scheme="affine32")) == ["theirs"]


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.one_of(st.none(), st.text()), max_size=6), st.integers(1, 6))
def test_the_compiled_pass_agrees_with_the_reference(texts: list[str | None], shingle: int) -> None:
    hashed = minhash.hash_shingles(pa.array(texts, pa.string()), shingle)
    for i, text in enumerate(texts):
        expected = [minhash.hash_shingle(s) for s in minhash.shingles(text or "", shingle)]
        found = hashed.hashes[hashed.starts[i] : hashed.starts[i + 1]] & np.uint64(0xFFFFFFFF)
        assert found.tolist() == expected
        assert hashed.units[i] == len(words.words(text or ""))


@pytest.mark.parametrize("part", [*map(chr, range(128)), "é", "ı", "\u0301", "\u00ad", "中", "，", "𝒜"])
def test_words_among_64_bytes_and_near_a_texts_end_are_the_same(part: str) -> None:
    """A long text is folded 64 bytes at a time, a single word is not."""
    texts = [f"{'Ab ' * (before // 3)}{'c' * (before % 3)}{part}D_9 {'e f' * 30}" for before in range(70)]
    hashed = minhash.hash_shingles(pa.array(texts), 1)
    for i, text in enumerate(texts):
        expected = minhash.hash_shingles(pa.array(words.words(text)), 1).hashes
        assert np.array_equal(hashed.hashes[hashed.starts[i] : hashed.starts[i + 1]], expected)


def test_bytes_that_are_no_utf8_leave_their_neighbours_as_they_are() -> None:
    """Arrow does not look into the strings of a file that it reads."""
    valid = b"To be, or not to be: that is the question"
    broken = [b"\xf0", b"\xf7\xbf\xbf\xbf" * 9, b"caf\xc3", b"\x80" * 70, b"a\xe3" + b" b" * 40, b"\xff" * 64]
    texts = [part for text in broken for part in (valid, text)] + [valid]
    offsets = pa.py_buffer(np.cumsum([0, *map(len, texts)]))
    array = pa.LargeStringArray.from_buffers(len(texts), offsets, pa.py_buffer(b"".join(texts)))
    alone = minhash.hash_shingles(pa.array([valid.decode()])).hashes
    hashed = minhash.hash_shingles(array)
    for i in range(0, len(texts), 2):
        assert np.array_equal(hashed.hashes[hashed.starts[i] : hashed.starts[i + 1]], alone)
    code, _ = minhash.decode(np.frombuffer(b"\xff\xff\xff\xff", np.uint8), np.uint64(0), np.uint64(4))
    assert code < len(words.table()), "four bytes spell more than there are code points"


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_slices_and_nulls_of_any_string_array_are_read_in_place(kind: pa.DataType) -> None:
    texts = pa.array(["skipped", *TEXTS, None, "skipped too"], kind)
    whole = minhash.signatures(pa.array([*TEXTS, ""]))
    assert (minhash.signatures(texts.slice(1, len(TEXTS) + 1)) == whole).all()
    assert minhash.signatures(pa.array([], kind)).shape == (0, minhash.PERMUTATIONS)


def test_normalisation_sees_through_case_width_accents_and_format_marks() -> None:
    same = [
        "The naïve café – no. 12",
        "THE NAI\u0308VE cafe\u0301: no 12",
        "ｔｈｅ naive\u200b “café”—no ¹²",
        "the na\u00adïve CAFÉ, no 12",
    ]
    keys = minhash.hash_shingles(pa.array(same)).texts
    assert (keys == keys[0]).all()
    other = minhash.hash_shingles(pa.array(["the naive cafe no 21", "naive the cafe no 12", "thenaive cafe no 12"])).texts
    assert not (other == keys[0]).all(axis=1).any()


def test_texts_without_spaces_have_shingles() -> None:
    counts = minhash.hash_shingles(pa.array(["吾輩は猫である", "สวัสดี", "hello"])).counts()
    assert counts.tolist() == [3, 2, 0]


def test_character_shingles_run_over_folded_text_with_single_spaces() -> None:
    hashed = minhash.hash_shingles(pa.array(["  Ab,\n cd ", "ab cd", "abcd"]), 3, characters=True)
    first, second, third = (hashed.hashes[hashed.starts[i] : hashed.starts[i + 1]].tolist() for i in range(3))
    assert first == second
    assert len(first) == 3
    assert not set(first) & set(third)


def test_packed_hashes_keep_48_bits() -> None:
    hashes = np.array([0, 1, 2**48 - 1, 2**64 - 1], np.uint64)
    packed = minhash.pack(hashes)
    assert packed.nbytes == 4 * minhash.SHINGLE_BYTES
    back = np.zeros(5, np.uint64)
    minhash.unpack(packed, np.array([2, 0]), np.array([2, 2]), back, np.array([0, 3]))
    assert (back[[3, 4, 0, 1]] == hashes % np.uint64(2**48)).all()


def test_band_keys_are_equal_where_the_bands_rows_are() -> None:
    signed = np.arange(32, dtype=np.uint32).reshape(2, 16)
    signed[1, :8] = signed[0, :8]
    keys = minhash.band_keys(signed, 2, 8)
    assert keys[0, 0] == keys[1, 0]
    assert len(np.unique(keys)) == 3
    assert len(np.unique(minhash.band_keys(np.zeros((1, 16), np.uint32), 2, 8))) == 2


def test_bands_follow_the_recall_asked_for() -> None:
    bands = lsh_parameters.bands_for_recall(0.96, 0.8, 8)
    assert lsh_parameters.candidate_probability(0.8, bands, 8) >= 0.96 > lsh_parameters.candidate_probability(0.8, bands - 1, 8)
    assert lsh_parameters.candidate_probability(0.8, 14, 8) == pytest.approx(0.924, abs=0.001)
    assert DedupSettings().cutting == (bands, 8) == (18, 8)
    assert bands * 8 == minhash.PERMUTATIONS
    assert DedupSettings(bands=14).cutting == (14, 8)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_low_thresholds_take_fewer_rows(threshold: float) -> None:
    bands, rows = lsh_parameters.cutting_for_recall(0.96, threshold, 8)
    assert bands * rows <= lsh_parameters.MOST_PERMUTATIONS
    assert lsh_parameters.candidate_probability(min(threshold + 0.1, (threshold + 1) / 2), bands, rows) >= 0.96


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9])
@pytest.mark.parametrize("permutations", [16, 112, 128])
def test_bands_for_a_threshold_are_datasketchs(threshold: float, permutations: int) -> None:
    assert lsh_parameters.optimal_bands(threshold, permutations) == _optimal_param(threshold, permutations, 0.5, 0.5)


def test_signatures_do_not_depend_on_the_process() -> None:
    code = "import pyarrow, sys; from pipeline import minhash; print(minhash.signatures(pyarrow.array(sys.argv[1:])).sum())"
    found = subprocess.run([sys.executable, "-c", code, *TEXTS], capture_output=True, text=True, check=True, timeout=120)
    assert int(found.stdout) == int(minhash.signatures(pa.array(TEXTS)).sum())
