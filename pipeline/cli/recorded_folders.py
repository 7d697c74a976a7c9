"""Folders that the finished stages of a corpus were compared with, as the values of their flags: nobody has to type them again."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.cli.registry import RUN, STAGES
from pipeline.engine.settings import flag_of
from pipeline.engine.stage_folder import NAMED_FOLDER
from pipeline.storage.files import exists, join
from pipeline.storage.manifest import NAME, StageManifest, input_place
from pipeline.storage.places import FLAG
from tokenizer.errors import InputError


@dataclass(frozen=True, slots=True)
class RecordedFolders:
    """The folders of one flag as the manifest in `folder` records them. `lost` are those that are gone, or may not be read."""

    stage: str
    setting: str
    folder: str
    places: tuple[str, ...]
    lost: tuple[str, ...]

    def check(self) -> None:
        """Raise InputError where a folder cannot be taken from the manifest: without it, other documents would be kept."""
        if self.lost:
            flag = flag_of(self.setting)
            raise InputError(
                f"{self.folder}: was made with {flag} {' '.join(self.lost)}, which is gone or lies outside the corpus; give "
                f"{flag} again (without a folder for none), or add {FLAG} DIR"
            )


def recorded_folders(corpus: str) -> Iterator[RecordedFolders]:
    """An entry per finished stage of a corpus and flag that names folders."""
    for name in RUN:
        flags, folder = STAGES[name].folders(STAGES[name].settings()), join(corpus, name)
        if flags and exists(join(folder, NAME)):
            manifest = StageManifest.load(folder)
            yield from (_recorded(name, flag, folder, manifest) for flag in flags)


def _recorded(stage: str, flag: str, folder: str, manifest: StageManifest) -> RecordedFolders:
    places: list[str] = []
    lost: list[str] = []
    for name, entry in manifest.inputs.items():
        named = NAMED_FOLDER.fullmatch(name)
        if named is None or named[1] != flag:
            continue
        try:
            place = input_place(folder, entry)
        except InputError:
            lost.append(entry.path)
            continue
        (places if exists(join(place, NAME)) else lost).append(place)
    return RecordedFolders(stage, flag, folder, tuple(places), tuple(lost))
