from typing import Any

import pytest

from pipeline.links.settings import LinksSettings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"karma": "mean"}, "--karma mean"),
        ({"created_before": "yesterday"}, "--created-before yesterday: not a day"),
        ({"subreddits": ("../x",)}, "--subreddits ../x"),
        ({"listings": ("newest",)}, "--listings newest: give some of new top hot rising"),
    ],
)
def test_an_invalid_setting_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LinksSettings(**changes)
