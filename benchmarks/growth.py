"""How the cost of each stage grows: the same pages from links to token shards, 1, 2, 4, 8 and 16 times.

    python benchmarks/growth.py --pages ../shared/data/html [--least 200]

For each stage's command: CPU seconds of all processes, peak memory of the largest process, and the exponent fitted to the CPU seconds
beyond start-up (its CPU seconds with ten pages). One process does the work, so that no start of workers counts as growth. The pages are
those of end_to_end.py: real pages, and copies of them that differ in every third word. For larger sets, see intake.py (dumps),
vocabulary.py (training text), dedup.py and documents.py.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import end_to_end, gold, scores

TIMES = (1, 2, 4, 8, 16)
START_PAGES = 10
STAGES = ("links", "pages", "documents", "dedup", "vocabulary", "tokens")


def costs(folder: Path, pages: list[gold.GoldPage], number: int) -> dict[str, dict[str, float]]:
    """Run all stages on `number` pages and return wall seconds, CPU seconds and peak memory by stage."""
    folder.mkdir()
    copies = -(-number // len(pages))
    warc, urls = end_to_end.write_pages(folder, pages[: number // copies], copies)
    out = folder / "corpus"
    flags: dict[str, list[str]] = {
        "links": ["--urls", str(urls)],
        "pages": ["--fetch-from", str(warc)],
        "documents": ["--languages", "all", "--exclude-sites", "--min-characters", "1"],
        "vocabulary": ["--vocab-size", "5000"],
    }
    program = [sys.executable, "-m", "pipeline"]
    figures = {
        stage: end_to_end.measure([*program, stage, "--corpus", str(out), "--workers", "1", *flags.get(stage, [])], folder)
        for stage in STAGES
    }
    shutil.rmtree(folder)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=Path, required=True, help="folder of gold pages")
    parser.add_argument("--least", type=int, default=200, help="pages of the smallest run")
    scores.add_flag(parser)
    arguments = parser.parse_args()
    pages = gold.load(arguments.pages, ("scrapinghub", "newspaper4k", "mozilla", "trafilatura"))
    with tempfile.TemporaryDirectory() as name:
        costs(Path(name) / "warm", pages, START_PAGES)
        start = costs(Path(name) / "start", pages, START_PAGES)
        sizes = [times * arguments.least for times in TIMES]
        runs = [costs(Path(name) / str(size), pages, size) for size in sizes]
    print(f"| stage | start-up, CPU s | {' | '.join(f'{size:,} pages' for size in sizes)} | exponent | MB |")
    print("|---" * (len(sizes) + 4) + "|")
    for stage in STAGES:
        spent, peaks = (tuple(run[stage][figure] for run in runs) for figure in ("cpu", "peak_mb"))
        row = scores.Growth(f"{stage}, the whole command", "pages", tuple(sizes), spent, peaks, start[stage]["cpu"])
        shown = f"{' | '.join(f'{cpu:.1f}' for cpu in spent)} | {row.fitted} | {', '.join(f'{peak:.0f}' for peak in peaks)}"
        print(f"| {stage} | {start[stage]['cpu']:.1f} | {shown} |")
        scores.append_rows(arguments.scores, [row])


if __name__ == "__main__":
    main()
