import pytest

from pipeline.dedup import lsh_parameters
from pipeline.dedup.minhash import PERMUTATIONS
from pipeline.dedup.settings import DedupSettings


def test_bands_reach_the_given_recall() -> None:
    bands = lsh_parameters.bands_for_recall(0.96, 0.8, 8)
    assert lsh_parameters.candidate_probability(0.8, bands, 8) >= 0.96 > lsh_parameters.candidate_probability(0.8, bands - 1, 8)
    assert lsh_parameters.candidate_probability(0.8, 14, 8) == pytest.approx(0.924, abs=0.001)
    assert DedupSettings().bands_and_rows == (bands, 8) == (18, 8)
    assert bands * 8 == PERMUTATIONS
    assert DedupSettings(bands=14).bands_and_rows == (14, 8)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_low_thresholds_use_fewer_rows(threshold: float) -> None:
    bands, rows = lsh_parameters.parameters_for_recall(0.96, threshold, 8)
    assert bands * rows <= lsh_parameters.MAX_PERMUTATIONS
    assert lsh_parameters.candidate_probability(min(threshold + 0.1, (threshold + 1) / 2), bands, rows) >= 0.96
