"""Run `pipeline tokens` again and again, each time killed at another moment of writing: `killed_writers.py FOLDER CORPUS VOCABULARY KILLS`.

A run goes on where the killed one before it stopped; one that comes to its end is compared, and another folder begun. Each run is a fork of
this process, which has imported all and started nothing; the fork kills itself at its n-th write or rename.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.storage import files
from pipeline.tokens.stage import STAGE, TokensSettings

SETTINGS = TokensSettings(validation_share=0.2, shard_tokens=60_000)
NOT_FINAL = ("run.json", ".progress", files.ASIDE_SUFFIX)


def counted(function: Callable[..., Any], moments: list[int], last: int) -> Callable[..., Any]:
    """The function, which kills this process on the `last` of all such calls, half of the times before it did anything."""

    def call(*arguments: Any, **options: Any) -> Any:
        moments[0] += 1
        if moments[0] == last and last % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **options)
        if moments[0] == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return call


def forked(folder: Path, inputs: dict[str, str], last: int) -> int:
    """How a run that is killed at moment `last` (0: never) ended: 0, or the signal."""
    child = os.fork()
    if not child:
        moments = [0]
        files.HashingWriter.write = counted(files.HashingWriter.write, moments, last)  # type: ignore[method-assign]
        files._rename = counted(files._rename, moments, last)
        STAGE.run(Call(inputs, str(folder), SETTINGS, Engine()))
        os._exit(0)
    return os.waitpid(child, 0)[1]


def final(folder: Path) -> dict[str, bytes]:
    """Every file under its final name."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(NOT_FINAL))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def main() -> None:
    """Print the number of runs that were killed, left nothing wrong and came to the undisturbed bytes."""
    place, inputs, kills = Path(sys.argv[1]), {"dedup": sys.argv[2], "vocabulary": sys.argv[3]}, int(sys.argv[4])
    if forked(place / "undisturbed", inputs, 0):
        sys.exit("the undisturbed run failed")
    undisturbed = final(place / "undisturbed")
    killed, folder = 0, place / "killed-0"
    while killed < kills:
        status = forked(folder, inputs, 1 + killed * 5 % 23)
        wrong = [name for name, data in final(folder).items() if not name.startswith(".work") and undisturbed[name] != data]
        if status not in (0, signal.SIGKILL) or wrong:
            sys.exit(f"kill {killed}: ended with {status}, wrong files {wrong}")
        killed += status == signal.SIGKILL
        if not status or killed == kills:
            finish(folder, inputs, undisturbed)
            folder = place / f"killed-{killed}"
    print(killed)


def finish(folder: Path, inputs: dict[str, str], undisturbed: dict[str, bytes]) -> None:
    """Run to the end; exit with a message where the bytes are not the undisturbed run's."""
    status = forked(folder, inputs, 0)
    if status or final(folder) != undisturbed:
        sys.exit(f"{folder}: ended with {status}, other files than undisturbed: {final(folder).keys() ^ undisturbed.keys()}")


if __name__ == "__main__":
    main()
