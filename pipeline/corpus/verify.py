"""`webtext verify`: compare every file of a corpus with its stage's manifest, and every manifest with those that it follows from."""

import argparse
import sys

from pipeline.corpus.folder import STAGE_NAMES
from pipeline.corpus.tool import Tool
from pipeline.engine.progress import counted, numbered_stage
from pipeline.storage import files
from pipeline.storage.chain import Break, BrokenLink, broken_links
from pipeline.storage.manifest import NAME, StageManifest
from pipeline.storage.places import FLAG, check_folder
from pipeline.storage.verification import check
from tokenizer.errors import InputError


def finished_folders(corpus: str) -> dict[str, str]:
    """The finished stages of a corpus and their folders, in the order of the data; or the one stage whose folder `corpus` is.

    Raises InputError where there is none.
    """
    if files.exists(files.join(corpus, NAME)):
        return {StageManifest.load(corpus).stage: corpus}
    folders = {name: files.join(corpus, name) for name in STAGE_NAMES}
    for folder in folders.values():
        check_folder(folder)
    finished = {name: folder for name, folder in folders.items() if files.exists(files.join(folder, NAME))}
    if not finished:
        raise InputError(f"{corpus}: no finished stage in this folder; run a stage first, or name another folder")
    return finished


def _work(arguments: argparse.Namespace) -> None:
    broken: list[BrokenLink] = []
    finished = finished_folders(arguments.corpus)
    for number, (name, folder) in enumerate(finished.items(), 1):
        total = sum(entry.bytes for entry in StageManifest.load(folder).files)
        with numbered_stage(number, len(finished)), counted(f"verify {name}", total, "bytes") as advance:
            count, size = check(folder, advance=advance)
        sys.stdout.write(f"{name}: {count:,} files ({size:,} bytes) match their manifest\n")
        broken += [link for link in broken_links(folder) if link not in broken]
    for link in (link for link in broken if link.kind is Break.ELSEWHERE):
        sys.stdout.write(f"{link}: not followed; add {FLAG} with a folder above it to follow it\n")
    wrong = [link for link in broken if link.kind is not Break.ELSEWHERE]
    if wrong:
        more = f"; and {len(wrong) - 1} more like it" if len(wrong) > 1 else ""
        raise InputError(f"{wrong[0]}; {wrong[0].advice}{more}")


TOOL = Tool("verify", lambda _: None, _work)
