"""Mutated real pages through the default extractor's compiled code, every array access checked: `block_bounds.py DATA [PAGES] [SEED]`.

Ends with an error at the first access beyond an array, at a scan that fills an array, at text of one block that is missing from the
page's text, or at a page that takes a second. Numba compiles for it in a folder of its own.
"""

import os
import random
import sys
import tarfile
import tempfile
import time
from pathlib import Path

PIECES = (
    b"<div>" * 300, b"</p></div>" * 50, b"<table><tr><td>", b"<!--", b"-->", b"<script>", b"<script/>", b"</script>",
    b"\x00" * 50, b"<pre>\n\n", b"<select>", b"<svg>", b"<span hidden>", b"<td colspan=9>", b"</table>", b"<h1>", b"&nbsp;" * 30,
    b"&#xA0", b"&", b"<", b"</", b"<a href=#", b'"', b"<br>" * 9, b"<math><mi>a", b"<img alt='\\frac{a}{b}'>",
    b"<code>a\n b</code><br>", b"<li>" * 40, b"\xc2", b"\xe3\x80", b"<button>Why?</button>",
)  # fmt: skip


def pages(folder: Path) -> list[bytes]:
    bodies = []
    for path in sorted((folder / "html").glob("*.tar.xz")):
        with tarfile.open(path) as archive:
            files = (archive.extractfile(member) for member in archive if member.isfile())
            bodies += [body for file in files if file is not None and len(body := file.read()) < 60_000]
    return bodies


def mutated(noise: random.Random, bodies: list[bytes]) -> bytes:
    """A page with a few cuts, doublings, splices, flipped bytes and hostile pieces."""
    body = bytearray(noise.choice(bodies))
    for _ in range(noise.randint(1, 8)):
        at, end = sorted(noise.randrange(len(body) + 1) for _ in range(2))
        kind = noise.randrange(6)
        if kind == 0 and body:
            for _ in range(100):
                body[noise.randrange(len(body))] = noise.randrange(256)
        elif kind == 1:
            del body[at : min(end, at + 2000)]
        elif kind == 2:
            body[at:at] = noise.choice(bodies)[:3000]
        elif kind == 3:
            body[at:at] = body[at : min(end, at + 3000)]
        elif kind == 4:
            del body[at:]
        else:
            body[at:at] = noise.choice(PIECES)
    return bytes(body)


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 22_000
    noise = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    from pipeline.documents import charset
    from pipeline.documents.blocks.compilation import warm_up
    from pipeline.documents.blocks.page import BlockPage

    warm_up()
    bodies = pages(folder)
    slowest = 0.0
    statuses: dict[int, int] = {}
    for number in range(count):
        body = mutated(noise, bodies)
        began = time.process_time()
        page = BlockPage.of(charset.decode(body, None)[0])
        texts = page.block_texts()
        if page.counts.blocks:
            page.text(page.choice.keep)
        slowest = max(slowest, time.process_time() - began)
        statuses[page.counts.status] = statuses.get(page.counts.status, 0) + 1
        rows = len(page.scanned.segments)
        assert max(page.counts.segments, page.counts.blocks, page.counts.elements) <= rows, number
        assert "".join("".join(texts).split()) == "".join(page.all_text().split()), number
        assert slowest < 1, number
        if number % 1_000 == 999:
            print(f"{number + 1:,} pages, slowest {slowest * 1000:.0f} ms, ends {statuses}", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ |= {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": cache}
        main()
