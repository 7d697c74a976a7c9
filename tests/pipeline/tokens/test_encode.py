from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.tokens.encode import CheckedEncoder, compare_with_oracle, load_tokenizer
from tokenizer.bpe import train


def test_encoder_that_differs_from_the_oracle_raises() -> None:
    tokenizer = train({"ab": 9, "abc": 5}, 259)
    texts = pa.array(["abc"], pa.large_string())
    tokens, offsets = tokenizer.encode_arrow(texts)
    names = ["first"]
    assert compare_with_oracle(tokenizer, texts, tokens, offsets, names.__getitem__) == 1
    with pytest.raises(RuntimeError, match="document first: this encoder's ids differ"):
        compare_with_oracle(tokenizer, texts, tokens + np.uint16(1), offsets, names.__getitem__)


def test_first_batch_with_a_small_text_is_checked() -> None:
    encoder = CheckedEncoder(train({"ab": 9}, 258))
    encoder.encode(pa.array(["ab " * 9_000], pa.large_string()), str)
    assert not encoder.checked
    encoder.encode(pa.array(["ab"], pa.large_string()), str)
    assert encoder.checked


def test_tokenizer_is_loaded_from_a_file_or_a_folder_once(tmp_path: Path) -> None:
    train({"ab": 9}, 258).save(tmp_path)
    tokenizer = load_tokenizer(str(tmp_path))
    assert load_tokenizer(str(tmp_path / "tokenizer.json")) is tokenizer
    assert load_tokenizer(str(tmp_path / "merges.txt")).pairs == tokenizer.pairs
