import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pipeline.documents.extract import extract
from pipeline.documents.forkserver import Limits
from pipeline.documents.html import Gates
from pipeline.documents.rules import DEFAULT_RULES, Reason, Rules
from pipeline.documents.sandbox import Answer, Sandbox
from pipeline.records import Document, Drop, RawPage

WIDE_OPEN = replace(DEFAULT_RULES, languages=frozenset(), gates=Gates(10**9, 10**9, 10**9), extractor="trafilatura")
SENTENCE = "The harbour was quiet that morning and nobody had yet seen the ship that came in with the tide. "


def page(number: int, body: bytes | None = None) -> RawPage:
    text = "".join(f"<p>{SENTENCE}It was day {number}, hour {hour} of the watch.</p>" for hour in range(8))
    return RawPage(f"http://example.org/{number}", body if body is not None else f"<html><body>{text}</body></html>".encode())


SLOW = page(-1, b"<html><body>" + b"<p>word by word by word</p>" * 120_000)
FAT = page(-2, b"<table>" + b"<tr><td>x y z" * 1_500_000)
GOOD = [page(i) for i in range(6)]


def test_gives_what_extraction_in_this_process_gives() -> None:
    with Sandbox() as sandbox:
        assert [sandbox.extract(p).result for p in GOOD] == [extract(p) for p in GOOD]


@pytest.mark.parametrize(("limits", "bad", "reason"), [
    (Limits(cpu_seconds=0.3), SLOW, Reason.CPU_TIME),
    (Limits(wall_seconds=0.02), SLOW, Reason.WALL_TIME),
    (Limits(cpu_seconds=60, memory_bytes=600 << 20), FAT, Reason.MEMORY),
])  # fmt: skip
def test_a_page_beyond_its_bounds_is_dropped_and_the_next_one_is_not(limits: Limits, bad: RawPage, reason: Reason) -> None:
    rules = replace(WIDE_OPEN, extractor="resiliparse") if reason == Reason.MEMORY else replace(WIDE_OPEN, extractor="cascade")
    with Sandbox(rules, limits) as sandbox:
        dropped = sandbox.extract(replace(bad, body=bad.body)).result
        assert isinstance(dropped, Drop)
        assert (dropped.reason, dropped.item) == (reason, bad.url)
        assert isinstance(sandbox.extract(GOOD[0]).result, Document)


def test_a_worker_that_hangs_without_work_is_not_tried_again() -> None:
    with Sandbox(limits=Limits(wall_seconds=0.5)) as sandbox:
        sandbox.extract(GOOD[0])
        os.kill(sandbox.worker, signal.SIGSTOP)
        began = time.perf_counter()
        dropped = sandbox.extract(GOOD[1]).result
        assert time.perf_counter() - began < 1.5
        assert isinstance(dropped, Drop)
        assert dropped.reason == Reason.WALL_TIME


def test_a_worker_killed_from_outside_costs_no_page() -> None:
    with Sandbox() as sandbox:
        expected = sandbox.extract(GOOD[0])
        for _ in range(3):
            os.kill(sandbox.worker, signal.SIGKILL)
            assert sandbox.extract(GOOD[0]) == expected


def test_workers_are_replaced_after_so_many_pages() -> None:
    with Sandbox(limits=Limits(pages=2)) as sandbox:
        workers = []
        for p in GOOD:
            assert isinstance(sandbox.extract(p).result, Document)
            workers.append(sandbox.worker)
    assert len(set(workers)) == 3
    assert not any(psutil.pid_exists(worker) for worker in workers)


def test_nothing_survives_a_killed_parent(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import time
        from pipeline.extract import RawPage
        from pipeline.extraction.sandbox import Sandbox
        sandbox = Sandbox()
        sandbox.extract(RawPage("http://example.org/", b"<p>text</p>"))
        print(sandbox.worker, flush=True)
        time.sleep(600)
    """)
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    nursery = worker.parent()
    assert nursery is not None
    assert nursery.pid != parent.pid
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert psutil.wait_procs([worker, nursery], timeout=30)[1] == []


def test_extraction_needs_no_beam() -> None:
    program = "import sys, pipeline.documents.forkserver; sys.exit('apache_beam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


HOSTILE_SIZE = 1
KILLED = (Reason.CPU_TIME, Reason.WALL_TIME, Reason.MEMORY, Reason.CRASHED)


def hostile_pages() -> dict[str, bytes]:
    """A hundred pages made to hurt a parser: too many, too long, too deep, too odd."""
    n = HOSTILE_SIZE
    para = f"<p>{SENTENCE}</p>"
    shapes: dict[str, str] = {
        "paragraphs": "<p>short words</p>" * (200_000 * n),
        "breaks": "<br>" * (1_000_000 * n),
        "attributes": "<p " + " ".join(f"a{i}=1" for i in range(1_000_000 * n)) + ">x</p>" + para,
        "attributes with >": "<p " + " ".join(f'a{i}=">"' for i in range(200_000 * n)) + ">x</p>" + para,
        "links": "<a href=/x>link</a> " * (200_000 * n),
        "cells": "<table>" + "<tr><td>cell" * (100_000 * n) + "</table>",
        "colspan": "<table><tr><td colspan=999999999>a<td rowspan=99999999>b</table>" + para,
        "options": "<select>" + "<option>x" * (200_000 * n) + "</select>",
        "items": "<ul>" + "<li>item" * (100_000 * n) + "</ul>",
        "equal paragraphs": para * 20_000,
        "one word": "<p>" + "a" * 4_000_000 + "</p>",
        "one line": "<p>" + SENTENCE * 30_000 + "</p>",
        "long attribute": f"<p title='{'x' * 3_000_000}'>{SENTENCE}</p>",
        "comment": "<!--" + "x" * 3_000_000 + "-->" + para,
        "open comment": "<!--" * 100_000 + para,
        "cdata": "<![CDATA[" * 100_000 + para,
        "entities": "&amp;" * 500_000,
        "bad entities": "&#xD800;&#0;&#99999999999;&nosuch;" * 50_000,
        "laughs": '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>' + "<p>&b;&b;&b;</p>" + para,
        "outside entity": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><p>&a;</p>' + para,
        "scripts": "<script>var a = '<p>';</script>" * 50_000 + para,
        "open script": "<script>" + para * 1000,
        "json": '<script type="application/ld+json">' + '{"a":' * 50_000 + "</script>" + para * 5,
        "json body": '<script type="application/ld+json">{"articleBody": "' + "<" * 500_000 + '"}</script>' + para * 5,
        "frames": "<frameset>" * 1000 + para,
        "forms": "<form>" * 20_000 + para,
        "empty": "", "white": " \n" * 1_000_000, "angle": "<" * 100_000, "closing": "</p>" * 90_000, "quotes": '"' * 1_000_000,
    }  # fmt: skip
    for tag in ("div", "p", "span", "b", "table", "ul><li", "blockquote", "font", "a", "section", "article", "i", "em", "dl><dd"):
        shapes[f"deep {tag}"] = f"<{tag}>" * 40_000 + SENTENCE * 4
    for tag in (
        "h1",
        "pre",
        "code",
        "td",
        "dt",
        "img src=x",
        "input",
        "hr",
        "svg",
        "math",
        "noscript",
        "template",
        "iframe",
        "q",
    ):
        shapes[f"many {tag}"] = f"<{tag}>text " * 60_000
    pages = {name: shape.encode("utf-8", "surrogatepass") for name, shape in shapes.items()}
    body = (para * 20).encode()
    charsets = ["utf-7", "punycode", "idna", "utf-16", "utf-32", "rot13", "hex", "zlib", "iso-2022-jp", "u\x00tf", "utf-8"]
    for charset in [*charsets, "x" * 40]:
        pages[f"charset {charset}"] = f'<meta charset="{charset}">'.encode() + body + b"\xff\xfe\xc3"
    pages |= {
        "nul": b"<p>\x00" * 50_000 + body, "nul only": b"\x00" * 1_000_000, "gzip": b"\x1f\x8b\x08" + os.urandom(1000),
        "bom": b"\xff\xfe" + body, "utf-16": ("\ufeff" + para * 20).encode("utf-16-le"),
        "surrogates": b"<p>\xed\xa0\x80\xed\xb0\x80" + body,
        "combining": ("<p>" + "a" + "\u0301" * 200_000).encode(), "rtl": ("<p>" + "\u202e" * 100_000).encode(),
        "jamo": ("<p>" + "\u1100\u1161\u11a8" * 100_000).encode(), "private": ("<p>" + "\ue000\U0010ffff" * 100_000).encode(),
        "pdf": b"%PDF-1.7\n" + body, "png": b"\x89PNG\r\n\x1a\n" + b"\x00" * 10_000, "ligature": ("<p>" + "\ufdfa" * 100_000).encode(),
    }  # fmt: skip
    noise = random.Random(4)
    for i in range(100 - len(pages)):
        pages[f"noise {i}"] = noise.randbytes(1_000 * 4 ** (i % 5)) + body
    return pages


@pytest.mark.slow
def test_hostile_pages_hurt_nobody_else() -> None:
    limits = Limits()
    hostile = hostile_pages()
    assert len(hostile) == 100
    undisturbed = [extract(p) for p in GOOD]
    largest, slowest = 0, 0.0
    killed: list[str] = []
    with Sandbox(replace(DEFAULT_RULES, languages=frozenset()), limits) as sandbox:
        for number, (name, body) in enumerate(hostile.items()):
            before, began = _cpu_seconds(sandbox), time.perf_counter()
            answer = sandbox.extract(RawPage(f"http://hostile.org/{name}", body))
            slowest = max(slowest, time.perf_counter() - began)
            _is_sound(answer)
            if isinstance(answer.result, Drop) and answer.result.reason in KILLED:
                assert answer.result.item == f"http://hostile.org/{name}"
                killed.append(f"{name}: {answer.result.reason}")
            else:
                assert _cpu_seconds(sandbox) - before <= limits.cpu_seconds + 0.5, name
                largest = max(largest, psutil.Process(sandbox.worker).memory_info().rss)
            good = GOOD[number % len(GOOD)]
            assert sandbox.extract(good).result == undisturbed[number % len(GOOD)], f"after {name}"
    print(f"largest worker {largest >> 20} MiB, slowest page {slowest:.1f} s, killed: {killed}")
    assert largest < limits.memory_bytes
    assert slowest <= limits.wall_seconds + 0.5


def _cpu_seconds(sandbox: Sandbox) -> float:
    """Of the worker so far; a page's wall time is its CPU time on a machine with nothing else to do."""
    if not sandbox.worker or not psutil.pid_exists(sandbox.worker):
        return 0.0
    times = psutil.Process(sandbox.worker).cpu_times()
    return times.user + times.system


def _is_sound(answer: Answer) -> None:
    if isinstance(answer.result, Document):
        text = answer.result.text
        assert "\x00" not in text
        assert text.encode()
        assert "root:" not in text
    else:
        assert answer.result.item.startswith("http://")
        assert isinstance(answer.result.reason, Reason)


@pytest.mark.slow
def test_mutated_real_pages(shared_data: Path) -> None:
    """Two thousand pages damaged by noise, cuts, splices and doubled parts."""
    from tarfile import open as open_tar

    with open_tar(shared_data / "html" / "goose3.tar.xz") as archive:
        members = [file.read() for m in archive if m.isfile() and (file := archive.extractfile(m)) is not None]
    bodies = sorted(body for body in members if len(body) < 40_000)
    assert len(bodies) >= 10
    noise = random.Random(7)
    rules = Rules(extractor="cascade", languages=frozenset())
    outcomes = {Document: 0, Drop: 0}
    with Sandbox(rules) as sandbox:
        for number in range(2_000):
            answer = sandbox.extract(RawPage(f"http://mutated.org/{number}", mutated(noise, bodies)))
            _is_sound(answer)
            outcomes[type(answer.result)] += 1
            if isinstance(answer.result, Drop):
                assert answer.result.reason not in (Reason.CRASHED, Reason.CPU_TIME, Reason.MEMORY), answer.result
    assert outcomes[Document] > 1_000


def mutated(noise: random.Random, bodies: list[bytes]) -> bytes:
    body = bytearray(noise.choice(bodies))
    for _ in range(noise.randint(1, 8)):
        at, end = sorted(noise.randrange(len(body) + 1) for _ in range(2))
        kind = noise.randrange(5)
        if kind == 0:
            for _ in range(200):
                body[noise.randrange(len(body))] = noise.randrange(256) if body else 0
        elif kind == 1 and end < len(body) - 1000:
            del body[at : min(end, at + 2000)]
        elif kind == 2:
            body[at:at] = noise.choice(bodies)[:3000]
        elif kind == 3:
            body[at:at] = noise.choice(
                [b"<div>" * 300, b"</p></div>" * 50, b"<table><tr><td>", b"<!--", b"<script>", b"\x00" * 50]
            )
        else:
            body[at:at] = body[at : min(end, at + 3000)]
    return bytes(body)
