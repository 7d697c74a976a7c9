"""Count what the stages ask of an object store: requests and bytes per stage, with 1, 10 and 100 parts.

`python benchmarks/object_store.py` runs every stage over 100 pages on an S3-compatible server on the loopback. It counts work, so a
loaded machine gives the same figures as an idle one.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import scores
from servers.objects import ACCESS, Traffic, object_store
from small_web import Month, stage_calls, write_month

from pipeline.engine.runner import Engine

BUCKET = "corpora"
PAGES = 100


def main() -> None:
    """Print a row per stage and number of parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=int, nargs="*", default=[1, 10, 100])
    parser.add_argument("--pages", type=int, default=PAGES)
    scores.add_flag(parser)
    arguments = parser.parse_args()
    print("| stage | parts | requests | GET | HEAD | LIST | PUT | other | MB read | MB written |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        month = write_month(Path(folder), arguments.pages)
        for parts in arguments.parts:
            _run(month, parts, arguments.pages)


def _run(month: Month, parts: int, pages: int) -> None:
    size = max(1, pages // parts)
    traffic = Traffic()
    with object_store(BUCKET, traffic) as address, patch.dict(os.environ, {**ACCESS, "AWS_ENDPOINT_URL": address}):
        sized = {
            "pipeline.pages.stage.LINKS_PER_PART": size,
            "pipeline.documents.page_ranges.MIN_PAGES_PER_RANGE": size,
            "pipeline.documents.page_ranges.MAX_PAGES_PER_RANGE": size,
        }
        patches = [patch(name, value) for name, value in sized.items()]
        for each in patches:
            each.start()
        for stage, call in stage_calls(f"s3://{BUCKET}/corpus", month, Engine()):
            stage.run(call)
            _print(stage.name, parts, traffic.take())
        for each in patches:
            each.stop()


def _print(stage: str, parts: int, asked: Traffic) -> None:
    counts = asked.requests
    other = sum(counts.values()) - sum(counts[name] for name in ("GET", "HEAD", "LIST", "PUT"))
    columns = [counts.total(), counts["GET"], counts["HEAD"], counts["LIST"], counts["PUT"], other]
    megabytes = f"{asked.sent_bytes / 1e6:.2f} | {asked.received_bytes / 1e6:.2f}"
    print(f"| {stage} | {parts} | {' | '.join(f'{n:,}' for n in columns)} | {megabytes} |", flush=True)


if __name__ == "__main__":
    main()
