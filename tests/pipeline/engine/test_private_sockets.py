"""A run with worker processes listens on no network interface; its sockets lie in a folder for this user alone."""

import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import apache_beam as beam
import pytest
from listeners import listeners, processes, sockets

from pipeline.engine.private_sockets import private_servers
from pipeline.engine.runner import Engine
from pipeline.engine.worker_pool import persistent_workers

ROOT = os.getpid()


def unix_listeners(inodes: set[str]) -> list[str]:
    """Paths of the Unix sockets among `inodes` that accept connections (flag 00010000)."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return [row[7] for row in rows if row[3] == "00010000" and row[6] in inodes and len(row) > 7]


def look(number: int, driver: int, folder: str) -> None:
    """Called in a worker: note the listeners of the driver's whole tree."""
    if os.getpid() == driver:
        raise AssertionError("no worker process")
    inodes = set().union(*(sockets(process) for process in processes(driver)))
    Path(folder, f"{number}.tcp").write_text("\n".join(listeners(inodes)))
    paths = [path for path in unix_listeners(inodes) if "/webtext-" in path]
    modes = {stat.S_IMODE(Path(path).parent.stat().st_mode) for path in paths}
    Path(folder, f"{number}.unix").write_text(f"{len(paths)} {modes}")


def engines() -> list[tuple[str, Callable[[Engine], AbstractContextManager[Engine]], tuple[str, ...]]]:
    return [
        ("per pipeline", nullcontext, ()),
        ("persistent", lambda engine: persistent_workers(engine, 2), ()),
        ("Beam's own workers", nullcontext, ("--direct_running_mode=multi_processing",)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "workers", "flags"), engines(), ids=[kind for kind, _, _ in engines()])
def test_a_run_with_two_workers_listens_on_no_interface(
    tmp_path: Path,
    kind: str,
    workers: Callable[[Engine], AbstractContextManager[Engine]],
    flags: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=os.pathsep)  # the workers import `listeners`
    with workers(Engine(workers=2, beam_flags=flags)) as engine:
        numbers = beam.Create(range(4)) | beam.Reshuffle()
        engine.run(lambda pipeline: pipeline | numbers | beam.Map(look, ROOT, str(tmp_path)), 4)
    for number in range(4):
        assert not (tmp_path / f"{number}.tcp").read_text(), kind
        count, _, modes = (tmp_path / f"{number}.unix").read_text().partition(" ")
        assert int(count) >= 6  # control, data, state, logging and one log server per worker
        assert modes == f"{ {0o700} }"


def test_sockets_are_removed_and_beam_is_restored() -> None:
    import grpc
    from apache_beam.runners.portability.fn_api_runner import worker_handlers

    with private_servers():
        with private_servers():
            server = worker_handlers.grpc.server(None)
            path = Path(server.add_insecure_port("[::]:0"))
            assert path.is_socket()
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert worker_handlers.grpc is not grpc
        assert path.is_socket()
        server.stop(None)
    assert worker_handlers.grpc is grpc
    assert not path.parent.exists()


def test_other_addresses_are_bound_as_named() -> None:
    from apache_beam.runners.portability.fn_api_runner import worker_handlers

    with private_servers():
        server = worker_handlers.grpc.server(None)
        assert server.add_insecure_port("127.0.0.1:0") > 0
        server.stop(None)
