import os
import signal
import socket
import subprocess
import sys
import textwrap
from dataclasses import replace

import psutil
import pytest

from pipeline.documents import sandbox as sandbox_module
from pipeline.documents.drops import ExtractDrop
from pipeline.documents.extract import extract
from pipeline.documents.gates import Gates
from pipeline.documents.limits import SandboxLimits
from pipeline.documents.rules import DEFAULT_RULES
from pipeline.documents.sandbox import Sandbox
from pipeline.records import Document, Drop, RawPage

WIDE_OPEN = replace(DEFAULT_RULES, languages=frozenset(), gates=Gates(10**9, 10**9, 10**9), extractor="trafilatura")
SENTENCE = "The harbour was quiet that morning and nobody had yet seen the ship that came in with the tide. "


def page(number: int, body: bytes | None = None) -> RawPage:
    text = "".join(f"<p>{SENTENCE}It was day {number}, hour {hour} of the watch.</p>" for hour in range(8))
    return RawPage(f"http://example.org/{number}", body if body is not None else f"<html><body>{text}</body></html>".encode())


SLOW = page(-1, b"<html><body>" + b"<p>word by word by word</p>" * 120_000)
FAT = page(-2, b"<table>" + b"<tr><td>x y z" * 1_500_000)
GOOD = [page(i) for i in range(6)]
PATIENT = SandboxLimits(wall_seconds=120)
"""A deadline that no page reaches, however busy the machine is."""


def test_sandbox_gives_what_extract_gives() -> None:
    with Sandbox(limits=PATIENT) as sandbox:
        assert [sandbox.extract(p).result for p in GOOD] == [extract(p) for p in GOOD]


def test_a_default_time_out_of_sockets_does_not_reach_the_sandbox() -> None:
    """Beam sets one of 60 s when it asks for Google's credentials."""
    socket.setdefaulttimeout(0.001)
    try:
        with Sandbox(limits=PATIENT) as sandbox:
            assert [sandbox.extract(p).result for p in GOOD] == [extract(p) for p in GOOD]
            os.kill(sandbox.worker, signal.SIGKILL)
            assert isinstance(sandbox.extract(GOOD[0]).result, Document)
    finally:
        socket.setdefaulttimeout(None)


@pytest.mark.parametrize(("limits", "bad", "reason"), [
    (replace(PATIENT, cpu_seconds=0.3), SLOW, ExtractDrop.CPU_TIME),
    (SandboxLimits(wall_seconds=0.02), SLOW, ExtractDrop.WALL_TIME),
    (replace(PATIENT, cpu_seconds=60, memory_bytes=600 << 20), FAT, ExtractDrop.MEMORY),
])  # fmt: skip
def test_page_beyond_a_limit_is_dropped_and_the_next_is_not(limits: SandboxLimits, bad: RawPage, reason: ExtractDrop) -> None:
    rules = (
        replace(WIDE_OPEN, extractor="resiliparse") if reason == ExtractDrop.MEMORY else replace(WIDE_OPEN, extractor="cascade")
    )
    with Sandbox(rules, limits) as sandbox:
        drop = sandbox.extract(replace(bad, body=bad.body)).result
        assert isinstance(drop, Drop)
        assert (drop.reason, drop.item) == (reason, bad.url)
        sandbox.limits = PATIENT
        assert isinstance(sandbox.extract(GOOD[0]).result, Document)


def test_page_is_not_retried_after_a_worker_that_hangs_without_work(monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[bytes] = []
    send = sandbox_module.send_message
    with Sandbox(limits=PATIENT) as sandbox:
        sandbox.extract(GOOD[0])
        os.kill(sandbox.worker, signal.SIGSTOP)
        sandbox.limits = SandboxLimits(wall_seconds=0.5)
        monkeypatch.setattr(sandbox_module, "send_message", lambda peer, payload: (messages.append(payload), send(peer, payload)))
        drop = sandbox.extract(GOOD[1]).result
    assert len(messages) == 1
    assert isinstance(drop, Drop)
    assert drop.reason == ExtractDrop.WALL_TIME


def test_worker_killed_from_outside_costs_no_page() -> None:
    with Sandbox(limits=PATIENT) as sandbox:
        expected = sandbox.extract(GOOD[0])
        for _ in range(3):
            os.kill(sandbox.worker, signal.SIGKILL)
            assert sandbox.extract(GOOD[0]) == expected


def test_worker_is_replaced_after_its_number_of_pages() -> None:
    with Sandbox(limits=replace(PATIENT, pages=2)) as sandbox:
        workers = []
        for p in GOOD:
            assert isinstance(sandbox.extract(p).result, Document)
            workers.append(sandbox.worker)
    assert len(set(workers)) == 3
    assert not any(psutil.pid_exists(worker) for worker in workers)


def test_no_process_survives_a_killed_parent() -> None:
    script = textwrap.dedent("""
        import time
        from pipeline.documents.sandbox import Sandbox
        from pipeline.extract import RawPage
        sandbox = Sandbox()
        sandbox.extract(RawPage("http://example.org/", b"<p>text</p>"))
        print(sandbox.worker, flush=True)
        time.sleep(600)
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            worker = psutil.Process(int(parent.stdout.readline()))
            forkserver = worker.parent()
            assert forkserver is not None
            assert forkserver.pid != parent.pid
        finally:
            parent.kill()
    assert psutil.wait_procs([worker, forkserver], timeout=30)[1] == []


def test_extraction_needs_no_beam() -> None:
    program = "import sys, pipeline.documents.forkserver; sys.exit('apache_beam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
