"""How the cost of each stage grows: the same pages from links to token shards, 1x, 2x, 4x, 8x and 16x of them.

    python benchmarks/growth.py --pages ../shared/data/html [--least 200]

CPU seconds of all processes of each stage's command, the peak memory of its largest process, and the exponent fitted to what a stage takes
beyond its start (its CPU seconds with ten pages). One process works, so that no start of workers is counted as growth. The pages are
end_to_end.py's: real ones, and copies of them that differ in every third word. Dumps, training text and larger sets grow in intake.py,
vocabulary.py, dedup.py and documents.py.
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
    scores.add_flag(parser)
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
        spent, peaks = (tuple(run[stage][figure] for run in runs) for figure in ("cpu", "peak_mb"))
        grown = scores.Growth(f"{stage}, the whole command", "pages", tuple(sizes), spent, peaks, start[stage]["cpu"])
        shown = f"{' | '.join(f'{cpu:.1f}' for cpu in spent)} | {grown.fitted} | {', '.join(f'{peak:.0f}' for peak in peaks)}"
        print(f"| {stage} | {start[stage]['cpu']:.1f} | {shown} |")
        scores.hand_over(arguments.scores, [grown])


if __name__ == "__main__":
    main()
