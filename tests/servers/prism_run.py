"""Every stage on Prism, with an external worker pool: `prism_run.py PRISM MONTH CORPUS [--kill pool|prism [--stage dedup]] [--hide]`.

Prism and Beam's worker pool listen on all interfaces, so this program is started in a network namespace of its own, which has the
loopback interface alone. The pool's workers are threads of one process: a process each would import Beam for every pipeline.
With --kill, that server is killed by SIGKILL when the first part of `documents`, or of --stage, is done; then both are started
again, and the same stages are run once more. With --hide, the pool sees an empty disk in the corpus folder's place.
"""

import argparse
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from small_web import Month, every_stage

from pipeline.documents import page_ranges
from pipeline.engine.runner import Engine
from tokenizer.errors import InputError

JOBS, POOL = 8073, 50000
"""Ports of a namespace that nobody else uses."""
WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"]
"""The beginning of a command that ends with this program, however that ends."""


@dataclass
class Servers:
    """Prism and a worker pool, and what was killed of them."""

    prism: str
    log: Path
    hidden: Path | None = None
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self) -> None:
        """Start both and wait until they listen."""
        commands = {
            "prism": [self.prism, f"-job_port={JOBS}", "-serve_http=false", "-log_kind=text"],
            "pool": [*self._elsewhere(), sys.executable, __file__, "--serve-pool"],
        }
        for name, command in commands.items():
            with (self.log / f"{name}.log").open("ab") as sink:
                self.running[name] = subprocess.Popen([*WITH_PARENT, *command], stdout=sink, stderr=sink)
        for port in (JOBS, POOL):
            _until_open(port)

    def _elsewhere(self) -> list[str]:
        """The beginning of a command that sees an empty disk in the place of the hidden folder."""
        if self.hidden is None:
            return []
        return ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$1" && shift && exec "$@"', "sh", str(self.hidden)]

    def kill(self, name: str, how: int = signal.SIGKILL) -> None:
        """End a server by a signal."""
        self.running[name].send_signal(how)
        self.running[name].wait()

    def stop(self) -> None:
        """End both."""
        for name in self.running:
            self.kill(name)


def _until_open(port: int) -> None:
    for _ in range(3000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"no server listens on port {port}")


def serve_pool() -> None:
    """Serve a worker pool whose workers are threads, until this process is ended."""
    from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

    _, server = BeamFnExternalWorkerPoolServicer.start(use_process=False, port=POOL)
    server.wait_for_termination()


def kill_in_stage(servers: Servers, name: str, folder: Path, killed: threading.Event) -> None:
    """Kill a server when the first part of a stage has its receipt."""
    while not list(folder.glob(".work/*/*/*.receipt.json")):
        if (folder / "manifest.json").exists():
            return
        time.sleep(0.01)
    servers.kill(name)
    killed.set()


def main() -> None:
    """Run the stages; print `killed` where a server was, and `failed` where the first run did not end well."""
    parser = argparse.ArgumentParser()
    parser.add_argument("prism", nargs="?")
    parser.add_argument("month", type=Path, nargs="?")
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--kill", choices=["pool", "prism"])
    parser.add_argument("--stage", default="documents")
    parser.add_argument("--hide", action="store_true")
    parser.add_argument("--serve-pool", action="store_true")
    arguments = parser.parse_args()
    if arguments.serve_pool:
        serve_pool()
        return
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    page_ranges.MIN_PAGES_PER_RANGE = 4
    month = Month(*(str(arguments.month / name) for name in ("RS_2017-12.jsonl", "pages.warc.gz", "quotes.txt")), 0)
    flags = ("--runner=PortableRunner", f"--job_endpoint=127.0.0.1:{JOBS}", "--environment_type=EXTERNAL")
    engine = Engine(beam_flags=(*flags, f"--environment_config=127.0.0.1:{POOL}"))
    arguments.corpus.mkdir(exist_ok=True)
    servers = Servers(arguments.prism, arguments.corpus.parent, arguments.corpus if arguments.hide else None)
    servers.start()
    killed = threading.Event()
    try:
        if arguments.kill:
            folder = arguments.corpus / arguments.stage
            threading.Thread(target=kill_in_stage, args=(servers, arguments.kill, folder, killed), daemon=True).start()
            with suppress(Exception):
                every_stage(str(arguments.corpus), month, engine)
            assert killed.is_set(), "the stages ended before the kill"
            assert not (folder / "manifest.json").exists(), "the stage ended in spite of the kill"
            print("killed", flush=True)
            servers.stop()
            servers.start()
        every_stage(str(arguments.corpus), month, engine)
    except InputError as error:
        print(error)
        sys.exit(2)
    finally:
        servers.stop()


if __name__ == "__main__":
    main()
