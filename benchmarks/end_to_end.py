"""Pages on disk to token shards: our stages against datatrove's whole pipeline, equal settings, two processes each, in turn.

    python benchmarks/end_to_end.py --pages ../shared/data/html --tokenizer ../shared/data/bpe --copies 4 --rounds 3

Both read the same WARC files, extract with Trafilatura's precision settings in a guarded process, de-duplicate with 14 bands of 8 over
5-word shingles, encode with GPT-2's tokenizer and write shards. Neither filters by language. Copies of the pages differ in every third
word of their text, so that de-duplication has the work that it would have. datatrove splits words at white space (its English tokeniser
is five times as slow) and finishes with what its clusters leave; ours checks each pair. Wall seconds, CPU seconds of all processes, the
peak memory of the largest process; how well the texts agree with the gold is the business of extraction.py.
"""

import argparse
import ctypes
import gzip
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import gold, peers

WORKERS = 2
PR_SET_CHILD_SUBREAPER = 36
PEER = (
    "datatrove",
    "datatrove[processing,io]==0.10.1",
    "numba",
    "tokenizers",
    "spacy",
    "lxml_html_clean",
)  # without the last its sandbox hangs
TEXT = re.compile(rb">[^<>]{20,}<")
DATATROVE = """
import sys
from pathlib import Path
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.readers import JsonlReader, WarcReader
from datatrove.pipeline.tokens import DocumentTokenizer
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.word_tokenizers import WhitespaceTokenizer

def main(warc, tokenizer, out, workers):
    config = MinhashConfig(hash_config=HashConfig(hash_fc="xxhash"), n_grams=5, num_buckets=14, hashes_per_bucket=8)
    at = {name: f"{out}/{name}" for name in ("texts", "signatures", "buckets", "remove", "tokens")}
    sign = MinhashDedupSignature(output_folder=at["signatures"], config=config)
    sign.word_tokenizer = WhitespaceTokenizer()
    encode = DocumentTokenizer(at["tokens"], tokenizer_name_or_path=tokenizer, eos_token="<|endoftext|>", shuffle_documents=False)
    reader = JsonlReader(at["texts"])
    steps = [
        ([WarcReader(warc), Trafilatura(favour_precision=True, timeout=20, deduplicate=False), JsonlWriter(at["texts"])], workers),
        ([reader, sign], workers),
        ([MinhashDedupBuckets(at["signatures"], at["buckets"], config=config)], 14),
        ([MinhashDedupCluster(at["buckets"], at["remove"], config=config)], 1),
        ([reader, MinhashDedupFilter(at["remove"]), encode], workers),
    ]
    for number, (step, tasks) in enumerate(steps):
        LocalPipelineExecutor(step, tasks=tasks, workers=workers, logging_dir=f"{out}/logs{number}").run()

if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
"""


def varied(body: bytes, copy: int) -> bytes:
    """A copy's own page: every third word of the text between tags ends in a letter of the copy's."""
    if not copy:
        return body
    mark = b"%c" % (97 + copy)

    def words(match: re.Match[bytes]) -> bytes:
        found = match.group().split(b" ")
        return b" ".join(word + mark if i % 3 == 1 and word.isalpha() else word for i, word in enumerate(found))

    return TEXT.sub(words, body)


def write_pages(folder: Path, pages: list[gold.GoldPage], copies: int) -> tuple[Path, Path]:
    """WARC files, one a worker, and the list of their URLs."""
    warc, urls = folder / "warc", folder / "urls.txt"
    warc.mkdir()
    addresses = []
    outputs = [(warc / f"pages-{i}.warc.gz").open("wb") for i in range(WORKERS)]
    for number, (copy, page) in enumerate((copy, page) for copy in range(copies) for page in pages):
        address = f"http://site{number % 97}.example/{number}"
        addresses.append(address)
        outputs[number % WORKERS].write(gzip.compress(record(address, varied(page.body, copy)), 6, mtime=0))
    for output in outputs:
        output.close()
    urls.write_text("\n".join(addresses) + "\n")
    return warc, urls


def record(url: str, body: bytes) -> bytes:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    named = f"WARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-{abs(hash(url)) % 10**12:012d}>\r\nWARC-Target-URI: {url}\r\n"
    kind = f"WARC-Date: 2018-01-01T00:00:00Z\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: {len(answer)}"
    return f"WARC/1.1\r\nWARC-Type: response\r\n{named}{kind}\r\n\r\n".encode() + answer + b"\r\n\r\n"


def ours(warc: Path, urls: Path, tokenizer: Path, out: Path) -> list[list[str]]:
    """The commands of our stages."""
    more = {
        "links": ["--urls", str(urls)],
        "pages": ["--fetch_from", str(warc)],
        "documents": ["--extractor", "trafilatura", "--languages", "all", "--exclude_sites", "--min_characters", "1"],
        "dedup": [],
        "vocabulary": ["--tokenizer", "gpt2", "--tokenizer_path", str(tokenizer)],
        "tokens": [],
    }
    begin = [sys.executable, "-m", "pipeline"]
    return [[*begin, name, "--corpus", str(out), "--workers", str(WORKERS), *flags] for name, flags in more.items()]


def measured(commands: list[list[str]], folder: Path) -> dict[str, float]:
    """Seconds and memory of the commands, one after the other. Ends with what a failing one said.

    Processes that a command leaves behind (multiprocess's fork server) come to us, so that their seconds are counted too.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    started, cpu, peak = time.perf_counter(), 0.0, 0
    for command in commands:
        with (folder / "said.txt").open("ab") as said:
            process = subprocess.Popen(command, stdout=said, stderr=said, cwd=folder)
        while True:
            try:
                pid, status, usage = os.wait4(-1, 0)
            except ChildProcessError:
                break
            cpu, peak = cpu + usage.ru_utime + usage.ru_stime, max(peak, usage.ru_maxrss)
            if pid == process.pid:
                process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)}\n{(folder / 'said.txt').read_text()[-3000:]}")
    return {"wall": time.perf_counter() - started, "cpu": cpu, "peak_mb": peak / 1024}


def outcome_of_ours(out: Path) -> dict[str, Any]:
    dedup, tokens = (json.loads((out / name / "manifest.json").read_bytes()) for name in ("dedup", "tokens"))
    splits = tokens["dataset"]["splits"].values()
    return {
        "documents": dedup["books"]["items_in"],
        "kept": dedup["books"]["items_out"],
        "tokens": sum(s["tokens"] for s in splits),
    }


def outcome_of_datatrove(out: Path) -> dict[str, Any]:
    texts = sum(gzip.decompress(path.read_bytes()).count(b"\n") for path in (out / "texts").glob("*.gz"))
    tokens = sum(path.stat().st_size // 2 for path in (out / "tokens").glob("*.ds"))
    kept = sum(path.stat().st_size // 8 for path in (out / "tokens").glob("*.index"))
    return {"documents": texts, "kept": kept, "tokens": tokens}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=Path, required=True, help="folder of gold pages")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of GPT-2's vocabulary")
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    vocabulary = arguments.tokenizer.resolve()
    pages = gold.load(arguments.pages, ("scrapinghub", "newspaper4k", "mozilla", "trafilatura"))
    python = peers.python(*PEER)
    rounds: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warc, urls = write_pages(folder, pages, arguments.copies)
        tokenizer = folder / "tokenizer.json"
        convert = "import sys; from tokenizer.codec import Tokenizer; Tokenizer.load(sys.argv[1]).save(sys.argv[2])"
        subprocess.run([sys.executable, "-c", convert, str(vocabulary), str(folder / "gpt2")], check=True)
        shutil.copy(folder / "gpt2" / "tokenizer.json", tokenizer)
        script = folder / "datatrove_run.py"
        script.write_text(DATATROVE)
        print(
            f"{len(pages) * arguments.copies:,} pages, {datetime.now(UTC):%Y-%m-%d}",
            peers.versions(python, "datatrove", "trafilatura"),
        )
        runs: dict[str, tuple[Callable[[Path], list[list[str]]], Callable[[Path], dict[str, Any]]]] = {
            "ours": (lambda out: ours(warc, urls, vocabulary, out), outcome_of_ours),
            "datatrove": (
                lambda out: [[str(python), str(script), str(warc), str(tokenizer), str(out), str(WORKERS)]],
                outcome_of_datatrove,
            ),
        }
        for number in range(arguments.rounds):
            rounds.append({})
            for who, (commands, outcome) in list(runs.items())[::-1]:
                out = folder / f"{who}-{number}"
                out.mkdir()
                rounds[-1][who] = measured(commands(out), out)
                print(number, who, {k: round(v, 1) for k, v in rounds[-1][who].items()}, outcome(out), flush=True)
                shutil.rmtree(out)
    for figure in ("wall", "cpu"):
        ratios = sorted(r["datatrove"][figure] / r["ours"][figure] for r in rounds)
        print(f"documents a second of {figure} time, ours over datatrove's: ", end="")
        print(f"{ratios[0]:.2f} to {ratios[-1]:.2f}, median {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
