"""`python docs/demo_figures.py demo`: write a finished demo's figures into README and tutorial, between `<!-- demo: NAME -->` marks."""

import json
import re
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "tutorial" / "demo.md")
BLOCK = re.compile(r"(<!-- demo: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
WIDTH = 96
REASONS = {
    "low_karma": "low karma",
    "self_post": "self posts",
    "media_file": "media files",
    "removed_site": "on removed sites",
    "too_late": "too late",
    "http_404": "answered 404",
    "not_html": "not HTML",
    "robots": "disallowed by robots.txt",
    "too_short": "too short",
    "language": "in another language",
    "near_duplicate": "near duplicates",
    "same_text": "with equal text",
    "cpu_time": "over the limit of processor time",
}


def main(folder: Path) -> None:
    """Fill the marked blocks of the pages, and copy the curve of the loss."""
    report = json.loads((folder / "report" / "report.json").read_bytes())
    sample = (folder / "samples.txt").read_text()
    blocks = {"line": line(report), "table": table(report), "bits": bits(folder, report), "sample": first_sample(sample)}
    for page in PAGES:
        page.write_text(BLOCK.sub(lambda match: f"{match[1]}\n{blocks[match[2]]}\n\n{match[3]}", page.read_text()))
    shutil.copyfile(folder / "report" / "loss.svg", ROOT / "docs" / "demo-loss.svg")


def line(report: dict[str, Any]) -> str:
    """What the stage `links` printed, without its time."""
    links = stage(report, "links")
    lost = links["items_in"] - links["items_out"]
    reason, count = next(iter(links["dropped"].items()))
    kept = f"links: kept {links['items_out']:,} of {links['items_in']:,} submissions"
    return f"    {kept} ({links['counters']['links']:,} distinct links), dropped {lost} ({count} {reason}, …)"


def table(report: dict[str, Any]) -> str:
    """What came into each step, and what it dropped."""
    links, pages, documents, dedup = (stage(report, name) for name in ("links", "pages", "documents", "dedup"))
    distinct, splits = links["counters"]["links"], report["tokens"]["splits"].values()
    tokens, text = sum(split["tokens"] for split in splits), sum(split["text_bytes"] for split in splits)
    rows = [
        ("submissions", links["items_in"], reasons(links)),
        ("accepted submissions", links["items_out"], f"{links['items_out'] - distinct} name the same link as another"),
        ("links", distinct, reasons(pages)),
        ("pages", pages["items_out"], reasons(documents)),
        ("documents", documents["items_out"], reasons(dedup)),
        ("unique documents", dedup["items_out"], ""),
        ("tokens", tokens, f"{text / 1e6:.1f} MB of text; {text / tokens:.1f} bytes per token"),
    ]
    head = ["| step | items | dropped or merged before the next step |", "|---|--:|---|"]
    return "\n".join(head + [f"| {name} | {count:,} | {note} |" for name, count, note in rows])


def bits(folder: Path, report: dict[str, Any]) -> str:
    """How well the network predicts the held-out documents, beside methods without a network, and where the figures come from."""
    results = json.loads((folder / "evaluation" / "results.json").read_bytes())
    held_out = next(result for result in results["results"] if result["metric"] == "bits per byte")
    baselines = {baseline["method"]: f"{baseline['bits_per_byte']:.2f}" for baseline in report["tokens"]["baselines"]}
    documents = report["tokens"]["splits"]["validation"]["documents"]
    finished = report["stages"][-1]["run"]["finished_at"][:10]
    commit = results["checkpoints"][0]["commit"][:8]
    text = (
        f"It trains on {report['runs'][0]['tokens']:,} tokens. It then needs {held_out['value']:.2f} bits per byte for "
        f"the {documents} held-out documents. A model that knows only how common each token is needs {baselines['unigram']}; "
        f"`gzip -9` needs {baselines['gzip -9']} and `zstd -19` {baselines['zstd -19']}. These figures are those of `make demo` "
        f"on {finished}, at commit {commit}."
    )
    return textwrap.fill(text, WIDTH, break_on_hyphens=False)


def first_sample(samples: str) -> str:
    """The beginning of the model's first text."""
    lines = [part for written in samples.split("\n\n")[0].splitlines() for part in textwrap.wrap(written, WIDTH - 4)]
    return "\n".join(f"    {written}" for written in lines[:4])


def stage(report: dict[str, Any], name: str) -> dict[str, Any]:
    """The report's entry of a stage."""
    found: dict[str, Any] = next(entry for entry in report["stages"] if entry["name"] == name)
    return found


def reasons(entry: dict[str, Any]) -> str:
    """What a stage dropped, in words."""
    return ", ".join(
        f"{count} {REASONS.get(reason, reason)}" for reason, count in sorted(entry["dropped"].items(), key=lambda pair: -pair[1])
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/demo_figures.py DEMO")
    main(Path(sys.argv[1]))
