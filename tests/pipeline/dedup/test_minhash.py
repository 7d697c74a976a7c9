import subprocess
import sys

import datasketch
import numpy as np
import pyarrow as pa
import pytest

from pipeline.dedup import minhash
from pipeline.dedup.shingles import hash_shingle, shingles

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


def datasketch_of(text: str, permutations: int = minhash.PERMUTATIONS, shingle: int = 5, seed: int = 1) -> datasketch.MinHash:
    sketch = datasketch.MinHash(permutations, seed=seed, hashfunc=hash_shingle)
    sketch.update_batch(shingles(text, shingle))
    return sketch


@pytest.mark.parametrize(("permutations", "shingle", "seed"), [(112, 5, 1), (128, 3, 7), (16, 1, 2)])
def test_signatures_equal_datasketch_bit_for_bit(permutations: int, shingle: int, seed: int) -> None:
    ours = minhash.signatures(pa.array(TEXTS), permutations, shingle, seed)
    assert ours.dtype == np.uint32
    for text, signature in zip(TEXTS, ours, strict=True):
        assert (datasketch_of(text, permutations, shingle, seed).hashvalues == signature).all()


def test_a_text_longer_than_a_block_is_signed_whole() -> None:
    text = " ".join(f"word{i % 3001}" for i in range(9000))
    assert (datasketch_of(text).hashvalues == minhash.signatures(pa.array([text]))[0]).all()


def test_signatures_and_datasketch_find_each_other_in_a_datasketch_index() -> None:
    (ours,) = minhash.signatures(pa.array(TEXTS[:1]), 128)
    wrapped = datasketch.MinHash(hashvalues=ours, scheme="affine32", hashfunc=hash_shingle)
    index = datasketch.MinHashLSH(threshold=0.8, num_perm=128)
    index.insert("ours", wrapped)
    index.insert("theirs", datasketch_of(TEXTS[1], 128))
    assert index.query(datasketch_of(TEXTS[0].upper(), 128)) == ["ours"]
    (other,) = minhash.signatures(pa.array(TEXTS[1:2]), 128)
    assert index.query(datasketch.MinHash(hashvalues=other, scheme="affine32")) == ["theirs"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_slices_and_nulls_of_any_string_type_are_read(kind: pa.DataType) -> None:
    texts = pa.array(["skipped", *TEXTS, None, "skipped too"], kind)
    whole = minhash.signatures(pa.array([*TEXTS, ""]))
    assert (minhash.signatures(texts.slice(1, len(TEXTS) + 1)) == whole).all()
    assert minhash.signatures(pa.array([], kind)).shape == (0, minhash.PERMUTATIONS)


def test_band_keys_are_equal_where_all_rows_of_the_band_are() -> None:
    signed = np.arange(32, dtype=np.uint32).reshape(2, 16)
    signed[1, :8] = signed[0, :8]
    keys = minhash.band_keys(signed, 2, 8)
    assert keys[0, 0] == keys[1, 0]
    assert len(np.unique(keys)) == 3
    assert len(np.unique(minhash.band_keys(np.zeros((1, 16), np.uint32), 2, 8))) == 2


def test_signatures_do_not_depend_on_the_process() -> None:
    code = "import pyarrow, sys; from pipeline import minhash; print(minhash.signatures(pyarrow.array(sys.argv[1:])).sum())"
    result = subprocess.run([sys.executable, "-c", code, *TEXTS], capture_output=True, text=True, check=True, timeout=120)
    assert int(result.stdout) == int(minhash.signatures(pa.array(TEXTS)).sum())
