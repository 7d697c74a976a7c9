"""`webtext verify`: compare every file of a corpus with its stage's manifest."""

import argparse
import sys

from pipeline.corpus.folder import STAGE_NAMES
from pipeline.corpus.tool import Tool
from pipeline.engine.progress import counted, numbered_stage
from pipeline.storage import files
from pipeline.storage.manifest import NAME, StageManifest
from pipeline.storage.places import check_folder
from pipeline.storage.verification import check
from tokenizer.errors import InputError


def _work(arguments: argparse.Namespace) -> None:
    folders = {name: files.join(arguments.corpus, name) for name in STAGE_NAMES}
    for folder in folders.values():
        check_folder(folder)
    finished = {name: folder for name, folder in folders.items() if files.exists(files.join(folder, NAME))}
    if not finished:
        raise InputError(f"{arguments.corpus}: no finished stage in this folder; run a stage first, or name another folder")
    for number, (name, folder) in enumerate(finished.items(), 1):
        total = sum(entry.bytes for entry in StageManifest.load(folder).files)
        with numbered_stage(number, len(finished)), counted(f"verify {name}", total, "bytes") as advance:
            count, size = check(folder, advance=advance)
        sys.stdout.write(f"{name}: {count:,} files ({size:,} bytes) match their manifest\n")


TOOL = Tool("verify", lambda _: None, _work)
