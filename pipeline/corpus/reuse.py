"""Takes over, by links, the stages of another corpus that a run with these settings would make anew, byte for byte."""

import logging
from collections.abc import Mapping
from typing import Any

import orjson

from pipeline.corpus.next_folder import carry_file
from pipeline.storage import files
from pipeline.storage.manifest import NAME, Input, StageManifest
from pipeline.storage.verification import check

logger = logging.getLogger(__name__)
RUN_RECORD = "run.json"


def reuse_stage(stage: str, source: str, target: str, settings: dict[str, Any], inputs: Mapping[str, Input] | None) -> bool:
    """Fill the folder `target` with the finished stage in `source`, if it has these settings and inputs (None: any inputs).

    Files are hard links where the file system allows it, so they take no room; the manifest comes last. Nothing is done where
    `target` is finished. Raises InputError where a file of `source` is missing or has another size; later stages compare hashes.
    """
    if not files.exists(files.join(source, NAME)) or files.exists(files.join(target, NAME)):
        return False
    manifest = StageManifest.load(source)
    if manifest.stage != stage or manifest.settings != orjson.loads(orjson.dumps(settings)):
        return False
    if inputs is not None and _hashes(inputs) != _hashes(manifest.inputs):
        return False
    _carry(source, target, manifest)
    logger.info("%s: taken over from %s", stage, source)
    return True


def seed_stage(source: str, target: str) -> None:
    """Begin the new folder `target` with the finished stage in `source`, for an update: what it holds need not be made again."""
    if files.exists(files.join(target, NAME)) or files.names(target):
        return
    _carry(source, target, StageManifest.load(source))


def is_seeded(source: str, target: str) -> bool:
    """Whether `target` still holds what it was begun with."""
    manifests = [folder for folder in (source, target) if files.exists(files.join(folder, NAME))]
    return len(manifests) == 2 and StageManifest.load(source).sha256 == StageManifest.load(target).sha256


def _carry(source: str, target: str, manifest: StageManifest) -> None:
    check(source, hashes=False)
    for entry in manifest.files:
        carry_file(files.join(source, entry.name), files.join(target, entry.name))
    if files.exists(files.join(source, RUN_RECORD)):
        files.publish_bytes(files.join(target, RUN_RECORD), files.read_bytes(files.join(source, RUN_RECORD)))
    manifest.save(target)


def _hashes(inputs: Mapping[str, Input]) -> dict[str, str]:
    return {name: entry.sha256 for name, entry in inputs.items()}
