"""One peer of benchmarks/shards.py, run by an interpreter that has it: `shards_peer.py PEER RAW FOLDER WINDOWS`.

Writes the tokens of RAW in the peer's format below FOLDER, unless they stand there; reads random windows. Prints CPU seconds as JSON.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

WINDOW = 1_025
CHUNK = 1 << 20
DISTURBED = 3


def cpu_seconds() -> float:
    """Of this process and of children that have ended."""
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def chunk(start: int) -> Iterator[Any]:
    import torch

    yield torch.from_numpy(np.fromfile(sys.argv[2], "<u2", CHUNK, offset=2 * start).astype(np.int32)).to(torch.uint16)


def litdata(raw: Path, folder: Path) -> tuple[float, Callable[[int], Any], int]:
    from litdata import StreamingDataset, TokensLoader, optimize

    spent = 0.0
    if not folder.exists():
        began = cpu_seconds()
        starts = list(range(0, raw.stat().st_size // 2, CHUNK))
        optimize(chunk, starts, output_dir=str(folder), chunk_bytes="256MB", item_loader=TokensLoader(), num_workers=1)
        spent = cpu_seconds() - began
    windows = StreamingDataset(str(folder), item_loader=TokensLoader(block_size=WINDOW), shuffle=False)
    return spent, windows.__getitem__, len(windows)


def streaming(raw: Path, folder: Path) -> tuple[float, Callable[[int], Any], int]:
    import torch

    # torchvision's wheel, built for CUDA, has no operators beside a CPU build of torch; importing it asks for these, nobody calls them
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from streaming import MDSWriter, StreamingDataset

    tokens = np.fromfile(raw, "<u2")
    samples, spent = len(tokens) // WINDOW, 0.0
    if not folder.exists():
        began = cpu_seconds()
        with MDSWriter(out=str(folder), columns={"tokens": f"ndarray:uint16:{WINDOW}"}) as writer:
            for i in range(samples):
                writer.write({"tokens": tokens[WINDOW * i : WINDOW * (i + 1)]})
        spent = cpu_seconds() - began
    windows = StreamingDataset(local=str(folder), batch_size=1)
    return spent, lambda i: windows[i]["tokens"], samples


def datatrove(raw: Path, _folder: Path) -> tuple[float, Callable[[int], Any], int]:
    from datatrove.utils.dataset import DatatroveFileDataset

    windows = DatatroveFileDataset(str(raw), seq_len=WINDOW - 1, token_size=2)
    return 0.0, lambda i: windows[i]["input_ids"], len(windows)


def main() -> None:
    name, raw, folder, count = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    wrote, read, size = {"litdata": litdata, "mosaicml-streaming": streaming, "datatrove": datatrove}[name](raw, folder)
    starts = np.random.default_rng(1).integers(0, size, count).tolist()
    for start in starts[:100]:
        window = np.asarray(read(start)).astype(np.int64)
    if window.shape != (WINDOW,):
        raise SystemExit(f"{name}: a window of shape {window.shape}")
    seconds = []
    for _ in range(DISTURBED):
        began = time.process_time()
        for start in starts:
            np.asarray(read(start)).astype(np.int64)
        seconds.append(time.process_time() - began)
    print(json.dumps({"write_seconds": wrote, "microseconds": sorted(seconds)[1] / count * 1e6}))


if __name__ == "__main__":
    main()
