"""Write requirements.txt and requirements-train.txt: every package of a production installation, pinned, with the hashes of its files.

`make lock` runs it after a change of constraints.txt or of the dependencies in pyproject.toml. The versions are those of constraints.txt;
what that file leaves open (the accelerator's libraries below torch) stays as it is, or is the newest. Equal answers of the package index
give equal files.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLATFORMS = "environments = [\"sys_platform == 'linux'\", \"sys_platform == 'darwin'\"]"
PIPELINE, TRAIN = "requirements.txt", "requirements-train.txt"
EXTRAS = {PIPELINE: ("pdf", "aws"), TRAIN: ("pdf", "aws", "train")}
HEAD = """\
# {what}, with the sha256 of every file of every package. Made by `make lock` from constraints.txt.
#     pip install --require-hashes -r {name} && pip install --no-deps .
"""
WHAT = {PIPELINE: "What the pipeline needs in production", TRAIN: "What training needs besides"}
PIN = re.compile(
    r"(?P<name>[a-z0-9.-]+)==(?P<version>\S+)(?: ; (?P<marker>[^\\]+?))?(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)"
)
HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


def main() -> None:
    """Ask the package index through uv, and write both files."""
    pipeline, train = (blocks(compile_with_uv(extras)) for extras in EXTRAS.values())
    (ROOT / PIPELINE).write_text(text(PIPELINE, pipeline))
    (ROOT / TRAIN).write_text(
        text(TRAIN, {pin: block for pin, block in train.items() if pin not in pipeline}, f"-r {PIPELINE}\n")
    )


def compile_with_uv(extras: tuple[str, ...]) -> str:
    """uv's answer for the project with these extras, for Linux and macOS and every Python from 3.11 on."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "pyproject.toml")
        project.write_text(f"{(ROOT / 'pyproject.toml').read_text()}\n[tool.uv]\n{PLATFORMS}\n")
        before = [(ROOT / name).read_text() for name in EXTRAS if (ROOT / name).exists()]
        pins = Path(folder, "pins.txt")
        pins.write_text("".join(before).replace(f"-r {PIPELINE}\n", ""))
        flags = [flag for extra in extras for flag in ("--extra", extra)]
        command = [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "compile",
            project.name,
            "--constraint",
            str(ROOT / "constraints.txt"),
            *flags,
        ]
        options = [
            "--output-file",
            pins.name,
            "--generate-hashes",
            "--universal",
            "--python-version",
            "3.11",
            "--no-header",
            "--no-annotate",
            "--quiet",
        ]
        subprocess.run([*command, *options], cwd=folder, check=True)
        return pins.read_text()


def blocks(compiled: str) -> dict[str, str]:
    """`name==version` to its lines in a requirements file, hashes in order. Raises ValueError for a line that is none of these."""
    found: dict[str, str] = {}
    rest = PIN.sub("", compiled).strip()
    if rest:
        raise ValueError(f"not pins with hashes: {rest[:200]!r}")
    for match in PIN.finditer(compiled):
        marker = f" ; {match['marker']}" if match["marker"] else ""
        lines = [
            f"{match['name']}=={match['version']}{marker}",
            *(f"    --hash={one}" for one in sorted(HASH.findall(match["hashes"]))),
        ]
        found[f"{match['name']}=={match['version']}"] = " \\\n".join(lines) + "\n"
    return found


def text(name: str, pins: dict[str, str], start: str = "") -> str:
    """The content of a file."""
    return HEAD.format(what=WHAT[name], name=name) + start + "".join(pins[pin] for pin in sorted(pins))


if __name__ == "__main__":
    main()
