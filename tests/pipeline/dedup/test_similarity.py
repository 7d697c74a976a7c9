from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.shingles import pack
from pipeline.dedup.similarity import SHINGLE_PLACES, similarities
from tokenizer.errors import InputError

SHARDS = st.lists(st.lists(st.lists(st.integers(0, 30), max_size=20), min_size=1, max_size=6), min_size=1, max_size=3)


def write(folder: Path, shards: list[list[list[int]]]) -> tuple[list[str], np.ndarray]:
    """The .bin file of each shard, and the place of each document's shingles."""
    paths, places = [], []
    for number, documents in enumerate(shards):
        path = folder / f"shingles-{number}.bin"
        hashes = np.array([value for document in documents for value in document], np.uint64)
        path.write_bytes(pack(hashes).tobytes())
        paths.append(str(path))
        start = 0
        for document in documents:
            places.append((len(places), number, start, len(document)))
            start += len(document)
    return paths, np.array(places, SHINGLE_PLACES)


@settings(max_examples=200, deadline=None)
@given(shards=SHARDS, data=st.data())
def test_similarities_equal_those_of_the_sets_in_any_shards(
    shards: list[list[list[int]]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    paths, places = write(tmp_path_factory.mktemp("shards"), shards)
    sets = [set(document) for documents in shards for document in documents]
    pair = st.tuples(*[st.integers(0, len(sets) - 1)] * 2)
    pairs = np.array(data.draw(st.lists(pair, max_size=20)), np.int64).reshape(-1, 2)
    measured = similarities(paths, places, pairs[:, 0], pairs[:, 1])
    expected = [len(sets[a] & sets[b]) / max(1, len(sets[a] | sets[b])) for a, b in pairs]
    assert measured.tolist() == pytest.approx(expected)


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    (path,), places = write(tmp_path, [[[1, 2, 3], [4, 5, 6]]])
    Path(path).write_bytes(Path(path).read_bytes()[:-1])
    assert similarities([path], places, np.array([0]), np.array([0])).tolist() == [1.0]
    with pytest.raises(InputError, match=r"shingles-0\.bin: ends before byte 36; run the stage again"):
        similarities([path], places, np.array([0]), np.array([1]))
