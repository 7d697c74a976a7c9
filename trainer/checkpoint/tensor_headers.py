"""Headers of safetensors files: which tensors, or which parts of them, a checkpoint's files hold."""

import math
import struct
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from tokenizer.typed_json import decode
from tokenizer.untrusted import check_size

MAX_HEADER_BYTES = 1 << 24
SHARDING = "DCP_SHARDING_INFO"
"""Key of torch.distributed.checkpoint's metadata: where each file's part begins in the whole tensor."""

Dimension = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
Shape = tuple[int, ...]


class _Tensor(msgspec.Struct):
    shape: list[Dimension]


class _Part(msgspec.Struct):
    saved_offsets: list[Dimension]


def check_tensors(folder: Path, shapes: Mapping[str, Shape]) -> None:
    """Raise ValueError unless the folder's files hold each tensor of `shapes` exactly once, in parts that lie inside it."""
    held: Counter[str] = Counter()
    for path in sorted(folder.glob("*.safetensors")):
        tensors, starts = read_header(path)
        for name, shape in tensors.items():
            if name not in shapes:
                continue
            start = starts.get(name, [0] * len(shape))
            if len(shape) != len(shapes[name]) or len(start) != len(shape) or not _is_inside(start, shape, shapes[name]):
                raise ValueError(f"{path.name}: {name} has shape {shape} at {start}, which is no part of {list(shapes[name])}")
            held[name] += math.prod(shape)
    for name, whole in shapes.items():
        if held[name] != math.prod(whole):
            raise ValueError(f"{name}: the files hold {held[name]:,} of its {math.prod(whole):,} numbers")


def read_header(path: Path) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Shape of each tensor in a file, and where it begins in the whole tensor. Raises ValueError for another content."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise ValueError(f"{path.name}: has only {size} bytes")
        (length,) = struct.unpack("<Q", start)
        check_size(length, min(MAX_HEADER_BYTES, size - 8))
        entries = decode(file.read(length), dict[str, msgspec.Raw])
    metadata = decode(bytes(entries.pop("__metadata__", msgspec.Raw(b"{}"))), dict[str, str])
    parts = decode(metadata.get(SHARDING, "{}").encode(), dict[str, _Part])
    shapes = {name: decode(bytes(raw), _Tensor).shape for name, raw in entries.items()}
    if SHARDING in metadata and (missing := sorted(shapes.keys() - parts.keys())):
        raise ValueError(f"{path.name}: {SHARDING} does not say where {missing[0]!r:.100} begins")
    for name, shape in shapes.items():
        if name in parts and len(parts[name].saved_offsets) != len(shape):
            raise ValueError(f"{path.name}: {name!r:.100} has shape {shape}, but begins at {parts[name].saved_offsets}")
    return shapes, {name: part.saved_offsets for name, part in parts.items()}


def _is_inside(start: list[int], shape: list[int], whole: Shape) -> bool:
    return all(first + size <= most for first, size, most in zip(start, shape, whole, strict=True))
