"""The permutation: a bijection without detectable structure."""

import numpy as np
import pytest

from trainer.order import Permutation


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 1000, 65_537, 8_823_810])
def test_permutation_is_a_bijection(size: int) -> None:
    images = Permutation(size, 7, 0)(np.arange(size))
    assert np.bincount(images, minlength=size).max() == 1


def test_epochs_and_seeds_change_the_order() -> None:
    orders = [Permutation(1000, seed, epoch)(np.arange(1000)) for seed, epoch in ((1, 0), (1, 1), (2, 0))]
    for i, one in enumerate(orders):
        for other in orders[i + 1 :]:
            assert (one == other).mean() < 0.02


def test_single_indices_give_the_same_images() -> None:
    order = Permutation(12_345, 3, 1)
    assert order([777])[0] == order(np.arange(12_345))[777]


def test_successive_pairs_are_uniformly_distributed() -> None:
    size, cells = 1 << 20, 64
    images = Permutation(size, 11, 0)(np.arange(size)) * cells // size
    pairs = np.bincount(images[:-1] * cells + images[1:], minlength=cells**2)
    expected = (size - 1) / cells**2
    assert ((pairs - expected) ** 2 / expected).sum() / cells**2 < 1.2


@pytest.mark.parametrize("size", [1 << 16, 1_000_003])
def test_low_bits_of_the_index_predict_no_bit_of_the_image(size: int) -> None:
    images = Permutation(size, 5, 0)(np.arange(size))
    low = np.arange(size) % 8
    for bit in range(8):
        ones = np.bincount(low, weights=(images >> bit) & 1, minlength=8) / np.bincount(low, minlength=8)
        assert np.maximum(ones, 1 - ones).mean() < 0.52


def test_size_zero_is_rejected() -> None:
    with pytest.raises(ValueError, match="at least 1 element"):
        Permutation(0, 1, 0)
