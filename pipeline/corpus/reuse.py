"""Takes over, by links, the stages of another corpus that a run with these settings would make anew, byte for byte."""

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import orjson

from pipeline.corpus.next_folder import carry_file
from pipeline.storage import files
from pipeline.storage.manifest import NAME, Input, StageManifest
from pipeline.storage.next_version import ASIDE, next_version
from pipeline.storage.verification import check
from tokenizer.folder_lock import LOCK, folder_lock

logger = logging.getLogger(__name__)
RUN_RECORD = "run.json"


def reuse_stage(stage: str, source: str, target: str, settings: dict[str, Any], inputs: Mapping[str, Input] | None) -> bool:
    """Fill the folder `target` with the finished stage in `source`, if it has these settings and inputs (None: any inputs).

    Files are hard links where the file system allows it, so they take no room; the manifest comes last. Nothing is done where
    `target` holds anything. Raises InputError where a file of `source` is missing or has another size; later stages compare hashes.
    """
    if not files.exists(files.join(source, NAME)) or not _is_new(target):
        return False
    manifest = StageManifest.load(source)
    if manifest.stage != stage or manifest.settings != orjson.loads(orjson.dumps(settings)):
        return False
    if inputs is not None and _hashes(inputs) != _hashes(manifest.inputs):
        return False
    if carried := _carry(source, target, manifest):
        logger.info("%s: taken over from %s", stage, source)
    return carried


def seed_stage(source: str, target: str) -> None:
    """Begin the new folder `target` with the finished stage in `source`, for an update: what it holds need not be made again."""
    if _is_new(target):
        _carry(source, target, StageManifest.load(source))


def is_seeded(source: str, target: str) -> bool:
    """Whether `target` still holds what it was begun with."""
    manifests = [folder for folder in (source, target) if files.exists(files.join(folder, NAME))]
    return len(manifests) == 2 and StageManifest.load(source).sha256 == StageManifest.load(target).sha256


def _is_new(target: str) -> bool:
    """Whether nothing lies in a stage's folder but what a killed carrying left aside. The stage itself refuses foreign files."""
    return {LOCK, ASIDE}.issuperset(files.names(target))


def _carry(source: str, target: str, manifest: StageManifest) -> bool:
    """Carry all files over, unless another run has begun to fill the folder; whether that was done."""
    check(source, hashes=False)
    with folder_lock(target) if files.is_local(target) else nullcontext():
        if not _is_new(target):
            return False
        with next_version(target) as aside:
            for entry in manifest.files:
                carry_file(files.join(source, entry.name), files.join(aside, entry.name))
            manifest.save(aside)
        if files.exists(files.join(source, RUN_RECORD)):
            files.publish_bytes(files.join(target, RUN_RECORD), files.read_bytes(files.join(source, RUN_RECORD)))
    return True


def _hashes(inputs: Mapping[str, Input]) -> dict[str, str]:
    return {name: entry.sha256 for name, entry in inputs.items()}
