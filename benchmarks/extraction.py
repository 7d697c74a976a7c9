"""Extraction against its peers: quality on gold pages, CPU time a page.

    python benchmarks/extraction.py quality  ../shared/data/html [--rounds 3] [--peer datatrove=/path/to/python …]
    python benchmarks/extraction.py strings  ../shared/data/html
    python benchmarks/extraction.py pace     ../shared/data/html

`quality` prints 4-word-shingle F1 on scrapinghub's pages, each half by itself, for eight settings of trafilatura, resiliparse, ours and
the peers; `strings` trafilatura's with/without strings; `pace` the sandbox beside a bare loop with equal settings, and the growth of cost.
"""

import argparse
import json
import logging
import math
import pickle
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import trafilatura
from gold import HALVES, GoldPage, load, score, strings, timed

from pipeline.extract import DEFAULT_RULES, RawPage, extract
from pipeline.extraction import charset, extractors, html
from pipeline.extraction.sandbox import Sandbox
from pipeline.records import Document

KEEP_ALL = replace(DEFAULT_RULES, languages=frozenset(), min_characters=0, excluded_sites=frozenset())
SETTINGS: dict[str, dict[str, bool]] = {
    "default": {},
    "no comments": {"include_comments": False},
    "fast": {"fast": True},
    "fast, no comments": {"fast": True, "include_comments": False},
    "fast, no comments, no tables": {"fast": True, "include_comments": False, "include_tables": False},
    "precision (FineWeb)": {"favor_precision": True, "include_comments": False},
    "fast precision": {"fast": True, "favor_precision": True, "include_comments": False},
    "recall": {"favor_recall": True, "include_comments": False},
    "fast recall": {"fast": True, "favor_recall": True, "include_comments": False},
}


def by_setting(options: dict[str, bool]) -> Callable[[GoldPage], str]:
    return lambda page: trafilatura.extract(page.body, **options) or ""


def ours(**changes: object) -> Callable[[GoldPage], str]:
    rules = replace(KEEP_ALL, **changes)  # type: ignore[arg-type]

    def text(page: GoldPage) -> str:
        result = extract(RawPage(page.url or "http://example.org/", page.body), rules)
        return result.text if isinstance(result, Document) else ""

    return text


def contenders() -> dict[str, Callable[[GoldPage], str]]:
    return {
        **{f"trafilatura {name}": by_setting(options) for name, options in SETTINGS.items()},
        "ours, resiliparse": ours(extractor="resiliparse"),
        "ours, trafilatura": ours(extractor="trafilatura"),
        "ours, cascade, nothing stripped": ours(strip_title=False, strip_boilerplate=False),
        "ours (default)": ours(),
    }


def peer(name: str, python: str, pages: list[GoldPage]) -> tuple[list[str], float]:
    """Texts and CPU milliseconds a page of a peer in an environment of its own."""
    bodies = pickle.dumps([charset.decode(page.body, None)[0] for page in pages])
    command = [python, str(Path(__file__).with_name("extraction_peer.py")), name]
    answer = json.loads(subprocess.run(command, input=bodies, stdout=subprocess.PIPE, check=True).stdout)
    return answer["texts"], answer["cpu_seconds"] / len(pages) * 1000


def quality(folder: Path, rounds: int, peers: dict[str, str]) -> None:
    pages = load(folder, ["scrapinghub"])
    print("| extractor | ms a page | pages a CPU second |" + "".join(f" {half}: P | R | F1 |" for half in HALVES))
    print("|---" * 9 + "|")
    for name, (texts, milliseconds) in timed(pages, contenders(), rounds).items():
        print(_row(name, pages, texts, milliseconds), flush=True)
    for name, python in peers.items():
        print(_row(name, pages, *peer(name, python, pages)), flush=True)


def _row(name: str, pages: list[GoldPage], texts: list[str], milliseconds: float) -> str:
    cells = []
    for half in HALVES:
        scored = score([(page, text) for page, text in zip(pages, texts, strict=True) if page.half == half])
        cells += [f"{scored.precision:.3f}", f"{scored.recall:.3f}", f"**{scored.f1:.4f}**"]
    return f"| {name} | {milliseconds:.1f} | {1000 / milliseconds:.0f} | {' | '.join(cells)} |"


def with_and_without(folder: Path) -> None:
    pages = load(folder, ["trafilatura"])
    chosen = {"trafilatura default": by_setting({}), "ours, trafilatura": ours(extractor="trafilatura"), "ours (default)": ours()}
    for name, (texts, milliseconds) in timed(pages, chosen, 1).items():
        kept, wanted, wrong, unwanted = strings(zip(pages, texts, strict=True))
        print(f"| {name} | {kept:,}/{wanted:,} | {wrong:,}/{unwanted:,} | {milliseconds:.1f} |", flush=True)


def pace(folder: Path, rounds: int) -> None:
    """The sandbox beside a bare loop with equal settings, CPU of all processes; then the growth of cost with the number of pages."""
    pages = load(folder, ["scrapinghub", "mozilla"])
    raw = [RawPage(page.url or "http://example.org/", page.body) for page in pages]
    rules = replace(KEEP_ALL, extractor="trafilatura", strip_title=False, strip_boilerplate=False)
    options = SETTINGS["fast, no comments"]
    with Sandbox(rules) as sandbox:
        sandbox.extract(raw[0])
        ratios, bare, boxed = [], [], []
        for _ in range(rounds):
            began = time.process_time()
            for page in pages:
                trafilatura.extract(page.body, **options)
            bare.append(time.process_time() - began)
            began = _cpu(sandbox)
            for page in raw:
                sandbox.extract(page)
            boxed.append(_cpu(sandbox) - began)
            ratios.append(bare[-1] / boxed[-1])
        print(f"bare loop {_ms(bare, pages):.2f} ms, sandbox with language and filters {_ms(boxed, pages):.2f} ms a page")
        print(f"speed of the sandbox, the bare loop being 1: {sorted(ratios)[len(ratios) // 2]:.3f}")
        few, many = (_repeated(sandbox, raw, count) for count in (len(raw), 4 * len(raw)))
        print(f"cost grows with pages to the power of {math.log(many / few, 4):.3f}")


def _repeated(sandbox: Sandbox, pages: list[RawPage], count: int) -> float:
    began = _cpu(sandbox)
    for i in range(count):
        sandbox.extract(pages[i % len(pages)])
    return _cpu(sandbox) - began


def _cpu(sandbox: Sandbox) -> float:
    spent = psutil.Process(sandbox.worker).cpu_times()
    return time.process_time() + spent.user + spent.system


def _ms(seconds: list[float], pages: list[GoldPage]) -> float:
    return sorted(seconds)[len(seconds) // 2] / len(pages) * 1000


def main() -> None:
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("quality", "strings", "pace"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    arguments = parser.parse_args()
    extractors.by_resiliparse("<p>warm</p>")
    html.parse("<p>warm</p>")
    if arguments.what == "quality":
        quality(arguments.folder, arguments.rounds, dict(entry.split("=", 1) for entry in arguments.peer))
    elif arguments.what == "strings":
        with_and_without(arguments.folder)
    else:
        pace(arguments.folder, arguments.rounds)


if __name__ == "__main__":
    main()
