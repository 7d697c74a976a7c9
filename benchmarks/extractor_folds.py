"""The folds of the default extractor's training: pages of one domain are in one fold."""

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FOLDS = 5


def fold_of(row: dict[str, Any]) -> int:
    """Return the fold of a page by its row of the index."""
    domain = row["domain"] or urlsplit(row["url"] or "").hostname or row["file"]
    return hashlib.sha256(f"fold {domain}".encode()).digest()[0] % FOLDS


def by_page(folder: Path) -> dict[str, int]:
    """Return the fold of each page of a folder."""
    return {row["file"]: fold_of(row) for row in map(json.loads, (folder / "index.jsonl").open())}
