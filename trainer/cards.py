"""GPUs by the names that torch gives them: nominal speed of bf16 products and of memory, with the maker's document for each.

The makers' documents were not read for this table. The bf16 figures of A40, B200, B300, GB200, GB300, H100, L40 and L40S agree with
reprints of them; the other figures, and all memory bandwidths, are from memory: check a card before you rely on it.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU: dense bf16 TFLOPS with fp32 sums, memory bandwidth in GB/s, and the source of both."""

    tflops: float
    gigabytes_per_second: float
    source: str


CARDS = {
    "A10": Card(125.0, 600, "A10 data sheet"),
    "A10G": Card(70.0, 600, "A10G data sheet, AWS edition of the A10"),
    "A40": Card(149.7, 696, "A40 data sheet"),
    "A100": Card(312.0, 2039, "A100 data sheet, 80 GB SXM; the other forms have slower memory"),
    "A800": Card(312.0, 2039, "A800 data sheet: an A100 with slower links"),
    "B200": Card(2250.0, 8000, "HGX B200 data sheet: 36 PFLOPS with sparsity for 8"),
    "B300": Card(2250.0, 8000, "HGX B300 data sheet: 36 PFLOPS with sparsity for 8"),
    "GB200": Card(2500.0, 8000, "GB200 NVL72 data sheet: 360 PFLOPS with sparsity for 72"),
    "GB300": Card(2500.0, 8000, "GB300 NVL72 data sheet: 360 PFLOPS with sparsity for 72"),
    "H100": Card(989.4, 3350, "H100 white paper, SXM5; the data sheet has 1,979 with sparsity"),
    "H100 NVL": Card(835.5, 3900, "H100 data sheet, NVL: 1,671 with sparsity"),
    "H100 PCIe": Card(756.0, 2000, "H100 white paper, PCIe"),
    "H200": Card(989.4, 4800, "H200 data sheet, SXM: 1,979 with sparsity"),
    "H200 NVL": Card(835.5, 4800, "H200 data sheet, NVL: 1,671 with sparsity"),
    "H800": Card(989.4, 3350, "H800 data sheet: an H100 with slower links"),
    "L4": Card(121.0, 300, "L4 data sheet: 242 with sparsity"),
    "L40": Card(181.05, 864, "L40 data sheet: 362.1 with sparsity"),
    "L40S": Card(362.05, 864, "L40S data sheet: 733 with sparsity"),
    "RTX 3090": Card(71.0, 936, "GA102 white paper, table of the RTX 3090"),
    "RTX 4090": Card(165.2, 1008, "Ada white paper, table of the RTX 4090"),
    "RTX 5090": Card(209.5, 1792, "RTX Blackwell white paper, table of the RTX 5090"),
}
"""Half of a figure with sparsity. A card that is not here is unknown: nothing is guessed from its name or its relatives."""


def find_card(device_name: str) -> Card | None:
    """The card whose name occurs in a device's name as whole words, the longest such name; None if there is none."""
    matches = [name for name in CARDS if re.search(rf"\b{re.escape(name)}\b", device_name)]
    return CARDS[max(matches, key=len)] if matches else None
