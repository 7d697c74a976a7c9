"""Pages on disk to token shards: our stages against datatrove's whole pipeline, with equal settings and two processes each.

    python benchmarks/end_to_end.py --pages ../shared/data/html --tokenizer ../shared/data/bpe --copies 4 --rounds 3

Both read the same WARC files, extract with the same release of Trafilatura in a guarded process (ours once per page, datatrove with
FineWeb's precision settings), de-duplicate with 5-word shingles (ours with the default 18 bands of 8 rows, datatrove with 14), encode with
GPT-2's tokenizer and write shards. Neither filters by language. Copies of the pages differ in every third word, so that de-duplication has
realistic work. datatrove splits words with WhitespaceTokenizer, its fastest, and keeps one document per cluster; ours checks each pair.
Rounds alternate. Figures are wall seconds, CPU seconds of all processes, the peak memory of the largest process, and how close the texts
of scrapinghub's pages come to the gold (F1 of 4-word shingles, as in extraction.py).
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
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import lxml.html
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import gold, peers, scores

WORKERS = 2
PR_SET_CHILD_SUBREAPER = 36
PEER = ("datatrove-equal", "datatrove[io]==0.10.1", "trafilatura==2.3.1", "lxml_html_clean", "tokenizers", "spacy", "xxhash<4",
        "fasteners", "regex", "tldextract", "nltk", "ftfy", "inscriptis")  # fmt: skip
"""datatrove's extra `processing`, but with our release of trafilatura instead of the pinned 1.11, and with lxml_html_clean, without
which its sandbox hangs."""
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


def vary(body: bytes, copy: int) -> bytes:
    """Make the copy differ: append the copy's letter to every third word of the text between tags."""
    if not copy:
        return body
    mark = b"%c" % (97 + copy)

    def words(match: re.Match[bytes]) -> bytes:
        texts = match.group().split(b" ")
        return b" ".join(word + mark if i % 3 == 1 and word.isalpha() else word for i, word in enumerate(texts))

    return TEXT.sub(words, body)


def write_pages(folder: Path, pages: list[gold.GoldPage], copies: int) -> tuple[Path, Path]:
    """Write one WARC file per worker, and a list of all URLs. Returns both paths."""
    warc, urls = folder / "warc", folder / "urls.txt"
    warc.mkdir()
    addresses = []
    outputs = [(warc / f"pages-{i}.warc.gz").open("wb") for i in range(WORKERS)]
    for number, (copy, page) in enumerate((copy, page) for copy in range(copies) for page in pages):
        addresses.append(address(number))
        outputs[number % WORKERS].write(gzip.compress(record(address(number), vary(page.body, copy)), 1, mtime=0))
    for output in outputs:
        output.close()
    urls.write_text("\n".join(addresses) + "\n")
    return warc, urls


def address(number: int) -> str:
    """Return the URL of page `number`."""
    return f"http://site{number % 97}.example/{number}"


def record(url: str, body: bytes) -> bytes:
    """Return a WARC response record."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    headers = f"WARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-{abs(hash(url)) % 10**12:012d}>\r\nWARC-Target-URI: {url}\r\n"
    headers += "WARC-Identified-Payload-Type: text/html\r\n"  # without it, datatrove asks libmagic and loses one page in seven
    kind = f"WARC-Date: 2018-01-01T00:00:00Z\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: {len(answer)}"
    return f"WARC/1.1\r\nWARC-Type: response\r\n{headers}{kind}\r\n\r\n".encode() + answer + b"\r\n\r\n"


def ours(warc: Path, urls: Path, tokenizer: Path, out: Path) -> list[str]:
    """Return our command for all stages."""
    return [
        *(sys.executable, "-m", "pipeline", "run", "--urls", str(urls), "--fetch-from", str(warc), "--output", str(out)),
        *("--extractor", "trafilatura", "--languages", "all", "--exclude-sites", "--min-characters", "1"),
        *("--tokenizer", "gpt2", "--tokenizer-path", str(tokenizer), "--workers", str(WORKERS)),
    ]


def measure(command: list[str], folder: Path) -> dict[str, float]:
    """Run a command and return its seconds and memory. Exits with the command's output if it fails.

    This process adopts those that the command leaves behind (multiprocess's fork server), so that their seconds count too.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    started, cpu, peak = time.perf_counter(), 0.0, 0
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        cpu, peak = cpu + usage.ru_utime + usage.ru_stime, max(peak, usage.ru_maxrss)
        if pid == process.pid:
            process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\n{(folder / 'output.txt').read_text()[-3000:]}")
    return {"wall": time.perf_counter() - started, "cpu": cpu, "peak_mb": peak * 1024 / 1e6}


@dataclass(frozen=True)
class PipelineOutput:
    """What a pipeline produced: extracted texts by URL, the number of documents kept, and their tokens."""

    texts: dict[str, str]
    kept: int
    tokens: int

    def __str__(self) -> str:
        return f"{len(self.texts):,} documents, {self.kept:,} kept, {self.tokens:,} tokens"

    def f1(self, pages: list[gold.GoldPage]) -> float:
        """Return F1 on the first copies of scrapinghub's pages. A page without a document counts as an empty text."""
        pairs = [(page, self.texts.get(address(number), "")) for number, page in enumerate(pages)]
        return gold.score((page, text) for page, text in pairs if page.collection == "scrapinghub" and page.text).f1


def read_ours(out: Path) -> PipelineOutput:
    dedup, tokens = (json.loads((out / name / "manifest.json").read_bytes()) for name in ("dedup", "tokens"))
    splits = tokens["dataset"]["splits"].values()
    rows = (row for path in (out / "documents").glob("documents-*.parquet") for row in pq.read_table(path).to_pylist())
    return PipelineOutput(
        {row["url"]: row["text"] for row in rows}, dedup["books"]["items_out"], sum(split["tokens"] for split in splits)
    )


def read_datatrove(out: Path) -> PipelineOutput:
    lines = (line for path in (out / "texts").glob("*.gz") for line in gzip.decompress(path.read_bytes()).splitlines())
    rows = map(json.loads, lines)
    tokens = sum(path.stat().st_size // 2 for path in (out / "tokens").glob("*.ds"))
    kept = sum(path.stat().st_size // 8 for path in (out / "tokens").glob("*.index"))
    return PipelineOutput({row["metadata"]["url"]: row["text"] for row in rows}, kept, tokens)


def parse_seconds(warc: Path, pages: list[gold.GoldPage], copies: int) -> float:
    """Return the CPU seconds to decompress the WARC files and parse every page, which every extractor must do."""
    began = time.process_time()
    for path in sorted(warc.iterdir() if warc.is_dir() else [warc]):
        with gzip.open(path) as file:
            while file.read(1 << 20):
                pass
    for _ in range(copies):
        for page in pages:
            if page.body.strip():
                lxml.html.document_fromstring(page.body)
    return time.process_time() - began


def rows(rounds: list[dict[str, dict[str, float]]], work: str) -> list[scores.Row]:
    """Return a race with datatrove, if it ran, in wall and CPU seconds, and the parser as limit."""
    peak = {who: max(r[who]["peak_mb"] for r in rounds) for who in ("ours", "datatrove") if who in rounds[0]}
    figures = {(who, clock): tuple(r[who][clock] for r in rounds) for who in peak for clock in ("wall", "cpu")}
    races: list[scores.Row] = [
        scores.Race(
            "end to end",
            work,
            PEER[1].replace("[io]==", " "),
            unit,
            figures["ours", clock],
            figures["datatrove", clock],
            *peak.values(),
        )
        for clock, unit in (("wall", "wall s"), ("cpu", "CPU s"))
        if "datatrove" in peak
    ]
    least = tuple(r["parse"]["cpu"] for r in rounds)
    return [*races, scores.Limit("end to end", "decompression and lxml's parser alone", "CPU s", figures["ours", "cpu"], least)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=Path, required=True, help="folder of gold pages")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of GPT-2's vocabulary")
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    scores.add_flag(parser)
    arguments = parser.parse_args()
    vocabulary = arguments.tokenizer.resolve()
    pages = gold.load(arguments.pages, ("scrapinghub", "newspaper4k", "mozilla", "trafilatura"))
    python, absent = None, []
    try:
        python = peers.python(*PEER)
    except peers.PeerError as error:
        print(error)
        absent.append(scores.Absent("end to end", PEER[1].replace("[io]==", " "), str(error)))
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
            peers.versions(python, "datatrove", "trafilatura") if python else "",
        )
        runs: dict[str, tuple[Callable[[Path], list[str]], Callable[[Path], PipelineOutput]]] = {
            "datatrove": (
                lambda out: [str(python), str(script), str(warc), str(tokenizer), str(out), str(WORKERS)],
                read_datatrove,
            ),
            "ours": (lambda out: ours(warc, urls, vocabulary, out), read_ours),
        }
        if python is None:
            del runs["datatrove"]
        for number in range(arguments.rounds):
            rounds.append({})
            for who, (command, read_output) in runs.items():
                out = folder / f"{who}-{number}"
                out.mkdir()
                rounds[-1][who] = measure(command(out), out)
                result, spent = read_output(out), rounds[-1][who]
                print(
                    f"{number} {who}: {spent['wall']:.1f} s, {spent['cpu']:.1f} CPU s, {spent['peak_mb']:.0f} MB; {result}; "
                    f"F1 {result.f1(pages):.4f}",
                    flush=True,
                )
                shutil.rmtree(out)
            rounds[-1]["parse"] = {"cpu": parse_seconds(warc, pages, arguments.copies)}
    work = f"{len(pages) * arguments.copies:,} pages on disk to token shards, 2 processes"
    scores.append_rows(arguments.scores, [*rows(rounds, work), *absent])
    for figure in ("wall", "cpu") if python else ():
        ratios = sorted(r["datatrove"][figure] / r["ours"][figure] for r in rounds)
        print(f"pages per second of {figure} time, ours / datatrove: ", end="")
        print(f"{ratios[0]:.2f} to {ratios[-1]:.2f}, median {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
