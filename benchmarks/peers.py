"""Virtual environments for the peers that benchmarks compare with: one per peer, because none is a dependency of webtext.

python = peers.python("scrapy", "scrapy==2.13.4", "trafilatura")   # installed from the package index at first use
"""

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

HOME = Path(os.environ.get("WEBTEXT_PEERS", Path(__file__).parents[1] / ".peers"))
CONSTRAINTS = ("torch==2.13.0",)  # otherwise several peers install the newest torch, with gigabytes of CUDA
HARNESS = ("lm_eval", "lm_eval[hf]==0.4.13")
"""The arguments of `python` for lm-evaluation-harness, which a benchmark and a test use."""

ARCHIVES = ("pywb==2.10.0", "surt==0.3.1", "cdxj-indexer==1.5.0")
"""The tools of web archives, which tests of pipeline.archives use."""


class PeerError(RuntimeError):
    """A peer could not be installed or failed. The benchmark names it and continues without it."""


def python(name: str, *requirements: str, least: tuple[int, int] = (3, 0)) -> Path:
    """Return the interpreter of peer `name`'s environment with `requirements`. Raises PeerError if the environment cannot be created.

    `least` is the earliest Python that the peer supports. If ours is earlier, the first suitable one on this machine is used.
    """
    folder = _home(name, requirements)
    interpreter = folder / "bin" / "python"
    if not (folder / "complete").exists():
        own = sys.executable if sys.version_info >= least else later_python(name, least)
        created = subprocess.run([own, "-m", "venv", "--clear", str(folder)], capture_output=True, check=False)
        if created.returncode:
            raise PeerError(f"{name}: {Path(own).name} cannot create a virtual environment")
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
    """Find an interpreter of version `least` or later. Raises PeerError if there is none."""
    pyenv = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))
    on_path = [shutil.which(f"python{least[0]}.{minor}") for minor in range(least[1], least[1] + 8)]
    for candidate in filter(None, [*on_path, *map(str, pyenv)]):
        answer = subprocess.run(
            [candidate, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=False
        )
        if answer.returncode == 0 and tuple(map(int, answer.stdout.split())) >= least:
            return candidate
    raise PeerError(f"{name}: needs Python {least[0]}.{least[1]} or later, which this machine does not have")


def installed(name: str, *requirements: str) -> Path | None:
    """Return the interpreter that `python` gives if the environment already exists, else None."""
    folder = _home(name, requirements)
    return folder / "bin" / "python" if (folder / "complete").exists() else None


def _home(name: str, requirements: tuple[str, ...]) -> Path:
    return HOME / f"{name}-{sha256(repr(requirements).encode()).hexdigest()[:8]}"


def versions(interpreter: Path, *packages: str) -> dict[str, str]:
    """Return the installed version of each package."""
    script = "import sys, importlib.metadata as m\nfor p in sys.argv[1:]: print(p, m.version(p))"
    lines = subprocess.run([str(interpreter), "-c", script, *packages], capture_output=True, text=True, check=True).stdout
    return dict(line.split(" ", 1) for line in lines.splitlines())


if __name__ == "__main__":
    print(python(sys.argv[1], *sys.argv[2:]))
