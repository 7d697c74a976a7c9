"""`make demo`: the whole main job on the documentation of this machine's Python. No account, no network, no data needed.

It runs the commands that a person would type, and prints them; nothing in them is special but the switch that admits the loopback.
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
AGAIN = "run make demo again to go on"


def main() -> int:
    """Build the web, serve it, run pipeline and trainer over it; the report's path is the last line."""
    arguments = _arguments()
    output, started = Path(arguments.output), time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        served = web.build(output / "web", arguments.pages, SEED, _tell)
        code = _run_all(output, served)
    except KeyboardInterrupt:
        _tell(f"stopped; {AGAIN}")
        return 130
    except OSError as error:
        _tell(f"error: {error}; {AGAIN}, or remove {output} to start afresh")
        return 1
    if code == 0:
        _tell(f"done in {time.monotonic() - started:.0f} s; the report:")
        print((output / "report" / "report.html").resolve())
    return code


def commands(output: Path, served: web.Web) -> Iterator[tuple[str, ...]]:
    """What a person would type for this corpus, in order; each is asked for when those before it are done."""
    corpus, run = output / "corpus", output / "run"
    pipeline = (str(PYTHON), "-m", "pipeline")
    trainer = (str(PYTHON), "-m", "trainer")
    crawl = ("--allow_addresses", "127.0.0.0/8", "--host_delay", "0.05", "--contact", "demo@localhost")
    split = ("--validation_share", "0.02", "--smaller_vocabulary")
    yield (*pipeline, "run", "--submissions", str(served.dump), "--output", str(corpus), *crawl, *split)
    yield (*trainer, "train", "tiny", "--data", f"{corpus}/tokens", "--out", str(run), *_vocabulary(corpus))
    yield (*trainer, "sample", str(run), "--prompt", PROMPT, "--seed", "1")
    yield (*trainer, "eval", str(run), "--data", f"{corpus}/tokens", "--tasks", "held_out", "--out", f"{output}/evaluation")
    shown = ("--run", str(run), "--evaluation", f"{output}/evaluation", "--output", f"{output}/report")
    yield (*pipeline, "report", "--corpus", str(corpus), *shown)


def _vocabulary(corpus: Path) -> tuple[str, ...]:
    """The trainer's flag where the documentation of this machine is too little text for all 50,257 entries."""
    entries = json.loads((corpus / "tokens" / "manifest.json").read_bytes())["dataset"]["vocab_size"]
    return () if entries == ENTRIES else ("--vocabulary", str(entries))


def _run_all(output: Path, served: web.Web) -> int:
    crawled = (output / "corpus" / "pages" / "manifest.json").exists()
    with contextlib.nullcontext() if crawled else web.served(served):
        for command in commands(output, served):
            _tell("\n$ " + shlex.join(command).replace(str(PYTHON), "python"))
            code = _run(command)
            if code:
                return code
    return 0


def _run(command: tuple[str, ...]) -> int:
    """The command's exit code. Ctrl-C reaches the child too: it is waited for."""
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
            raise


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__, allow_abbrev=False)
    parser.add_argument("--output", default="demo", help="folder to fill (default: demo)")
    parser.add_argument("--pages", type=int, default=PAGES, help=f"modules to document (default: {PAGES})")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
