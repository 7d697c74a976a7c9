"""`make demo`: the whole job, from links to a report, on the documentation of this machine's Python. It needs no account, network or data.

The demo prints each command that it runs. The only special flag is `--proxy`: the demo's web is a proxy that answers for made-up sites.
"""

import argparse
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import web

PAGES = 1200
SEED = 1
ENTRIES = 8192
"""Entries of the vocabulary: few, because the text is small."""
NETWORK = (
    "--recipe",
    "modern",
    "--layers",
    "4",
    "--heads",
    "6",
    "--width",
    "192",
    "--context",
    "256",
    "--vocabulary",
    str(ENTRIES),
)
STEPS = ("--steps", "600", "--batch-tokens", "1536", "--micro-batch", "6", "--learning-rate", "1e-2", "--warmup-steps", "20")
LOG = ("--validate-every", "100", "--checkpoint-every", "200")
PROMPTS = ("Return the number of", "This module", "The function takes")
PYTHON = Path(sys.executable)
RESUME = "run make demo again to continue"


def main() -> int:
    """Build the web, serve it, and run the pipeline and the trainer on it. The last line printed is the path of the report."""
    arguments = _arguments()
    output, started = Path(arguments.output), time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        demo_web = web.build(output / "web", arguments.pages, SEED, _print)
        with web.serve(demo_web) as proxy:
            code = _run_all(output, demo_web, proxy)
    except KeyboardInterrupt:
        _print(f"stopped; {RESUME}")
        return 130
    except OSError as error:
        _print(f"error: {error}; {RESUME}, or remove {output} to start over")
        return 1
    if code == 0:
        _print(f"done in {time.monotonic() - started:.0f} s; the report:")
        print((output / "report" / "report.html").resolve())
    return code


def commands(output: Path, demo_web: web.Web, proxy: str) -> Iterator[tuple[str, ...]]:
    """The demo's commands in order."""
    corpus, run, evaluation, samples = (str(output / name) for name in ("corpus", "run", "evaluation", "samples.txt"))
    pipeline = (str(PYTHON), "-m", "pipeline")
    trainer = (str(PYTHON), "-m", "trainer")
    crawl = ("--proxy", proxy, "--host-delay", "0.02", "--contact", "demo@docs.python.example")
    text = ("--validation-share", "0.02", "--vocab-size", str(ENTRIES))
    yield (*pipeline, "run", "--submissions", str(demo_web.dump), "--output", corpus, *crawl, *text)
    yield (*trainer, "train", "tiny", "--data", f"{corpus}/tokens", "--out", run, *NETWORK, *STEPS, *LOG)
    yield (*trainer, "sample", run, "--prompt", *PROMPTS, "--temperature", "0.7", "--tokens", "150", "--seed", "1")
    yield (*trainer, "eval", run, "--data", f"{corpus}/tokens", "--tasks", "held_out", "--out", evaluation)
    yield (*pipeline, "report", "--corpus", corpus, "--run", run, "--evaluation", evaluation, "--output", str(output / "report"))


def _run_all(output: Path, demo_web: web.Web, proxy: str) -> int:
    for command in commands(output, demo_web, proxy):
        _print("\n$ " + shlex.join(command).replace(str(PYTHON), "python"))
        if code := _run(command):
            return code
    return 0


def _run(command: tuple[str, ...]) -> int:
    """Run the command and return its exit code. On Ctrl-C, interrupt the child and wait for it to end."""
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
            raise


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__, allow_abbrev=False)
    parser.add_argument("--output", default="demo", help="folder to fill (default: demo)")
    parser.add_argument("--pages", type=int, default=PAGES, help=f"modules to document (default: {PAGES})")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
