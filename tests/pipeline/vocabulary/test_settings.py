from typing import Any

import pytest

from pipeline.vocabulary.settings import VocabularySettings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocab_size": 256}, "--vocab-size 256: must be from 257"),
        ({"vocab_size": 70_000}, "--vocab-size 70000"),
        ({"tokenizer": "gpt2"}, "--tokenizer gpt2 needs --tokenizer-path"),
        ({"tokenizer_path": "x"}, "--tokenizer-path x: needs --tokenizer gpt2 or given"),
        ({"max_token_length": 1}, "--max-token-length 1: must be at least 2"),
        ({"sample_bytes": 0}, "--sample-bytes 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VocabularySettings(**settings)
