"""Flip a bit of, or cut, one file of a whole corpus and let its next reader have it: `corrupted.py FOLDER FLIPS CUTS`, over and over.

Each reader is a fork of this process, so that one that crashes is counted. Prints JSON: kind of file to [found, missed, crashed].
"""

import json
import os
import random
import shutil
import sys
from collections import defaultdict
from pathlib import Path

from gauntlet.whole import reader_of, write_all
from small_web import Month

from pipeline.storage.files import InputError
from trainer.checkpoint.folders import newest
from trainer.checkpoint.load import load_model
from trainer.config import InputError as TrainerInputError
from trainer.data import TokenDataset

FOUND, MISSED, CRASHED = range(3)
READ_BY_NOBODY = ("run.json", "tokens/tokenizer.json")
"""Never an input of anything; and a copy for people, of which a trainer compares the merges with the manifest."""


def read(path: Path, folder: Path, month: Month) -> None:
    """What reads the file first."""
    stage = path.relative_to(folder).parts[1]
    if "run" in path.relative_to(folder).parts:
        load_model(folder / "run")
    elif stage == "tokens":
        TokenDataset.open(folder / "corpus" / "tokens")
    else:
        reader, call = reader_of(stage, folder / "corpus", month, folder / "output")
        reader.run(call)


def outcome(path: Path, folder: Path, month: Month) -> int:
    """How a reader in a process of its own took it."""
    shutil.rmtree(folder / "output", ignore_errors=True)
    child = os.fork()
    if not child:
        try:
            read(path, folder, month)
        except (InputError, TrainerInputError) as error:
            os._exit(FOUND if str(path) in str(error) else CRASHED)
        except BaseException as error:  # noqa: BLE001 (a fork must not return)
            os.write(2, f"{path}: {error!r}\n".encode())
            os._exit(CRASHED)
        os._exit(MISSED)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else CRASHED


def kind_of(path: Path) -> str:
    """The kinds that the project writes."""
    if "checkpoints" in path.parts:
        return "checkpoint"
    if path.name == "manifest.json":
        return "manifest"
    if "vocabulary" in path.parts and path.suffix != ".parquet":
        return "tokenizer"
    return {".gz": "WARC", ".parquet": "Parquet", ".arrow": "IPC shard"}.get(path.suffix, "other")


def victims(folder: Path) -> dict[str, list[Path]]:
    """The files of each kind; the newest checkpoint alone is read."""
    stages = ("links", "pages", "documents", "dedup", "vocabulary", "tokens")
    found = [path for stage in stages for path in sorted((folder / "corpus" / stage).rglob("*")) if path.is_file()]
    found += [path for path in sorted(newest(folder / "run").rglob("*")) if path.is_file()]
    kinds: dict[str, list[Path]] = defaultdict(list)
    for path in found:
        if not str(path).endswith(READ_BY_NOBODY) and path.parent.name != "drops" and path.stat().st_size:
            kinds[kind_of(path)].append(path)
    return kinds


def main() -> None:
    """Damage, look, mend."""
    folder, flips, cuts = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    month = write_all(folder)
    draw, kinds = random.Random(600), victims(folder)
    counts = {kind: [0, 0, 0] for kind in sorted(kinds)}
    for turn in range(flips + cuts):
        kind = sorted(kinds)[turn % len(kinds)]
        path = draw.choice(kinds[kind])
        good = path.read_bytes()
        bad = bytearray(good)
        if turn < flips:
            bad[draw.randrange(len(bad))] ^= 1 << draw.randrange(8)
        else:
            del bad[draw.randrange(len(bad)) :]
        path.write_bytes(bad)
        how = outcome(path, folder, month)
        counts[kind][how] += 1
        if how != FOUND:
            sys.stderr.write(f"turn {turn}: {path.relative_to(folder)} was not found out ({how})\n")
        path.write_bytes(good)
    refused = [str(paths[0]) for paths in kinds.values() if outcome(paths[0], folder, month) != MISSED]
    assert not refused, f"whole files were refused: {refused}"
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
