from typing import Any

import pytest

from pipeline.dedup.settings import DedupSettings


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"threshold": 1.5}, "threshold 1.5"),
        ({"bands": -1}, "bands -1"),
        ({"shingle": "5"}, "words:N or chars:N"),
        ({"shingle": "chars:0"}, "chars:0"),
        ({"recall": 1.0}, "recall 1.0"),
        ({"substring": -1}, "substring -1"),
    ],
)
def test_a_setting_out_of_range_is_named(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DedupSettings(**flags)
