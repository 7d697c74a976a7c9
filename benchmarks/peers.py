"""The peers a benchmark compares with, each in a virtual environment of its own: none of them is a dependency of ours.

python = peers.python("scrapy", "scrapy==2.13.4", "trafilatura")   # made from the package index at first use
"""

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

HOME = Path(os.environ.get("WEBTEXT_PEERS", Path(__file__).parents[1] / ".peers"))
CONSTRAINTS = ("torch==2.13.0",)  # several peers would pull the newest torch, with gigabytes of CUDA
HARNESS = ("lm_eval", "lm_eval[hf]==0.4.13")
"""What `python` is given for lm-evaluation-harness, by its benchmark and by a test."""


class PeerError(RuntimeError):
    """A peer could not be installed: the benchmark names it and goes on without."""


def python(name: str, *requirements: str, least: tuple[int, int] = (3, 0)) -> Path:
    """The interpreter of peer `name`'s environment, which holds `requirements`; PeerError with why when it cannot be made.

    A peer that needs a later Python than ours is given the first of `least` or later that this machine has.
    """
    folder = _home(name, requirements)
    interpreter = folder / "bin" / "python"
    if not (folder / "complete").exists():
        own = sys.executable if sys.version_info >= least else later_python(name, least)
        made = subprocess.run([own, "-m", "venv", "--clear", str(folder)], capture_output=True, check=False)
        if made.returncode:
            raise PeerError(f"{name}: {Path(own).name} makes no virtual environment")
        bounds = folder / "constraints.txt"
        bounds.write_text("\n".join(CONSTRAINTS) + "\n")
        command = [str(interpreter), "-m", "pip", "install", "--quiet", "--constraint", str(bounds), *requirements]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise PeerError(f"{name}: {' '.join(requirements)} could not be installed: {last}")
        (folder / "complete").touch()
    return interpreter


def later_python(name: str, least: tuple[int, int]) -> str:
    """An interpreter of `least` or a later minor version. PeerError where there is none."""
    kept = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))
    named = [shutil.which(f"python{least[0]}.{minor}") for minor in range(least[1], least[1] + 8)]
    for found in filter(None, [*named, *map(str, kept)]):
        said = subprocess.run(
            [found, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=False
        )
        if said.returncode == 0 and tuple(map(int, said.stdout.split())) >= least:
            return found
    raise PeerError(f"{name}: needs Python {least[0]}.{least[1]} or later, and there is none here")


def installed(name: str, *requirements: str) -> Path | None:
    """What `python` gives, where it was asked for it before; None where it would have to install."""
    folder = _home(name, requirements)
    return folder / "bin" / "python" if (folder / "complete").exists() else None


def _home(name: str, requirements: tuple[str, ...]) -> Path:
    return HOME / f"{name}-{sha256(repr(requirements).encode()).hexdigest()[:8]}"


def versions(interpreter: Path, *packages: str) -> dict[str, str]:
    """The installed version of each of `packages`, for the line under a table."""
    script = "import sys, importlib.metadata as m\nfor p in sys.argv[1:]: print(p, m.version(p))"
    lines = subprocess.run([str(interpreter), "-c", script, *packages], capture_output=True, text=True, check=True).stdout
    return dict(line.split(" ", 1) for line in lines.splitlines())


if __name__ == "__main__":
    print(python(sys.argv[1], *sys.argv[2:]))
