"""checkpoint.json: a checkpoint's metadata, and the size and sha256 of each of its files."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.checkpoint.folders import METADATA
from trainer.config import InputError, TrainConfig

FORMAT = "webtext-checkpoint"
VERSION = 1


class DamagedCheckpointError(InputError):
    """A checkpoint is incomplete, or changed after it was written."""


@dataclass(frozen=True, slots=True)
class CheckpointMetadata:
    """What a checkpoint stores besides tensors."""

    step: int
    tokens: int
    seed: int
    corpus_sha256: str
    tokenizer_sha256: str
    config: TrainConfig
    best_step: int | None = None
    best_loss: float | None = None


def write_metadata(folder: Path, metadata: CheckpointMetadata, files: list[Path]) -> Path:
    """Write checkpoint.json, which lists `files` with their sizes and hashes, and return its path."""
    body = {**asdict(metadata), "config": metadata.config.to_json(), "format": FORMAT, "version": VERSION}
    body["files"] = {str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in files}
    body["sha256"] = _sha256_of_body(body)
    path = folder / METADATA
    path.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    return path


def read_metadata(folder: Path) -> CheckpointMetadata:
    """Read a checkpoint's metadata and verify each of its files. Raises DamagedCheckpointError, which names the bad file."""
    path = folder / METADATA
    try:
        body = json.loads(path.read_bytes())
        own_sha256 = body.pop("sha256", None)  # checkpoints written before this key existed have none
        if own_sha256 not in (None, _sha256_of_body(body)):
            raise DamagedCheckpointError(f"{path}: does not match its own sha256")
        if (body.pop("format"), body.pop("version")) != (FORMAT, VERSION):
            raise DamagedCheckpointError(f"{path}: not a {FORMAT} of version {VERSION}")
        files = body.pop("files")
        metadata = CheckpointMetadata(**{**body, "config": TrainConfig.from_json(body["config"])})
    except FileNotFoundError as error:
        raise DamagedCheckpointError(f"{folder}: not a checkpoint, or an incomplete one (no {METADATA})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedCheckpointError(f"{path}: cannot be read ({error})") from error
    for name, entry in files.items():
        _verify(folder / name, entry)
    return metadata


def _verify(path: Path, entry: dict[str, Any]) -> None:
    if not path.is_file():
        raise DamagedCheckpointError(f"{path}: missing, but {METADATA} lists it")
    if path.stat().st_size != entry["bytes"]:
        raise DamagedCheckpointError(f"{path}: has {path.stat().st_size} bytes, {METADATA} lists {entry['bytes']}")
    if _sha256(path) != entry["sha256"]:
        raise DamagedCheckpointError(f"{path}: its sha256 differs from the one in {METADATA}")


def _sha256_of_body(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
