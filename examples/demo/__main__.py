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
NETWORK = f"--recipe modern --layers 4 --heads 4 --width 128 --context 256 --vocabulary {ENTRIES} --precision fp32"
"""In bf16 a step of so small a network takes 1.6 times the processor time on a CPU without AMX."""
STEPS = "--steps 630 --batch-tokens 1024 --micro-batch 4 --learning-rate 1e-2 --warmup-steps 20 --validate-every 90"
PROMPTS = ("Return the number of", "This module provides", "Raises ValueError if")
SAMPLING = "--temperature 0.6 --tokens 120 --seed 1"
SAMPLES = "samples.txt"
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
    corpus, run, evaluation = (str(output / name) for name in ("corpus", "run", "evaluation"))
    pipeline, trainer = (str(PYTHON), "-m", "pipeline"), (str(PYTHON), "-m", "trainer")
    crawl = ("--proxy", proxy, "--host-delay", "0.02", "--contact", "demo@docs.python.example")
    text = ("--validation-share", "0.02", "--vocab-size", str(ENTRIES))
    prompts = (word for prompt in PROMPTS for word in ("--prompt", prompt))
    sources = ("--run", run, "--sample", str(output / SAMPLES), "--evaluation", evaluation)
    yield (*pipeline, "run", "--submissions", str(demo_web.dump), "--output", corpus, *crawl, *text)
    yield (*trainer, "train", "tiny", "--data", f"{corpus}/tokens", "--out", run, *NETWORK.split(), *STEPS.split())
    yield (*trainer, "eval", run, "--data", f"{corpus}/tokens", "--tasks", "held_out", "--out", evaluation)
    yield (*trainer, "sample", run, *prompts, *SAMPLING.split())
    yield (*pipeline, "report", "--corpus", corpus, *sources, "--output", str(output / "report"))


def _run_all(output: Path, demo_web: web.Web, proxy: str) -> int:
    for command in commands(output, demo_web, proxy):
        _print("\n$ " + shlex.join(command).replace(str(PYTHON), "python"))
        made = {"sample": output / SAMPLES, "eval": output / "evaluation" / "results.json"}.get(command[3])
        if made and _is_younger(made, output / "run" / "checkpoints"):
            _print(f"{made}: up to date")
        elif code := _run(command, output / SAMPLES if "sample" in command else None):
            return code
    return 0


def _is_younger(made: Path, checkpoints: Path) -> bool:
    """Whether a file was written after the last checkpoint."""
    return made.exists() and all(made.stat().st_mtime > path.stat().st_mtime for path in checkpoints.rglob("*"))


def _run(command: tuple[str, ...], kept: Path | None) -> int:
    """Run the command and return its exit code; what it prints also goes into the file `kept`. On Ctrl-C, interrupt it and wait."""
    with subprocess.Popen(command, stdout=subprocess.PIPE if kept else None) as process:
        try:
            printed = process.stdout.read() if process.stdout else b""
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
            raise
    if kept and code == 0:
        sys.stdout.buffer.write(printed)
        sys.stdout.flush()
        if not kept.exists() or kept.read_bytes() != printed:
            kept.write_bytes(printed)
    return code


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__, allow_abbrev=False)
    parser.add_argument("--output", default="demo", help="folder to fill (default: demo)")
    parser.add_argument("--pages", type=int, default=PAGES, help=f"modules to document (default: {PAGES})")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
