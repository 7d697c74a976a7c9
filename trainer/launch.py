"""`webtext-train launch`: several ranks on this machine, as torchrun starts them, with every port on the loopback interface.

torchrun's own rendezvous listens on all interfaces, also on one machine: whoever reaches its port can join the run. This command is
torchrun with a rendezvous of its own, whose store is a socket of 127.0.0.1.
"""

import os
import socket
from argparse import Namespace
from collections.abc import Sequence
from uuid import uuid4

from torch.distributed import TCPStore, run  # type: ignore[attr-defined]  # torch names it without exporting it
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import (
    RendezvousHandler,
    RendezvousInfo,
    RendezvousParameters,
    RendezvousStoreInfo,
    rendezvous_handler_registry,
)

from trainer.subcommands import launch_parser

HOST = "127.0.0.1"
BACKEND = "loopback"


class LoopbackRendezvous(RendezvousHandler):
    """The rendezvous of a single agent: its store listens on 127.0.0.1 alone. Each start of the ranks has a namespace of its own."""

    def __init__(self, run_id: str) -> None:
        with socket.socket() as listening:
            listening.bind((HOST, 0))
            listening.listen()
            self._port = int(listening.getsockname()[1])
            self._store = TCPStore(
                HOST, self._port, is_master=True, wait_for_workers=False, master_listen_fd=listening.detach(), use_libuv=True
            )
        self._run_id, self._starts, self._closed = run_id, 0, False

    @property
    def use_agent_store(self) -> bool:
        """True: the ranks use this store, and none of them opens another."""
        return True

    def get_backend(self) -> str:
        """The name of the rendezvous."""
        return BACKEND

    def next_rendezvous(self) -> RendezvousInfo:
        """A start of all ranks."""
        self._starts += 1
        store = PrefixStore(f"agent/{self._starts}", self._store)
        return RendezvousInfo(store, 0, 1, RendezvousStoreInfo(HOST, self._port))

    def is_closed(self) -> bool:
        """Whether the run is over."""
        return self._closed

    def set_closed(self) -> None:
        """Note that the run is over."""
        self._closed = True

    def num_nodes_waiting(self) -> int:
        """0: no other machine can join."""
        return 0

    def get_run_id(self) -> str:
        """The run's id."""
        return self._run_id

    def shutdown(self) -> bool:
        """End the rendezvous."""
        self._closed = True
        return True


def main(words: Sequence[str]) -> int:
    """Start the ranks, each of which runs the rest of the command line; returns the exit code of the rank that failed first."""
    arguments = _arguments(words)
    rendezvous_handler_registry.register(BACKEND, _create)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // arguments.ranks)))
    launch = ["--nproc-per-node", str(arguments.ranks), "--max-restarts", str(arguments.max_restarts)]
    launch += ["--local-addr", HOST, "--rdzv-backend", BACKEND, "--rdzv-endpoint", f"{HOST}:0", "--rdzv-id", uuid4().hex]
    try:
        run.main([*launch, "-m", "trainer", *arguments.command])
    except ChildFailedError as error:
        return max(1, error.get_first_failure()[1].exitcode)
    return 0


def _create(params: RendezvousParameters) -> RendezvousHandler:
    return LoopbackRendezvous(params.run_id)


def _arguments(words: Sequence[str]) -> Namespace:
    parser = launch_parser()
    arguments = parser.parse_args(list(words))
    if arguments.ranks < 1 or not arguments.command:
        parser.error("give --ranks of at least 1, then a command of webtext-train")
    return arguments
