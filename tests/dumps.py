"""Reddit dumps made for tests: rows of submissions with links to a few hosts."""

import json
from pathlib import Path
from random import Random
from typing import Any


def row(number: int, url: str, **fields: Any) -> dict[str, Any]:
    """A submission as dumps write it."""
    defaults = {
        "id": f"p{number}",
        "subreddit": "news",
        "score": 5,
        "created_utc": 1_400_000_000 + number,
        "url": url,
        "is_self": False,
    }
    return defaults | fields


def write_dump(path: Path, rows: list[dict[str, Any]]) -> str:
    """Write rows as a plain dump; its path."""
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(path)


def many_rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Random submissions: several per page, a third self posts, karma 0 to 11."""
    random = Random(seed)
    rows = []
    for number in range(count):
        scheme, prefix = random.choice(["http", "https"]), random.choice(["", "www.", "m."])
        url = f"{scheme}://{prefix}host{random.randrange(90)}.com/{random.randrange(200)}"
        rows.append(row(seed * 10_000 + number, url, score=random.randrange(12), is_self=random.random() < 0.3))
    return rows
