"""The documents of a long-lived corpus' months, and what its files hold: recomputed with none of the code under test."""

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from deduplication import document

from pipeline.records import Document
from pipeline.urls import dedup_key
from tokenizer.shards import Manifest as Dataset
from trainer.data import Batches, MicroBatch

WORDS = [
    "time",
    "year",
    "people",
    "way",
    "day",
    "man",
    "thing",
    "woman",
    "life",
    "child",
    "world",
    "school",
    "state",
    "family",
    "student",
    "group",
    "country",
    "problem",
    "hand",
    "part",
]


def text(number: int) -> str:
    """One of several texts; every third is a near copy of the one before it."""
    source = random.Random(number - number % 3 // 2)
    words = [source.choice(WORDS) for _ in range(60)]
    return " ".join(words) + (" indeed" if number % 3 == 2 else "")


def address(number: int) -> str:
    return f"http://site{number % 4}.example.com/{number}"


def page(number: int) -> Document:
    return replace(document(text(number), address(number), day=number), dedup_key=dedup_key(address(number)))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def own_hash(path: Path) -> str:
    """The hash that a manifest must have of itself, computed from its JSON alone."""
    body = json.loads(path.read_bytes())
    del body["sha256"]
    return hashlib.sha256((json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()).hexdigest()


def is_whole(folder: Path) -> bool:
    """Whether a stage's files, and those manifests that it follows from, are what was recorded. The vocabulary's own are left out."""
    manifest = folder / "manifest.json"
    if not manifest.exists():
        return False
    body: dict[str, Any] = json.loads(manifest.read_bytes())
    if body["stage"] == "vocabulary":
        return True
    for entry in body["inputs"].values():
        place = (folder / entry["path"]).resolve()
        if not (place / "manifest.json").exists() or own_hash(place / "manifest.json") != entry["sha256"] or not is_whole(place):
            return False
    return True


def files_match(folder: Path) -> bool:
    body = json.loads((folder / "manifest.json").read_bytes())
    return all((folder / f["name"]).exists() and sha256(folder / f["name"]) == f["sha256"] for f in body["files"])


def ids_of(folder: Path) -> list[str]:
    dataset = Dataset.load(folder)
    return [bytes(key).hex() for split in dataset.splits for shard in dataset.open(split) for key, _ in shard.documents()]


def watch(patch: pytest.MonkeyPatch) -> dict[int, list[tuple[int, list[int]]]]:
    """The windows that the trainer reads for each step from now on: position in the stream, and tokens."""
    read: dict[int, list[tuple[int, list[int]]]] = {}
    micro_batches = Batches.micro_batches

    def noted(self: Batches, step: int, **share: Any) -> list[MicroBatch]:
        found = micro_batches(self, step, **share)
        inputs = [row.tolist() for batch in found for row in batch.inputs]
        read[step] = list(zip(self.starts(step).tolist(), inputs, strict=True))
        return found

    patch.setattr(Batches, "micro_batches", noted)
    return read
