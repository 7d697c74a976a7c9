"""Manifests that a test has changed, made to follow from each other again."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.corpus.folder import stage_folders

Change = Callable[[dict[str, Any]], None]


def change(folder: Path, how: Change) -> None:
    """Change a manifest; its own hash is right afterwards."""
    path = folder / "manifest.json"
    body = json.loads(path.read_bytes())
    how(body)
    body.pop("sha256", None)
    text = json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    body["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def follow(corpus: Path) -> None:
    """Let each stage of a corpus name the present hashes of the stages before it."""

    def renew(body: dict[str, Any]) -> None:
        for entry in body["inputs"].values():
            before = corpus / Path(entry["path"]).name / "manifest.json"
            if "/" in entry["path"] and before.exists():
                entry["sha256"] = json.loads(before.read_bytes())["sha256"]

    for folder in stage_folders(str(corpus)).values():
        if Path(folder, "manifest.json").exists():
            change(Path(folder), renew)
