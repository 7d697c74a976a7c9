"""Write requirements.txt and requirements-train.txt: every package of a production installation, pinned, with the hashes of its files.

`make lock` runs it after a change of constraints.txt or of the dependencies in pyproject.toml. The versions are those of constraints.txt;
what that file leaves open (the accelerator's libraries below torch) stays as it is, or is the newest. Equal answers of the package index
give equal files.

`make hashes` runs it with --check: it writes nothing, prints one line, and exits with 1 unless every package that production needs is
pinned, and the index offers, under each pinned version, files with all of the pinned hashes. Where no index answers, the line says so,
and the exit code is 0: work goes on without a network, and CI has one.
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
UNREACHABLE = ("Failed to fetch", "error sending request", "network was disabled")
"""What uv says where no index answers. Of a version that the index lacks, it says that no solution was found."""
HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")
HASH_LINE = re.compile(r" \\\n    --hash=\S+")


def main(arguments: list[str]) -> int:
    """Ask the package index through uv, and write both files, or compare them."""
    if arguments == ["--check"]:
        line, code = check()
        print(f"hashes: {line}")
        return code
    try:
        pipeline, train = (blocks(compile_with_uv(extras)) for extras in EXTRAS.values())
    except subprocess.CalledProcessError as error:
        print(error.stderr, end="", file=sys.stderr)
        return 1
    (ROOT / PIPELINE).write_text(text(PIPELINE, pipeline))
    (ROOT / TRAIN).write_text(
        text(TRAIN, {pin: block for pin, block in train.items() if pin not in pipeline}, f"-r {PIPELINE}\n")
    )
    return 0


def check() -> tuple[str, int]:
    """The line about both files' hashes, and the exit code."""
    try:
        pinned = {pin: block for name in EXTRAS for pin, block in blocks(body(name)).items()}
        offered = blocks(compile_with_uv(EXTRAS[TRAIN], remember_hashes=False))
    except subprocess.CalledProcessError as error:
        if any(sign in error.stderr for sign in UNREACHABLE):
            return "the package index cannot be reached, so the pinned hashes were not compared with it", 0
        lines = [line.strip() for line in error.stderr.splitlines() if line.strip()]
        return f"no set of files was found for the pins, so nothing was compared: {' '.join(lines[:2])[:400]}", 1
    except (OSError, ValueError) as error:
        return f"nothing was compared: {error}; run `make lock`", 1
    return compare(pinned, offered)


def compare(pinned: dict[str, str], offered: dict[str, str]) -> tuple[str, int]:
    """The line about pins that are missing and hashes that the index does not offer, and the exit code.

    >>> compare({"a==1": "--hash=sha256:" + "0" * 64}, {"a==1": "--hash=sha256:" + "1" * 64})
    ('a==1: the package index has no file with 1 of its hashes; find out why before you run `make lock`', 1)
    >>> compare({}, {"a==1": "--hash=sha256:" + "1" * 64})
    ('requirements.txt and requirements-train.txt lack a==1, which production needs; run `make lock`', 1)
    """
    if missing := sorted(offered.keys() - pinned.keys()):
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        return f"{PIPELINE} and {TRAIN} lack {missing[0]}{more}, which production needs; run `make lock`", 1
    hashes = {pin: set(HASH.findall(block)) for pin, block in pinned.items()}
    for pin, known in hashes.items():
        if gone := known - set(HASH.findall(offered.get(pin, ""))):
            return (
                f"{pin}: the package index has no file with {len(gone)} of its hashes; find out why before you run `make lock`",
                1,
            )
    if not hashes:
        return f"{PIPELINE} and {TRAIN} hold no pins, so nothing was compared; run `make lock`", 1
    return f"the package index has all {sum(map(len, hashes.values())):,} pinned files of {len(hashes)} packages", 0


def body(name: str) -> str:
    """The pins in a file, without its head."""
    return "".join(line for line in (ROOT / name).read_text().splitlines(keepends=True) if not line.startswith(("#", "-r ")))


def compile_with_uv(extras: tuple[str, ...], *, remember_hashes: bool = True) -> str:
    """uv's answer for the project with these extras, for Linux and macOS and every Python from 3.11 on.

    uv takes the hashes of pinned versions from our files, unless they are not to be remembered.
    """
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "pyproject.toml")
        project.write_text(f"{(ROOT / 'pyproject.toml').read_text()}\n[tool.uv]\n{PLATFORMS}\n")
        before = "".join(body(name) for name in EXTRAS if (ROOT / name).exists())
        pins = Path(folder, "pins.txt")
        pins.write_text(before if remember_hashes else HASH_LINE.sub("", before))
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
        subprocess.run([*command, *options], cwd=folder, check=True, stderr=subprocess.PIPE, text=True)
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
    sys.exit(main(sys.argv[1:]))
