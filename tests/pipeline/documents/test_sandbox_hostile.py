"""Pages that are made to hurt a parser, and real pages with damage, through a sandbox."""

import os
import random
from dataclasses import replace
from pathlib import Path
from tarfile import open as open_tar

import psutil
import pytest

from pipeline.documents import sandbox as sandbox_module
from pipeline.documents.drops import REASONS, ExtractDrop
from pipeline.documents.extract import extract
from pipeline.documents.limits import SandboxLimits
from pipeline.documents.rules import DEFAULT_RULES, ExtractionRules
from pipeline.documents.sandbox import Sandbox
from pipeline.documents.sandbox_protocol import Extraction
from pipeline.records import Document, Drop, RawPage

SENTENCE = "The harbour was quiet that morning and nobody had yet seen the ship that came in with the tide. "


def page(number: int) -> RawPage:
    text = "".join(f"<p>{SENTENCE}It was day {number}, hour {hour} of the watch.</p>" for hour in range(8))
    return RawPage(f"http://example.org/{number}", f"<html><body>{text}</body></html>".encode())


GOOD = [page(i) for i in range(6)]
HOSTILE_SIZE = 1
DAMAGED = 2_000 if os.environ.get("WEBTEXT_FULL") else 400
KILLED = (ExtractDrop.CPU_TIME, ExtractDrop.WALL_TIME, ExtractDrop.MEMORY, ExtractDrop.CRASHED)


def hostile_pages() -> dict[str, bytes]:
    """A hundred pages that are made to hurt a parser: too many, too long, too deep or too odd elements."""
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
def test_hostile_pages_affect_no_other_page(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = SandboxLimits()
    requests: list[object] = []
    send = sandbox_module.send_message
    monkeypatch.setattr(sandbox_module, "send_message", lambda peer, payload: (requests.append(peer), send(peer, payload)))
    hostile = hostile_pages()
    assert len(hostile) == 100
    undisturbed = [extract(p) for p in GOOD]
    largest = 0
    killed: list[str] = []
    with Sandbox(replace(DEFAULT_RULES, languages=frozenset()), limits) as sandbox:
        for number, (name, body) in enumerate(hostile.items()):
            before = _cpu_seconds(sandbox)
            requests.clear()
            extraction = sandbox.extract(RawPage(f"http://hostile.org/{name}", body))
            assert len(set(requests)) <= 2, f"{name}: more than two workers tried the page"
            _assert_sound(extraction)
            if isinstance(extraction.result, Drop) and extraction.result.reason in KILLED:
                assert extraction.result.item == f"http://hostile.org/{name}"
                killed.append(f"{name}: {extraction.result.reason}")
            else:
                assert _cpu_seconds(sandbox) - before <= limits.cpu_seconds + 0.5, name
                largest = max(largest, psutil.Process(sandbox.worker).memory_info().rss)
            good = GOOD[number % len(GOOD)]
            assert sandbox.extract(good).result == undisturbed[number % len(GOOD)], f"after {name}"
    print(f"largest worker {largest >> 20} MiB, killed: {killed}")
    assert largest < limits.memory_bytes


def _cpu_seconds(sandbox: Sandbox) -> float:
    """CPU seconds of the worker until now; 0 where there is none."""
    if not sandbox.worker or not psutil.pid_exists(sandbox.worker):
        return 0.0
    times = psutil.Process(sandbox.worker).cpu_times()
    return times.user + times.system


def _assert_sound(extraction: Extraction) -> None:
    if isinstance(extraction.result, Document):
        text = extraction.result.text
        assert "\x00" not in text
        assert text.encode()
        assert "root:" not in text
    else:
        assert extraction.result.item.startswith("http://")
        assert extraction.result.reason in REASONS.values()


@pytest.mark.slow
def test_damaged_real_pages_crash_no_worker(shared_data: Path) -> None:
    """Pages damaged by noise, cuts, splices and doubled parts: 400, and 2,000 with WEBTEXT_FULL=1."""
    with open_tar(shared_data / "html" / "goose3.tar.xz") as archive:
        members = [file.read() for m in archive if m.isfile() and (file := archive.extractfile(m)) is not None]
    bodies = sorted(body for body in members if len(body) < 40_000)
    assert len(bodies) >= 10
    noise = random.Random(7)
    rules = ExtractionRules(extractor="cascade", languages=frozenset())
    outcomes = {Document: 0, Drop: 0}
    with Sandbox(rules) as sandbox:
        for number in range(DAMAGED):
            extraction = sandbox.extract(RawPage(f"http://mutated.org/{number}", mutated(noise, bodies)))
            _assert_sound(extraction)
            outcomes[type(extraction.result)] += 1
            if isinstance(extraction.result, Drop):
                assert extraction.result.reason not in (ExtractDrop.CRASHED, ExtractDrop.CPU_TIME, ExtractDrop.MEMORY), (
                    extraction.result
                )
    assert outcomes[Document] > DAMAGED / 2


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
