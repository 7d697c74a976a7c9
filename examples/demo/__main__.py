"""`make demo`: the whole job, from links to a report, on the documentation of this machine's Python. It needs no account, network or data.

The demo prints each command that it runs. The only special flag is the one that permits loopback addresses.
"""

import argparse
import contextlib
import json
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
ENTRIES = 50_257
PROMPT = "Return the number of"
PYTHON = Path(sys.executable)
RESUME = "run make demo again to continue"


def main() -> int:
    """Build the web, serve it, and run the pipeline and the trainer on it. The last line printed is the path of the report."""
    arguments = _arguments()
    output, started = Path(arguments.output), time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        demo_web = web.build(output / "web", arguments.pages, SEED, _print)
        code = _run_all(output, demo_web)
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


def commands(output: Path, demo_web: web.Web) -> Iterator[tuple[str, ...]]:
    """The demo's commands in order. A generator, because a command may depend on the output of those before it."""
    corpus, run = output / "corpus", output / "run"
    pipeline = (str(PYTHON), "-m", "pipeline")
    trainer = (str(PYTHON), "-m", "trainer")
    crawl = ("--allow-addresses", "127.0.0.0/8", "--host-delay", "0.05", "--contact", "demo@localhost")
    split = ("--validation-share", "0.02", "--smaller-vocabulary")
    yield (*pipeline, "run", "--submissions", str(demo_web.dump), "--output", str(corpus), *crawl, *split)
    yield (*trainer, "train", "tiny", "--data", f"{corpus}/tokens", "--out", str(run), *_vocabulary(corpus))
    yield (*trainer, "sample", str(run), "--prompt", PROMPT, "--seed", "1")
    yield (*trainer, "eval", str(run), "--data", f"{corpus}/tokens", "--tasks", "held_out", "--out", f"{output}/evaluation")
    sources = ("--run", str(run), "--evaluation", f"{output}/evaluation", "--output", f"{output}/report")
    yield (*pipeline, "report", "--corpus", str(corpus), *sources)


def _vocabulary(corpus: Path) -> tuple[str, ...]:
    """The flag `--vocabulary`, if this machine has too little documentation for all 50,257 entries."""
    entries = json.loads((corpus / "tokens" / "manifest.json").read_bytes())["dataset"]["vocab_size"]
    return () if entries == ENTRIES else ("--vocabulary", str(entries))


def _run_all(output: Path, demo_web: web.Web) -> int:
    crawled = (output / "corpus" / "pages" / "manifest.json").exists()
    with contextlib.nullcontext() if crawled else web.serve(demo_web):
        for command in commands(output, demo_web):
            _print("\n$ " + shlex.join(command).replace(str(PYTHON), "python"))
            code = _run(command)
            if code:
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
