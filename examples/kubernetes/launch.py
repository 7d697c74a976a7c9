#!/usr/bin/env python3
"""Train on Kubernetes and wait for the end: `examples/kubernetes/launch.py PRESET --data DIR --out DIR [flags of webtext-train train]`.

It needs kubectl and the standard library alone. train.yaml beside it is the template: edit its image, nodes, GPUs and volumes. Equal
arguments make a job of one name. So a second call with them waits for the job that runs, and starts it anew if it has failed or ended:
training continues from its checkpoints. Ctrl-C ends the waiting, not the job. Exit codes: 0 done; 1 the job failed; 2 bad usage.
"""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

TEMPLATE = Path(__file__).with_name("train.yaml")
NAME = "webtext-train"
"""The template's name of its Service and Job."""
LAST_WORD = "            - train\n"
"""The template's line that the arguments follow."""
POLL_SECONDS = 10.0
RUNNING, COMPLETE, FAILED, ABSENT = "running", "Complete", "Failed", "absent"


def job_name(arguments: Sequence[str]) -> str:
    """The name of the job with these arguments."""
    return f"{NAME}-{hashlib.blake2b(json.dumps(list(arguments)).encode(), digest_size=5).hexdigest()}"


def manifest(template: str, arguments: Sequence[str]) -> str:
    """The template with the arguments in place of its own, and with the job's name. JSON strings are YAML strings."""
    head, word, rest = template.partition(LAST_WORD)
    if not word:
        raise ValueError(f"{TEMPLATE}: no line {LAST_WORD!r}, which the arguments follow")
    lines = rest.splitlines(keepends=True)
    own = next(i for i, line in enumerate(lines) if not line.startswith("            - "))
    given = "".join(f"            - {json.dumps(argument.replace('$(', '$$('))}\n" for argument in arguments)
    return (head + word + given + "".join(lines[own:])).replace(NAME, job_name(arguments))


def state(name: str) -> str:
    """What has become of a job: RUNNING, COMPLETE, FAILED or ABSENT."""
    command = ("get", "job", name, "--ignore-not-found", "--output", "json")
    text = kubectl(*command).strip()
    if not text:
        return ABSENT
    conditions = json.loads(text).get("status", {}).get("conditions") or []
    return next((c["type"] for c in conditions if c["type"] in (COMPLETE, FAILED) and c["status"] == "True"), RUNNING)


def kubectl(*words: str, given: str | None = None) -> str:
    """The output of kubectl. Raises CalledProcessError; kubectl has said why by then."""
    return subprocess.run(["kubectl", *words], input=given, stdout=subprocess.PIPE, text=True, check=True).stdout


def main(arguments: Sequence[str]) -> int:
    """Start the job, or find it running, and wait for its end."""
    if not arguments or arguments[0].startswith("-"):
        sys.stderr.write("usage: launch.py PRESET --data DIR --out DIR [flags]\n")
        return 2
    name = job_name(arguments)
    try:
        found = state(name)
        if found in (COMPLETE, FAILED):
            kubectl("delete", "job", name, "--wait=true")
        if found != RUNNING:
            kubectl("apply", "--filename", "-", given=manifest(TEMPLATE.read_text(encoding="utf-8"), arguments))
        sys.stderr.write(f"waiting for job {name}; kubectl logs --follow job/{name} shows its log\n")
        while (found := state(name)) == RUNNING:
            time.sleep(POLL_SECONDS)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"kubectl {error.cmd[1]} ended with {error.returncode}; run the same command again\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"stopped waiting; the job goes on: kubectl delete job {name} ends it\n")
        return 130
    sys.stderr.write(f"job {name}: {'done' if found == COMPLETE else f'{found.lower()}; kubectl logs job/{name} shows why'}\n")
    return 0 if found == COMPLETE else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
