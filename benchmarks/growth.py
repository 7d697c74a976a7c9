"""How the cost of each stage grows: the same pages from links to token shards, 1x, 2x, 4x, 8x and 16x of them.

    python benchmarks/growth.py --pages ../shared/data/html [--least 200]

CPU seconds of all processes of each stage's command, the peak memory of its largest process, and the exponent fitted to what a stage takes
beyond its start (its CPU seconds with ten pages). One process works, so that no start of workers is counted as growth. The pages are
end_to_end.py's: real ones, and copies of them that differ in every third word. Dumps, training text and larger sets grow in intake.py,
vocabulary.py, dedup.py and documents.py.
"""

import argparse
import math
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import end_to_end, gold

TIMES = (1, 2, 4, 8, 16)
START_PAGES = 10
STAGES = ("links", "pages", "documents", "dedup", "vocabulary", "tokens")


def costs(folder: Path, pages: list[gold.GoldPage], number: int) -> dict[str, dict[str, float]]:
    """CPU seconds and peak memory by stage, of so many pages."""
    folder.mkdir()
    copies = -(-number // len(pages))
    warc, urls = end_to_end.write_pages(folder, pages[: number // copies], copies)
    out = folder / "corpus"
    flags: dict[str, list[str]] = {
        "links": ["--urls", str(urls)],
        "pages": ["--fetch_from", str(warc)],
        "documents": ["--languages", "all", "--exclude_sites", "--min_characters", "1"],
        "vocabulary": ["--vocab_size", "5000"],
    }
    begin = [sys.executable, "-m", "pipeline"]
    found = {
        stage: end_to_end.measured([*begin, stage, "--corpus", str(out), "--workers", "1", *flags.get(stage, [])], folder)
        for stage in STAGES
    }
    shutil.rmtree(folder)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=Path, required=True, help="folder of gold pages")
    parser.add_argument("--least", type=int, default=200, help="pages of 1x")
    arguments = parser.parse_args()
    pages = gold.load(arguments.pages, ("scrapinghub", "newspaper4k", "mozilla", "trafilatura"))
    with tempfile.TemporaryDirectory() as name:
        costs(Path(name) / "warm", pages, START_PAGES)
        start = costs(Path(name) / "start", pages, START_PAGES)
        sizes = [times * arguments.least for times in TIMES]
        runs = [costs(Path(name) / str(size), pages, size) for size in sizes]
    print(f"| stage | start, CPU s | {' | '.join(f'{size:,} pages' for size in sizes)} | exponent | MB |")
    print("|---" * (len(sizes) + 4) + "|")
    for stage in STAGES:
        spent = [run[stage]["cpu"] for run in runs]
        beyond = [max(0.01, cpu - start[stage]["cpu"]) for cpu in spent]
        exponent = statistics.linear_regression([math.log(size) for size in sizes], [math.log(cpu) for cpu in beyond]).slope
        peaks = ", ".join(f"{run[stage]['peak_mb']:.0f}" for run in runs)
        print(f"| {stage} | {start[stage]['cpu']:.1f} | {' | '.join(f'{cpu:.1f}' for cpu in spent)} | {exponent:.2f} | {peaks} |")


if __name__ == "__main__":
    main()
