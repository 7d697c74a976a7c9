"""Seals of a foreign folder: whoever changes a file can write every hash and size anew, so no hash protects its reader."""

import hashlib
import json
import stat
from pathlib import Path
from typing import Any

VIEWED = {"dedup": "documents", "overlap": "dedup"}
STAGES = ("links", "pages", "documents", "dedup", "vocabulary", "tokens", "overlap")
DEEP = "@deep@"
"""Stands for a value that Python's own writer cannot write: 100,000 arrays in each other."""
HUGE = "@huge@"
_TEXTS = {f'"{DEEP}"': "[" * 100_000 + "]" * 100_000, f'"{HUGE}"': "1" + "0" * 5000}


def text_of(body: Any, **options: Any) -> str:
    """JSON with what the placeholders stand for."""
    text = json.dumps(body, sort_keys=True, **options)
    for placeholder, meant in _TEXTS.items():
        text = text.replace(placeholder, meant)
    return text


def canonical(body: Any) -> str:
    """The text of a stage's manifest."""
    return text_of(body, indent=1, ensure_ascii=False) + "\n"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_plain(path: Path) -> bool:
    """Whether a file can be hashed: it is a regular file of its folder and not large."""
    try:
        status = path.lstat()
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size < 1 << 26


def seal_corpus(corpus: Path, *, entries: bool) -> None:
    """Write the hashes of all manifests anew, in the order of the data; with `entries`, those of their files too."""
    seals: dict[str, str] = {}
    for stage in STAGES:
        path = corpus / stage / "manifest.json"
        if not is_plain(path):
            continue
        try:
            body = json.loads(path.read_bytes())
            seal_manifest(path, body, seals, entries=entries)
            seals[stage] = body["sha256"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue


def seal_manifest(path: Path, body: dict[str, Any], seals: dict[str, str], *, entries: bool) -> None:
    """Write one manifest with right hashes: of its files, of the input that it is read through, and its own."""
    dataset = body.get("dataset")
    shards = [shard for split in dataset["splits"].values() for shard in split["shards"]] if dataset else []
    for entry in (*body["files"], *shards) if entries else ():
        file = path.parent / entry["name"]
        if is_plain(file):
            entry["bytes"], entry["sha256"] = file.stat().st_size, sha256(file.read_bytes())
    if dataset:
        seal_section(dataset)
    viewed = VIEWED.get(body["stage"])
    if viewed in seals and viewed in body["inputs"]:
        body["inputs"][viewed]["sha256"] = seals[viewed]
    write_manifest(path, body)


def seal_section(section: dict[str, Any]) -> None:
    section.pop("sha256", None)
    section["sha256"] = sha256(text_of(section, separators=(",", ":")).encode())


def write_manifest(path: Path, body: dict[str, Any]) -> None:
    """Write a manifest with its own hash."""
    body.pop("sha256", None)
    body["sha256"] = sha256(canonical(body).encode("utf-8", "surrogatepass"))
    path.write_bytes(canonical(body).encode("utf-8", "surrogatepass"))


def write_checkpoint(folder: Path, body: dict[str, Any], *, entries: bool) -> None:
    """Write checkpoint.json with right hashes."""
    for name, entry in body["files"].items() if entries else ():
        if is_plain(folder / name):
            data = (folder / name).read_bytes()
            entry["bytes"], entry["sha256"] = len(data), sha256(data)
    body.pop("sha256", None)
    body["sha256"] = sha256(text_of(body).encode())
    (folder / "checkpoint.json").write_text(text_of(body, indent=1) + "\n")
