"""Utilization is relative to the right card, and each figure names its source."""

from dataclasses import replace

import pytest

from benchmarks import roofline
from trainer.cards import CARDS, find_card
from trainer.config import ModelConfig
from trainer.memory import peak_bytes, resolve_strategy
from trainer.metrics import model_flops_utilization
from trainer.presets import PRESETS, gpt2_xl

DEVICES = {
    "NVIDIA A10": 125,
    "NVIDIA A10G": 70,
    "NVIDIA A40": 149.7,
    "NVIDIA A100-SXM4-80GB": 312,
    "NVIDIA A100 80GB PCIe": 312,
    "NVIDIA A800-SXM4-80GB": 312,
    "NVIDIA B200": 2250,
    "NVIDIA B300 SXM6 AC": 2250,
    "NVIDIA GB200": 2500,
    "NVIDIA GB300": 2500,
    "NVIDIA GeForce RTX 3090": 71,
    "NVIDIA GeForce RTX 4090": 165.2,
    "NVIDIA GeForce RTX 5090": 209.5,
    "NVIDIA H100 80GB HBM3": 989.4,
    "NVIDIA H100 NVL": 835.5,
    "NVIDIA H100 PCIe": 756,
    "NVIDIA H200": 989.4,
    "NVIDIA H200 NVL": 835.5,
    "NVIDIA H800": 989.4,
    "NVIDIA L4": 121,
    "NVIDIA L40": 181.05,
    "NVIDIA L40S": 362.05,
}


@pytest.mark.parametrize("device", DEVICES)
def test_each_card_has_its_own_peak(device: str) -> None:
    card = find_card(device)
    assert card is not None
    assert card.tflops == DEVICES[device]
    assert "data sheet" in card.source or "white paper" in card.source


@pytest.mark.parametrize(
    "device",
    ["CPU", "NVIDIA RTX A1000", "Tesla V100-SXM2-16GB", "NVIDIA L400", "NVIDIA GeForce RTX 30900", "AMD Instinct MI300X"],
)
def test_a_card_that_is_not_listed_is_unknown(device: str) -> None:
    assert find_card(device) is None
    assert model_flops_utilization(ModelConfig(), 1e6, device, 1) is None


def test_every_card_of_the_table_is_tested() -> None:
    assert {find_card(device) for device in DEVICES} == set(CARDS.values())


def test_utilization_is_the_share_of_the_nominal_flops() -> None:
    model = ModelConfig()
    per_token = model.flops_per_sequence() / model.context
    assert model_flops_utilization(model, 989.4e12 * 8 / per_token / 2, "NVIDIA H100 80GB HBM3", 8) == pytest.approx(0.5)


@pytest.mark.parametrize("card", CARDS)
def test_a_roofline_says_where_the_cards_figures_were_read(card: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert roofline.main([card, "gpt2-small"]) == 0
    output = capsys.readouterr().out
    assert f"agrees with: {CARDS[card].read}" in output
    assert "nothing measured" in output


def test_cards_from_memory_are_the_exception() -> None:
    assert {name for name, card in CARDS.items() if "from memory" in card.read} == {"A10", "A10G", "H100 NVL", "H200 NVL"}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("ranks", [1, 8])
def test_a_roofline_bounds_speed_by_its_parts(preset: str, ranks: int) -> None:
    config = resolve_strategy(replace(PRESETS[preset](), precision="bf16"), ranks, 80 << 30)
    card = CARDS["H100"]
    if config.batch_windows % ranks:
        pytest.skip("the ranks do not divide the batch")
    found = roofline.roofline(card, config, ranks, 450)
    assert min(found.parts.values()) > 0
    assert 0 < found.utilization < 1
    assert found.memory_bytes == peak_bytes(config, ranks)
    seconds = sum(found.parts.values()) + found.exposed_exchange
    assert found.tokens_per_second == pytest.approx(config.batch_tokens / seconds)
    slower = roofline.roofline(replace(card, tflops=card.tflops / 2), config, ranks, 450)
    assert slower.tokens_per_second < found.tokens_per_second


def test_a_slow_link_exposes_the_exchange() -> None:
    config = gpt2_xl().with_options(precision="bf16", strategy="fsdp", batch_tokens=8 * 8 * 1024)
    card = CARDS["H100"]
    assert roofline.roofline(card, config, 8, 450).exposed_exchange == 0
    assert roofline.roofline(card, config, 8, 5).exposed_exchange > 0
    assert roofline.roofline(card, config, 1, 5).exposed_exchange == 0, "one rank sends nothing"
