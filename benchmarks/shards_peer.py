"""One peer of benchmarks/shards.py, run by its own interpreter: `shards_peer.py PEER write|read RAW FOLDER WINDOWS`.

`write` writes the tokens of RAW in the peer's format below FOLDER; `read` reads random windows from there. Prints JSON: CPU seconds of
writing or CPU microseconds per window, and the peak memory of the largest process in MB.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scores  # beside this file

WINDOW = 1_025
CHUNK = 1 << 20


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and its ended children."""
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def chunk(start: int) -> Iterator[Any]:
    import torch

    yield torch.from_numpy(np.fromfile(sys.argv[3], "<u2", CHUNK, offset=2 * start).astype(np.int32)).to(torch.uint16)


def write_litdata(raw: Path, folder: Path) -> None:
    from litdata import TokensLoader, optimize

    starts = list(range(0, raw.stat().st_size // 2, CHUNK))
    optimize(chunk, starts, output_dir=str(folder), chunk_bytes="256MB", item_loader=TokensLoader(), num_workers=1)


def read_litdata(_raw: Path, folder: Path) -> tuple[Callable[[int], Any], int]:
    from litdata import StreamingDataset, TokensLoader

    windows = StreamingDataset(str(folder), item_loader=TokensLoader(block_size=WINDOW), shuffle=False)
    return windows.__getitem__, len(windows)


def stub_torchvision() -> None:
    """Define operators that torchvision's CUDA wheel needs at import and lacks with a CPU build of torch. Nothing calls them."""
    import torch

    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def write_streaming(raw: Path, folder: Path) -> None:
    stub_torchvision()
    from streaming import MDSWriter

    tokens = np.fromfile(raw, "<u2")
    with MDSWriter(out=str(folder), columns={"tokens": f"ndarray:uint16:{WINDOW}"}) as writer:
        for i in range(len(tokens) // WINDOW):
            writer.write({"tokens": tokens[WINDOW * i : WINDOW * (i + 1)]})


def read_streaming(raw: Path, folder: Path) -> tuple[Callable[[int], Any], int]:
    stub_torchvision()
    from streaming import StreamingDataset

    windows = StreamingDataset(local=str(folder), batch_size=1)
    return lambda i: windows[i]["tokens"], raw.stat().st_size // 2 // WINDOW


def read_datatrove(raw: Path, _folder: Path) -> tuple[Callable[[int], Any], int]:
    from datatrove.utils.dataset import DatatroveFileDataset

    windows = DatatroveFileDataset(str(raw), seq_len=WINDOW - 1, token_size=2)
    return lambda i: windows[i]["input_ids"], len(windows)


def read_memmap(raw: Path, _folder: Path) -> tuple[Callable[[int], Any], int]:
    """Read as nanoGPT's get_batch does, without torch's part."""
    tokens = np.memmap(raw, "<u2", "r")
    return lambda start: tokens[start : start + WINDOW], len(tokens) - WINDOW


WRITERS = {"litdata": write_litdata, "mosaicml-streaming": write_streaming}
READERS = {"litdata": read_litdata, "mosaicml-streaming": read_streaming, "datatrove": read_datatrove, "numpy": read_memmap}


def read_windows(name: str, raw: Path, folder: Path, count: int) -> float:
    """Return the CPU microseconds per window."""
    read, size = READERS[name](raw, folder)
    starts = np.random.default_rng(1).integers(0, size, count).tolist()
    for start in starts[:100]:
        window = np.asarray(read(start)).astype(np.int64)
    if window.shape != (WINDOW,):
        raise SystemExit(f"{name}: a window of shape {window.shape}")
    seconds = []
    for _ in range(scores.TIMINGS_PER_ROUND):
        began = time.process_time()
        for start in starts:
            np.asarray(read(start)).astype(np.int64)
        seconds.append(time.process_time() - began)
    return sorted(seconds)[1] / count * 1e6


def main() -> None:
    name, what, raw, folder, count = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5])
    if what == "write":
        began = cpu_seconds()
        WRITERS[name](raw, folder)
        cost = cpu_seconds() - began
    else:
        cost = read_windows(name, raw, folder, count)
    children_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
    print(json.dumps({"cost": cost, "peak_mb": max(scores.peak_mb(), children_mb)}))


if __name__ == "__main__":
    main()
