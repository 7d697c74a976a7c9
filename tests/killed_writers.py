"""Run `pipeline tokens` again and again, killed at another moment of writing each time: `killed_writers.py FOLDER CORPUS VOCABULARY KILLS`.

Each run continues where the killed one before it stopped. A run that ends is compared, and the next begins in another folder. Each run is
a fork of this process, which has imported everything and started nothing; the fork kills itself at its n-th write or rename.
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
NOT_FINAL = ("run.json", ".progress", ".lock", files.ASIDE_SUFFIX)


def kill_at(function: Callable[..., Any], calls: list[int], last: int) -> Callable[..., Any]:
    """The function, which kills this process at call number `last`: before its work where `last` is odd, after it where it is even.

    `calls` holds the count of calls, which several functions share.
    """

    def call(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == last and last % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **options)
        if calls[0] == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return call


def run_fork(folder: Path, inputs: dict[str, str], last: int) -> int:
    """Run the stage in a fork that is killed at write or rename number `last` (0: never); returns 0 or the signal."""
    child = os.fork()
    if not child:
        calls = [0]
        files.HashingWriter.write = kill_at(files.HashingWriter.write, calls, last)  # type: ignore[method-assign]
        files._rename = kill_at(files._rename, calls, last)
        STAGE.run(Call(inputs, str(folder), SETTINGS, Engine()))
        os._exit(0)
    return os.waitpid(child, 0)[1]


def final_files(folder: Path) -> dict[str, bytes]:
    """Name and content of every file that has its final name."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(NOT_FINAL))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def main() -> None:
    """Print the number of killed runs; each left no wrong file, and all ended in the undisturbed run's bytes."""
    parent, inputs, kills = Path(sys.argv[1]), {"dedup": sys.argv[2], "vocabulary": sys.argv[3]}, int(sys.argv[4])
    if run_fork(parent / "undisturbed", inputs, 0):
        sys.exit("the undisturbed run failed")
    undisturbed = final_files(parent / "undisturbed")
    killed, folder = 0, parent / "killed-0"
    while killed < kills:
        status = run_fork(folder, inputs, 1 + killed * 5 % 23)
        finals = final_files(folder)
        wrong = [name for name, data in finals.items() if not name.startswith(".work") and undisturbed[name] != data]
        if status not in (0, signal.SIGKILL) or wrong:
            sys.exit(f"kill {killed}: ended with {status}, wrong files {wrong}")
        killed += status == signal.SIGKILL
        if not status or killed == kills:
            finish(folder, inputs, undisturbed)
            folder = parent / f"killed-{killed}"
    print(killed)


def finish(folder: Path, inputs: dict[str, str], undisturbed: dict[str, bytes]) -> None:
    """Run to the end; exit with a message where the files differ from the undisturbed run's."""
    status = run_fork(folder, inputs, 0)
    finals = final_files(folder)
    if status or finals != undisturbed:
        sys.exit(f"{folder}: ended with {status}; files that are missing or too many: {finals.keys() ^ undisturbed.keys()}")


if __name__ == "__main__":
    main()
