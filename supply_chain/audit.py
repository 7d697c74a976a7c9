"""Ask the advisory database, through pip-audit, for known vulnerabilities of every package in constraints.txt.

Exit codes: 0 none is known, or the database cannot be reached, which the line says; 1 some are. Further arguments are pip-audit's.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LONGEST_SECONDS = 300
ACCEPTED: dict[str, str] = {}
"""Advisories that do not concern us: id to the reason, and what to watch."""


def main(arguments: list[str]) -> int:
    """Print what is known, one line per advisory."""
    lines, code = verdict(report(arguments))
    for line in lines:
        print(f"advisories: {line}")
    return code


def report(arguments: list[str]) -> Any:
    """pip-audit's report; None where it gives none."""
    flags = ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / "constraints.txt"), *flags, *arguments]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=LONGEST_SECONDS)
        return json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None


def verdict(found: Any) -> tuple[list[str], int]:
    """The lines to print, and the exit code."""
    packages = found["dependencies"] if found else []
    checked = [package for package in packages if "skip_reason" not in package]
    if not checked:
        return ["the database cannot be reached, so nothing was checked"], 0
    lines = []
    for package in checked:
        for advisory in package["vulns"]:
            names = {advisory["id"], *advisory.get("aliases", ())}
            if names.isdisjoint(ACCEPTED):
                fixes = f"fixed in {', '.join(advisory['fix_versions'])}" if advisory["fix_versions"] else "no fixed version"
                lines.append(f"{package['name']} {package['version']}: {advisory['id']}, {fixes}")
    if lines:
        return [*lines, "pin fixed versions in constraints.txt, then run `make lock`"], 1
    unknown = len(packages) - len(checked)
    return [f"none is known of {len(checked)} packages" + (f"; {unknown} are not in the database" if unknown else "")], 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
