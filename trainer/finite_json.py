"""JSON that every reader accepts: numbers that are not finite become null. JSON has no NaN and no infinity."""

import json
import math
from typing import Any


def dumps(value: Any, **options: Any) -> str:
    """`json.dumps(value, **options)` with null for NaN and infinity.

    >>> dumps({"loss": float("nan"), "curve": [1.5, float("inf")]})
    '{"loss": null, "curve": [1.5, null]}'
    """
    return json.dumps(_finite(value), allow_nan=False, **options)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
