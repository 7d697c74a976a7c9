import numpy as np
import pyarrow as pa
import pytest
from corpora import document_id

from pipeline.storage.hashing import hash_ids, in_sample


def test_hashes_spread_evenly_and_differ_by_seed_and_salt() -> None:
    ids = pa.array([document_id(str(number)) for number in range(20_000)], pa.binary(16))
    assert in_sample(ids, 0.1, 0, b"a").mean() == pytest.approx(0.1, abs=0.01)
    assert in_sample(ids, 1.0, 0, b"a").all()
    assert len({tuple(hash_ids(ids, seed, salt)[:9]) for seed in (0, 1) for salt in (b"a", b"b")}) == 4
    assert np.array_equal(hash_ids(ids.slice(5, 7), 0, b"a"), hash_ids(ids, 0, b"a")[5:12])
