"""Parameters for a run of the DAG on a small month."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from small_web import write_month

PAGES = 40
SUBMISSIONS = PAGES + PAGES // 4


def parameters(folder: Path) -> dict[str, Any]:
    """Parameters of a run for 2017-12. Writes dump and pages to `folder`; the corpus goes there too."""
    month = write_month(folder, PAGES)
    return {
        "dump": month.dump.replace("2017-12", "{month}"),
        "output": str(folder / "out"),
        "python": sys.executable,
        "flags": ["--workers", "1"],
        "pages_flags": ["--fetch-from", month.warc],
        "vocabulary_flags": ["--vocab-size", "400"],
        "tokens_flags": ["--validation-share", "0.3"],
        "preset": "tiny",
        "launcher": "python",
        "train_flags": ["--steps", "2", "--vocabulary", "400", "--context", "64", "--batch-tokens", "256", "--device", "cpu"],
    }


def state_of(done: subprocess.CompletedProcess[str]) -> str:
    """The final state of the run of `airflow dags test`."""
    states = re.findall(r"DagRun Finished.*?state=(\w+)", done.stdout + done.stderr, re.DOTALL)
    assert states, (done.stdout + done.stderr)[-3000:]
    return str(states[-1])
