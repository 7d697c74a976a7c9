"""checkpoint.json: a checkpoint's metadata, and the size and sha256 of each of its files."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import msgspec

from tokenizer.errors import InputError
from tokenizer.labels import printable
from tokenizer.typed_json import Count, LargeCount, Sha256, decode
from tokenizer.untrusted import check_file, check_link, inner_name, read_file
from trainer.checkpoint.folders import METADATA
from trainer.config import TrainConfig

FORMAT = "webtext-checkpoint"
VERSION = 1
MAX_METADATA_BYTES = 1 << 23
LEAST_BYTES_PER_WEIGHT = 2


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


ListedFiles = dict[str, dict[str, Any]]
"""Size and sha256 of files by their names in the checkpoint, as checkpoint.json lists them."""


def list_files(folder: Path, files: Iterable[Path]) -> ListedFiles:
    """Size and hash of each file. Reads all of them."""
    return {str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in sorted(files)}


def write_metadata(folder: Path, metadata: CheckpointMetadata, files: ListedFiles) -> Path:
    """Write checkpoint.json, which lists `files`, and return its path."""
    body = {**asdict(metadata), "config": metadata.config.to_json(), "format": FORMAT, "version": VERSION}
    body["files"] = dict(sorted(files.items()))
    body["sha256"] = _sha256_of_body(body)
    path = folder / METADATA
    path.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    return path


def read_metadata(folder: Path, *, verify: bool = True) -> CheckpointMetadata:
    """Read a checkpoint's metadata and verify each of its files. Raises DamagedCheckpointError, which names the bad file.

    Without `verify`, files are not read: another rank has verified them.
    """
    path = folder / METADATA
    try:
        check_file(folder, METADATA)
        content = read_file(path, MAX_METADATA_BYTES)
        file = decode(content, _CheckpointFile)
        body = json.loads(content)
        own_sha256 = body.pop("sha256", None)  # checkpoints written before this key existed have none
        if own_sha256 not in (None, _sha256_of_body(body)):
            raise DamagedCheckpointError(f"{path}: does not match its own sha256")
        if (file.format, file.version) != (FORMAT, VERSION):
            raise DamagedCheckpointError(f"{path}: not a {FORMAT} of version {VERSION}")
        values = {each.name: getattr(file, each.name) for each in fields(CheckpointMetadata)}
        metadata = CheckpointMetadata(**{**values, "config": TrainConfig.from_json(file.config)})
        for name in file.files:
            inner_name(name)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DamagedCheckpointError(f"{folder}: not a checkpoint, or an incomplete one (no {METADATA})") from error
    except (ValueError, RecursionError) as error:
        raise DamagedCheckpointError(f"{path}: cannot be read ({printable(error)})") from error
    _check_listed(folder, file.files)
    for name, entry in file.files.items() if verify else ():
        _verify(folder, name, entry)
    _check_shape(path, metadata.config, file.files)
    return metadata


class _ListedFile(msgspec.Struct, forbid_unknown_fields=True):
    bytes: LargeCount
    sha256: Sha256


class _CheckpointFile(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of checkpoint.json."""

    format: str
    version: int
    step: Count
    tokens: LargeCount
    seed: int
    corpus_sha256: str
    tokenizer_sha256: str
    config: dict[str, Any]
    files: dict[str, _ListedFile]
    best_step: Count | None = None
    best_loss: float | None = None
    sha256: Sha256 = ""


def _check_listed(folder: Path, files: dict[str, _ListedFile]) -> None:
    """Raise DamagedCheckpointError for tensors that checkpoint.json does not list: nobody would have verified them."""
    for part in (folder / "model", folder / "optimizer"):
        try:
            check_link(folder, part)
        except ValueError as error:
            raise DamagedCheckpointError(f"{part}: {error}") from error
        for path in sorted(part.iterdir()) if part.is_dir() else []:
            if path.suffix == ".safetensors" and f"{part.name}/{path.name}" not in files:
                raise DamagedCheckpointError(f"{path}: not listed in {METADATA}; remove the file")


def _check_shape(path: Path, config: TrainConfig, files: dict[str, _ListedFile]) -> None:
    """Raise DamagedCheckpointError for a network that is larger than its files: building it could take all memory."""
    stored = sum(entry.bytes for name, entry in files.items() if name.startswith("model/"))
    if LEAST_BYTES_PER_WEIGHT * config.model.parameters > stored:
        raise DamagedCheckpointError(
            f"{path}: config.model has {config.model.parameters:,} parameters (width {config.model.width}, layers "
            f"{config.model.layers}), but its files hold {stored:,} bytes"
        )


def _verify(folder: Path, name: str, entry: _ListedFile) -> None:
    path = folder / name
    try:
        found = check_file(folder, name)
    except ValueError as error:
        raise DamagedCheckpointError(f"{path}: {error}") from error
    if found is None:
        raise DamagedCheckpointError(f"{path}: missing, but {METADATA} lists it")
    if found.st_size != entry.bytes:
        raise DamagedCheckpointError(f"{path}: has {found.st_size} bytes, {METADATA} lists {entry.bytes}")
    if _sha256(path) != entry.sha256:
        raise DamagedCheckpointError(f"{path}: its sha256 differs from the one in {METADATA}")


def _sha256_of_body(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
