"""A corpus of real pages, and variants of it that differ in one setting: what `comparison.py recipes` compares.

    python benchmarks/real_pages.py ../shared/data FOLDER

writes FOLDER/pages.warc.gz, FOLDER/links.txt and FOLDER/half.txt, builds FOLDER/base from them by `webtext run --fetch-from`, and a
folder for each of VARIANTS by `webtext vary`. The pages are the English ones of the collections in html/, and the first of PostgreSQL's
documentation in the two versions of neardup/docversions, most of which are the same in both. The variant `manual-heavy` has no
duplicates, but about as large a share of this documentation as `no-dedup` has: of the other pages, those in half.txt are left out.
"""

import hashlib
import io
import json
import lzma
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

VOCABULARY = 2048
MANUAL_PAGES = 300
"""Pages of each version of PostgreSQL's documentation."""
VALIDATION_SHARE = 0.02
VARIANTS = {
    "near-kept": ("dedup.threshold=1",),
    "no-dedup": ("dedup.remove-duplicates=none",),
    "manual-heavy": ("documents.takedown={folder}/half.txt",),
    "trafilatura": ("documents.extractor=trafilatura",),
    "resiliparse": ("documents.extractor=resiliparse",),
    "furniture": ("documents.strip-boilerplate=off",),
}
CAPTURED = "2020-01-01T00:00:00Z"


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each file in a .tar.xz."""
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(archive.read_bytes()))) as tar:
        for member in tar:
            if (file := tar.extractfile(member)) is not None:
                yield member.name, file.read()


def real_pages(data: Path) -> Iterator[tuple[str, bytes]]:
    """Address and bytes of each page in English; a page whose address is unknown gets a made one."""
    rows = [json.loads(line) for line in (data / "html" / "index.jsonl").read_text().splitlines()]
    known = {row["file"]: row["url"] for row in rows if (row["url"] or "").startswith("http")}
    english = {row["file"] for row in rows if row["guess_lang"] == "en"}
    manuals = Counter[str]()
    archives = [*sorted((data / "html").glob("*.tar.xz")), data / "neardup" / "docversions" / "pgdoc.tar.xz"]
    for archive in archives:
        for name, body in members(archive):
            folder, _, file = name.partition("/")
            is_manual = folder.startswith("pgdoc-") and file.endswith(".html")
            manuals[folder] += is_manual
            if name in english or (is_manual and manuals[folder] <= MANUAL_PAGES):
                yield known.get(name, f"http://{folder}.example/{file}"), body


def write_archive(data: Path, folder: Path) -> None:
    """Write the pages as one WARC file, and their addresses."""
    seen: set[str] = set()
    with (folder / "pages.warc.gz").open("wb") as sink:
        writer = WARCWriter(sink, gzip=True)
        for url, body in real_pages(data):
            if url in seen:
                continue
            seen.add(url)
            head = StatusAndHeaders("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(body)))], "HTTP/1.1")
            record = writer.create_warc_record(
                url, "response", payload=io.BytesIO(body), http_headers=head, warc_headers_dict={"WARC-Date": CAPTURED}
            )
            writer.write_record(record)
    (folder / "links.txt").write_text("".join(f"{url}\n" for url in sorted(seen)))


def write_half(folder: Path) -> None:
    """Write the addresses of half of the pages, by hash, without those of the documentation."""
    urls = (folder / "links.txt").read_text().splitlines()
    chosen = (url for url in urls if not url.startswith("http://pgdoc-") and hashlib.blake2b(url.encode()).digest()[0] & 1)
    (folder / "half.txt").write_text("".join(f"{url}\n" for url in chosen))


def webtext(*words: str) -> None:
    """Run a command of the pipeline, with one worker. Raises CalledProcessError."""
    subprocess.run([sys.executable, "-m", "pipeline", *words, "--workers", "1", "--quiet"], check=True)


def build(data: Path, folder: Path, variants: Sequence[str] = tuple(VARIANTS)) -> dict[str, Path]:
    """The corpora by name: base, and some variants; those that are finished stay as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    corpora = {name: folder / name for name in ("base", *variants)}
    if not (folder / "links.txt").exists():
        write_archive(data, folder)
    write_half(folder)
    if not (corpora["base"] / "tokens" / "manifest.json").exists():
        webtext(
            *("run", "--urls", str(folder / "links.txt"), "--fetch-from", str(folder / "pages.warc.gz")),
            *("--output", str(corpora["base"]), "--vocab-size", str(VOCABULARY), "--validation-share", str(VALIDATION_SHARE)),
        )
    for name in variants:
        if not (corpora[name] / "tokens" / "manifest.json").exists():
            changes = (word for setting in VARIANTS[name] for word in ("--set", setting.format(folder=folder)))
            webtext("vary", "--corpus", str(corpora["base"]), *changes, "--output", str(corpora[name]))
    return corpora


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))
