"""Real dumps and real pages through the whole job. A proxy answers for the pages' hosts; dead links fail.

A quarter of the pages; all of them with WEBTEXT_FULL=1, as in `make real-demo`.
"""

import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import zstandard
from servers.replay import NOT_FOUND, ReplayServer

from pipeline.storage import files
from pipeline.storage.manifest import StageManifest
from tokenizer.codec import Tokenizer
from tokenizer.shards import Manifest as Dataset

pytestmark = pytest.mark.slow
FULL = bool(os.environ.get("WEBTEXT_FULL"))
DUMP_LINES = 1500 if FULL else 400
PAGES = 900 if FULL else 225
STEPS = 20


def real_pages(html: Path) -> dict[str, bytes]:
    """URL to bytes of every page whose address is known."""
    rows = [json.loads(line) for line in (html / "index.jsonl").read_text().splitlines()]
    bodies: dict[str, bytes] = {}
    for archive in sorted(html.glob("*.tar.xz")):
        with tarfile.open(fileobj=io.BytesIO(lzma.decompress(archive.read_bytes()))) as tar:
            for member in tar:
                extracted = tar.extractfile(member)
                if extracted is not None:
                    bodies[member.name] = extracted.read()
    return {row["url"]: bodies[row["file"]] for row in rows if (row["url"] or "").startswith("http")}


def long_window_slice(dump: Path, lines: int) -> bytes:
    """The dump's first lines, written as dumps are: zstd with a window of 2^31."""
    with dump.open("rb") as file:
        reader = io.BufferedReader(zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(file))
        data = b"".join(reader.readline() for _ in range(lines))
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=31, enable_ldm=True, write_checksum=True)
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def call(*command: str) -> str:
    ended = subprocess.run([sys.executable, "-m", *command], stdout=subprocess.PIPE, stderr=None, text=True, check=False)
    assert ended.returncode == 0
    return ended.stdout


@pytest.fixture(scope="module")
def corpus(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    pages = dict(list(real_pages(shared_data / "html").items())[:: 1 if FULL else 4])
    (folder / "pages.txt").write_text("".join(f"{url}\n" for url in sorted(pages)))
    (folder / "RS_2013.zst").write_bytes(long_window_slice(shared_data / "reddit" / "top2013.jsonl.zst", DUMP_LINES))
    reddit = shared_data / "reddit"
    dumps = [
        folder / "RS_2013.zst",
        reddit / "RS_v2_2005-07.xz",
        reddit / "api_submissions.jsonl.xz",
        reddit / "RS_2024-01_sample31.jsonl",
    ]
    with ReplayServer(dict(pages), others=NOT_FOUND) as web:
        call(
            *("pipeline", "run", "--output", str(folder / "corpus")),
            *("--submissions", *map(str, dumps), "--urls", str(folder / "pages.txt"), "--created-before", "none"),
            *("--proxy", web.proxy_url, "--ca-bundle", web.ca_bundle, "--host-delay", "0", "--retries", "0", "--threads", "16"),
            *("--vocab-size", "8000", "--validation-share", "0.05"),
        )
    return folder / "corpus"


def test_every_line_and_link_is_in_the_books(corpus: Path) -> None:
    links, pages = (StageManifest.load(str(corpus / stage)) for stage in ("links", "pages"))
    assert links.books.items_in > DUMP_LINES + 1079 + 4275 + 31
    assert links.books.items_in == links.books.items_out + sum(links.books.dropped.values())
    assert pages.books.items_in == links.counters["links"]
    assert pages.books.dropped["http_404"] > 500
    assert pages.books.items_out > PAGES


def test_shards_decode_to_the_kept_text(corpus: Path) -> None:
    dataset = Dataset.load(str(corpus / "tokens"))
    tokenizer = Tokenizer.load(str(corpus / "tokens"))
    kept = {
        row.as_py(): text.as_py()
        for entry in StageManifest.load(str(corpus / "documents")).of_kind("documents")
        for row, text in zip(
            *files.read_table(str(corpus / "documents" / entry.name), ["document_id", "text"]).columns, strict=True
        )
    }
    assert len(kept) > PAGES / 3
    documents = 0
    for split in dataset.splits:
        for shard in dataset.open(split):
            for document_id, tokens in shard.documents():
                assert tokens[-1] == dataset.eot_id
                assert tokenizer.decode(tokens[:-1]) == kept[document_id]
                documents += 1
    assert documents == StageManifest.load(str(corpus / "dedup")).books.items_out


def test_a_model_learns_from_the_shards(corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    call(
        "trainer",
        "train",
        "tiny",
        "--data",
        str(corpus / "tokens"),
        "--out",
        str(run),
        "--vocabulary",
        "8000",
        "--steps",
        str(STEPS),
    )
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] - 1
    call("pipeline", "report", "--corpus", str(corpus), "--run", str(run), "--output", str(tmp_path / "report"))
    assert (tmp_path / "report" / "report.html").stat().st_size > 10_000
