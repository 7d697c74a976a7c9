"""The chain of manifests: each names the folders that its stage has read, with the sha256 that their manifests had then.

A folder follows from its inputs only if each of them still is what was read, and follows from its own inputs in turn.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from pipeline.storage import files
from pipeline.storage.manifest import NAME, Input, StageManifest, input_place
from pipeline.storage.places import FLAG
from tokenizer.errors import InputError

logger = logging.getLogger(__name__)
VOCABULARY = "vocabulary"


class Break(StrEnum):
    """How a link of the chain may be broken, or why it cannot be followed."""

    CHANGED = "has changed since"
    MISSING = "is missing"
    DAMAGED = "is damaged"
    ELSEWHERE = "lies elsewhere"


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """The input `name` of the stage in `folder`, which lies at `place`. `detail` says more of a manifest that cannot be read."""

    folder: str
    stage: str
    name: str
    place: str
    kind: Break
    detail: str = ""

    def __str__(self) -> str:
        """`corpus/dedup: its input 'documents' (corpus/documents) has changed since; run 'dedup' again`."""
        found = f"{self.folder}: its input {self.name!r} ({self.place}) {self.kind}"
        return f"{found} ({self.detail})" if self.detail else found

    @property
    def advice(self) -> str:
        """What to do about it."""
        if self.kind is Break.CHANGED:
            return f"run '{self.stage}' in {self.folder} again, with --replace"
        return f"run its stage again, or copy it there: {self.place}"


def names_folder(entry: Input) -> bool:
    """Whether an input is the folder of a stage. Of a user's file a manifest records the bare name."""
    return "/" in entry.path


def broken_links(folder: str, manifest: StageManifest | None = None) -> Iterator[BrokenLink]:
    """All that is broken or cannot be followed from a finished stage's folder upwards, each folder once. Reads manifests alone.

    Only folders in allowed places (`places`) are read; others are ELSEWHERE.
    """
    yield from _walk(folder, manifest or StageManifest.load(folder), set())


def _walk(folder: str, manifest: StageManifest, seen: set[str]) -> Iterator[BrokenLink]:
    if manifest.stage == VOCABULARY:  # it is chosen once: shards stay what they are when the texts that it was counted on change
        return
    for name, entry in manifest.inputs.items():
        if not names_folder(entry):
            continue
        try:
            place = input_place(folder, entry)
        except InputError:
            yield BrokenLink(folder, manifest.stage, name, entry.path, Break.ELSEWHERE)
            continue
        if not files.exists(files.join(place, NAME)):
            yield BrokenLink(folder, manifest.stage, name, place, Break.MISSING)
            continue
        try:
            found = StageManifest.load(place)
        except InputError as error:
            yield BrokenLink(folder, manifest.stage, name, place, Break.DAMAGED, str(error))
            continue
        if found.sha256 != entry.sha256:
            yield BrokenLink(folder, manifest.stage, name, place, Break.CHANGED)
        if place not in seen:
            seen.add(place)
            yield from _walk(place, found, seen)


def check_chain(folder: str) -> None:
    """Raise InputError where the stage in a folder, or one that it follows from, has read an input that has changed since.

    Inputs that are gone are no error here: a stage that reads them says so. Those that lie elsewhere are not read: a line names them.
    """
    links = list(broken_links(folder))
    for broken in links:
        if broken.kind in (Break.CHANGED, Break.DAMAGED):
            raise InputError(f"{broken}; {broken.advice}")
    for link in (link for link in links if link.kind is Break.ELSEWHERE):
        logger.warning("%s: not checked whether it has changed; to check it, add %s with a folder above it", link, FLAG)
