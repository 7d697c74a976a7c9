"""Fuzz every target for SECONDS each: `fuzz_all.py SECONDS [FOLDER]`. Prints one line per target; exits with 1 if one broke.

atheris is installed into its own environment, which sees this one's packages too.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import peers

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def main() -> int:
    """All targets, one after the other."""
    sys.path.insert(0, str(HERE.parent))
    from gauntlet.fuzz import TARGETS

    interpreter = peers.python("atheris", "atheris")
    paths = [str(ROOT), str(HERE.parent), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
    print(f"atheris {peers.versions(interpreter, 'atheris')['atheris']}", flush=True)
    broken = 0
    for name in TARGETS:
        command = [str(interpreter), str(HERE / "fuzz.py"), name, *sys.argv[1:]]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        shown = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line or "Test unit written" in line]
        print(f"{name}: code {done.returncode}, {'; '.join(shown)}", flush=True)
        broken += done.returncode != 0
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
