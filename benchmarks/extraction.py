"""Extraction against its peers: quality on gold pages, and CPU time per page.

    python benchmarks/extraction.py quality  ../shared/data/html [--rounds 3] [--folds FOLDER]
    python benchmarks/extraction.py paired   ../shared/data/html --folds FOLDER
    python benchmarks/extraction.py strings  ../shared/data/html [--folds FOLDER]
    python benchmarks/extraction.py pace     ../shared/data/html [--rounds 3]

`quality` prints the F1 of 4-word shingles on scrapinghub's pages, separately for each half, for nine settings of trafilatura,
resiliparse, ours and the peers. The default extractor is trained on these pages: with --folds (the folder that
`extractor_training.py --folder` wrote), each page is read with the weights of other domains. `paired` prints the default's F1 on
every collection of gold pages beside the cascade's, with the bootstrap error of the difference. `strings` counts trafilatura's
strings that must and must not be in the text. `pace` compares our sandbox with datatrove's (FineWeb's settings) and with a bare loop
of trafilatura as it is shipped, with equal settings. Peers are installed at first use. For more pages and workers, see documents.py.
"""

import argparse
import json
import logging
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import extractor_folds
import lxml.html
import numpy as np
import peers
import psutil
import scores
import trafilatura
from gold import ARTICLES, HALVES, GoldPage, load, overlap, score, strings, time_contenders

from pipeline.documents import charset, extractors, html
from pipeline.documents.blocks import page as block_page
from pipeline.documents.blocks import weights
from pipeline.documents.extract import extract
from pipeline.documents.rules import DEFAULT_RULES
from pipeline.documents.sandbox import Sandbox
from pipeline.records import Document, RawPage

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


PEERS = {
    "datatrove": ("datatrove==0.10.1", "trafilatura==2.3.1", "lxml_html_clean"),
    "readability": ("readability-lxml==0.8.4.1", "html-text", "lxml_html_clean"),
    "newspaper4k": ("newspaper4k==0.9.6", "lxml_html_clean"),
}
BARE_LOOP = "trafilatura"
"""The peer that runs in a process of our own Python, which has it: in this process our attribute lists stand in for its expressions."""

OURS: dict[str, dict[str, Any]] = {
    "ours": {},
    "ours, cascade": {"extractor": "cascade"},
    "ours, once": {"extractor": "trafilatura", "strip_title": False, "strip_boilerplate": False},
    "ours, resiliparse": {"extractor": "resiliparse"},
}
"""Changes of KEEP_ALL in our sandboxes, by the name in `pace`."""


@dataclass(frozen=True, slots=True)
class PeerExtraction:
    """A peer's texts, its CPU milliseconds per page over all processes, and the peak memory of the largest process."""

    texts: list[str]
    milliseconds: float
    peak_mb: float


def by_setting(options: dict[str, bool]) -> Callable[[GoldPage], str]:
    return lambda page: trafilatura.extract(page.body, **options) or ""


def ours(**changes: object) -> Callable[[GoldPage], str]:
    rules = replace(KEEP_ALL, **changes)  # type: ignore[arg-type]

    def text(page: GoldPage) -> str:
        result = extract(RawPage(page.url or "http://example.org/", page.body), rules)
        return result.text if isinstance(result, Document) else ""

    return text


def unseen(folder: Path, folds: Path, **changes: object) -> Callable[[GoldPage], str]:
    """Return the default extractor with the weights that were trained without the page's domain."""
    trained = [weights.read((folds / f"fold{number}.npz").read_bytes()) for number in range(extractor_folds.FOLDS)]
    fold = extractor_folds.by_page(folder)
    extract_text = ours(**changes)

    def text(page: GoldPage) -> str:
        block_page.weights.load = lambda: trained[fold[page.name]]
        return extract_text(page)

    return text


def contenders() -> dict[str, Callable[[GoldPage], str]]:
    return {
        **{f"trafilatura {name}": by_setting(options) for name, options in SETTINGS.items()},
        "ours, resiliparse": ours(extractor="resiliparse"),
        "ours, trafilatura": ours(extractor="trafilatura"),
        "ours, cascade, nothing stripped": ours(extractor="cascade", strip_title=False, strip_boilerplate=False),
        "ours, cascade": ours(extractor="cascade"),
        "ours (default)": ours(),
    }


def peer(name: str, pages: list[GoldPage]) -> PeerExtraction:
    """Run a peer in an environment of its own. Raises PeerError if it cannot be installed or fails."""
    bodies = pickle.dumps([charset.decode(page.body, None)[0] for page in pages])
    python = sys.executable if name == BARE_LOOP else str(peers.python(name, *PEERS[name]))
    command = [python, str(Path(__file__).with_name("extraction_peer.py")), name]
    done = subprocess.run(command, input=bodies, capture_output=True, check=False)
    if done.returncode:
        raise peers.PeerError(f"{name}: {(done.stderr.decode().strip().splitlines() or ['no message'])[-1]}")
    answer = json.loads(done.stdout)
    return PeerExtraction(answer["texts"], answer["cpu_seconds"] / len(pages) * 1000, answer["peak_mb"])


def quality(folder: Path, rounds: int, folds: Path | None) -> None:
    pages = load(folder, ["scrapinghub"])
    chosen = contenders()
    if folds:
        chosen["ours (default), other domains' weights"] = unseen(folder, folds)
    print("| extractor | ms per page | pages per CPU second |" + "".join(f" {half}: P | R | F1 |" for half in HALVES))
    print("|---" * 9 + "|")
    for name, (texts, milliseconds) in time_contenders(pages, chosen, rounds).items():
        print(_row(name, pages, texts, milliseconds), flush=True)
    for name in PEERS:
        try:
            result = peer(name, pages)
        except peers.PeerError as error:
            print(error)
            continue
        print(_row(name, pages, result.texts, result.milliseconds), flush=True)


def _row(name: str, pages: list[GoldPage], texts: list[str], milliseconds: float) -> str:
    cells = []
    for half in HALVES:
        scored = score([(page, text) for page, text in zip(pages, texts, strict=True) if page.half == half])
        cells += [f"{scored.precision:.3f}", f"{scored.recall:.3f}", f"**{scored.f1:.4f}**"]
    return f"| {name} | {milliseconds:.1f} | {1000 / milliseconds:.0f} | {' | '.join(cells)} |"


def paired(folder: Path, folds: Path) -> None:
    """Print F1 with the weights of other domains, today's cascade's, and the difference with its bootstrap error."""
    pages = [page for page in load(folder, ARTICLES) if page.text]
    both = [
        np.array([overlap(page.text or "", extract_text(page)) for page in pages])
        for extract_text in (unseen(folder, folds), ours(extractor="cascade"))
    ]
    print("| pages | F1, default | F1, cascade | difference |\n|---|---|---|---|")
    for name in (*ARTICLES, "all"):
        chosen = [number for number, page in enumerate(pages) if name in (page.collection, "all")]
        columns = [shares[chosen] for shares in both]
        noise = np.random.default_rng(1)
        picks = [noise.integers(0, len(chosen), len(chosen)) for _ in range(1_000)]
        spread = np.std([f1(columns[0][pick]) - f1(columns[1][pick]) for pick in picks])
        new, old = map(f1, columns)
        print(f"| {name} ({len(chosen)}) | {new:.4f} | {old:.4f} | {new - old:+.4f} ± {spread:.4f} |", flush=True)


def f1(shares: np.ndarray) -> float:
    """Return the F1 of pages' common, surplus and missing shares."""
    common, surplus, missing = shares.mean(axis=0)
    return float(2 * common / (2 * common + surplus + missing))


def count_strings(folder: Path, folds: Path | None) -> None:
    pages = load(folder, ["trafilatura"])
    chosen = {
        "trafilatura default": by_setting({}),
        "ours, trafilatura": ours(extractor="trafilatura"),
        "ours, cascade": ours(extractor="cascade"),
        "ours (default)": ours(),
    }
    if folds:
        chosen["ours (default), other domains' weights"] = unseen(folder, folds)
    for name, (texts, milliseconds) in time_contenders(pages, chosen, 1).items():
        kept, included, wrong, excluded = strings(zip(pages, texts, strict=True))
        print(f"| {name} | {kept:,}/{included:,} | {wrong:,}/{excluded:,} | {milliseconds:.1f} |", flush=True)


def loops() -> dict[str, Callable[[GoldPage], str]]:
    """Return extractors without isolation, cleaning or gates; `parse` only parses the HTML."""
    return {
        "resiliparse": lambda page: extractors.by_resiliparse(charset.decode(page.body, None)[0]),
        "parse": lambda page: str(lxml.html.document_fromstring(page.body).tag),
    }


def pace(folder: Path, rounds: int, rows_file: Path | None) -> None:
    """Print CPU milliseconds per page over all processes. Ours include isolation, decoding, gates, language and cleaning."""
    pages = load(folder, ["scrapinghub"])
    spent: dict[str, list[float]] = {name: [] for name in (BARE_LOOP, *PEERS, *OURS, *loops())}
    peaks: dict[str, float] = {name: measure_peak(name, folder) for name in (*OURS, *loops())}
    absent: list[scores.Absent] = []
    with ExitStack() as stack:
        boxes = {name: stack.enter_context(Sandbox(replace(KEEP_ALL, **changes))) for name, changes in OURS.items()}
        for box in boxes.values():
            sandbox_ms(box, pages[:3])
        for _ in range(rounds):
            for name in [name for name in (BARE_LOOP, *PEERS) if name in spent]:
                try:
                    result = peer(name, pages)
                except peers.PeerError as error:
                    print(error)
                    del spent[name]
                    absent.append(scores.Absent("documents", name, str(error)))
                    continue
                spent[name].append(result.milliseconds)
                peaks[name] = max(peaks.get(name, 0.0), result.peak_mb)
            spent["ours"].append(sandbox_ms(boxes["ours"], pages))
            for name, extractor in loops().items():
                spent[name].append(loop_ms(pages, extractor))
            for name in list(OURS)[1:]:
                spent[name].append(sandbox_ms(boxes[name], pages))
    for name, milliseconds in spent.items():
        print(f"{name:20} {_spread(milliseconds)} ms per page, {peaks[name]:,.0f} MB")
    pairs = (
        ("ours", "ours, cascade"),
        ("ours", BARE_LOOP),
        ("ours", "datatrove"),
        ("ours, once", BARE_LOOP),
        ("ours, resiliparse", "ours"),
    )
    for name, other in [pair for pair in pairs if pair[1] in spent]:
        ratios = [there / here for there, here in zip(spent[other], spent[name], strict=True)]
        print(f"{name}: {_spread(ratios)} times the speed of {other}")
    scores.append_rows(rows_file, [*rows(spent, peaks), *absent])


def measure_peak(name: str, folder: Path) -> float:
    """Return the peak memory in MB of one of ours, or of a loop, in new processes: that of the largest process."""
    command = [sys.executable, __file__, "peak", str(folder), "--name", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def peak(name: str, folder: Path) -> float:
    """Return the peak memory that `measure_peak` reads."""
    pages = load(folder, ["scrapinghub"])
    if name not in OURS:
        loop_ms(pages, loops()[name])
        return scores.peak_mb()
    with Sandbox(replace(KEEP_ALL, **OURS[name])) as box:
        sandbox_ms(box, pages)
        return max(scores.peak_mb(), scores.peak_mb(box.worker))


def rows(spent: dict[str, list[float]], peaks: dict[str, float]) -> list[scores.Row]:
    """Return a race of each peer with ours that has the same extractor, and the parser as limit."""
    costs = {name: tuple(milliseconds) for name, milliseconds in spent.items()}
    work, unit = "97 pages to text, with isolation, language and cleaning", "CPU ms per page"
    races = {
        f"datatrove {PEERS['datatrove'][0].partition('==')[2]}, its sandbox": ("ours", "datatrove"),
        PEERS["readability"][0].replace("==", " "): ("ours", "readability"),
        PEERS["newspaper4k"][0].replace("==", " "): ("ours", "newspaper4k"),
        f"trafilatura {trafilatura.__version__} in a bare loop, the same settings": ("ours, once", BARE_LOOP),
        f"resiliparse {version('resiliparse')} in a bare loop": ("ours, resiliparse", "resiliparse"),
    }
    races: list[scores.Row] = [
        scores.Race(
            "documents",
            f"{work} ({own})" if own != "ours" else work,
            name,
            unit,
            costs[own],
            costs[other],
            peaks[own],
            peaks[other],
        )
        for name, (own, other) in races.items()
        if other in costs
    ]
    return [*races, scores.Limit("documents", "lxml's parser alone", unit, costs["ours"], costs["parse"])]


def loop_ms(pages: list[GoldPage], extractor: Callable[[GoldPage], str]) -> float:
    """Return the CPU milliseconds per page of an extractor in a loop."""
    began = time.process_time()
    for page in pages:
        extractor(page)
    return (time.process_time() - began) / len(pages) * 1000


def sandbox_ms(sandbox: Sandbox, pages: list[GoldPage]) -> float:
    """Return the CPU milliseconds per page of this process and the sandbox's worker together."""
    began = _cpu(sandbox) if sandbox.worker else 0.0
    for page in pages:
        sandbox.extract(RawPage(page.url or "http://example.org/", page.body))
    return (_cpu(sandbox) - began) / len(pages) * 1000


def _cpu(sandbox: Sandbox) -> float:
    spent = psutil.Process(sandbox.worker).cpu_times()
    return time.process_time() + spent.user + spent.system


def _spread(values: Sequence[float]) -> str:
    ordered = sorted(values)
    return f"{ordered[0]:.2f} - {ordered[len(ordered) // 2]:.2f} - {ordered[-1]:.2f}"


def main() -> None:
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("quality", "paired", "strings", "pace", "peak"))
    parser.add_argument("folder", type=Path, help="folder of gold pages")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folds", type=Path, help="folder of weights by fold")
    parser.add_argument("--name", help=argparse.SUPPRESS)
    scores.add_flag(parser)
    arguments = parser.parse_args()
    if arguments.what == "peak":
        print(peak(arguments.name, arguments.folder))
        return
    extractors.by_resiliparse("<p>warm</p>")
    html.parse("<p>warm</p>")
    if arguments.what == "quality":
        quality(arguments.folder, arguments.rounds, arguments.folds)
    elif arguments.what == "paired":
        paired(arguments.folder, arguments.folds)
    elif arguments.what == "strings":
        count_strings(arguments.folder, arguments.folds)
    else:
        pace(arguments.folder, arguments.rounds, arguments.scores)


if __name__ == "__main__":
    main()
