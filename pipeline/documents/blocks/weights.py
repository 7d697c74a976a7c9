"""The weights file: two forests in one archive, whose bytes depend on the forests alone."""

import io
import zipfile
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pipeline.documents.blocks.features import CONTEXT, FEATURES
from pipeline.documents.blocks.forest import Forest

FILE: Final = "weights.npz"
EPOCH: Final = (1980, 1, 1, 0, 0, 0)


class Weights(NamedTuple):
    """The forest that judges a block by itself, and the one that knows what the first says of the blocks around it."""

    first: Forest
    second: Forest


@cache
def load() -> Weights:
    """The weights that come with the package."""
    with resources.files(__package__).joinpath(FILE).open("rb") as stream:
        return read(stream.read())


def read(data: bytes) -> Weights:
    """The weights in the bytes of a file. Raises RuntimeError where it was trained for other features."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    if arrays["shape"].tolist() != [FEATURES, CONTEXT]:
        raise RuntimeError(
            f"{FILE} knows {arrays['shape'].tolist()} features, not {[FEATURES, CONTEXT]}; run `make train-extractor`"
        )
    return Weights(Forest.of(arrays, "first"), Forest.of(arrays, "second"))


def write(path: Path, weights: Weights) -> None:
    """Write a weights file; equal forests give equal bytes."""
    arrays = {"shape": np.array([FEATURES, CONTEXT]), **weights.first.arrays("first"), **weights.second.arrays("second")}
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in sorted(arrays.items()):
            stream = io.BytesIO()
            np.lib.format.write_array(stream, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, stream.getvalue(), compresslevel=9)
