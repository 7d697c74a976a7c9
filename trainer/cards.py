"""GPUs by the names that torch gives them: nominal speed of bf16 products and of memory, with the maker's document for each.

The makers' documents themselves could not be reached. `read` names where the figures were found and agreed, which reprints the document
or cites it. Where it says "from memory", check the figure before you rely on it.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU: dense bf16 TFLOPS with fp32 sums, memory bandwidth in GB/s, the maker's document, and what was read of it."""

    tflops: float
    gigabytes_per_second: float
    source: str
    read: str


_HOPPER = "archive-lib.hpctech.co.jp/gpuproduct/nvidia-h100.html: 1,979 and 1,513 with sparsity; 3,350 and 2,000 GB/s"
_ADA = "mullet.se, product 355414: L40 181.05 | 362.1 with sparsity, L40S 362.05 | 733; 864 GB/s"
_BLACKWELL = "glennklockwood.com/garden/processors/B200 and B300: HGX 2,250, GB200 2,500; 8 TB/s at most"

CARDS = {
    "A10": Card(
        125.0, 600, "A10 data sheet", "baseten.co/blog/nvidia-a10-vs-a10g-for-ml-model-inference: 600 GB/s; products from memory"
    ),
    "A10G": Card(
        70.0,
        600,
        "A10G data sheet, AWS edition of the A10",
        "baseten.co/blog/nvidia-a10-vs-a10g-for-ml-model-inference: 600 GB/s; products from memory",
    ),
    "A40": Card(149.7, 696, "A40 data sheet", "ecer.com, A40 with 48 GB: 149.7 | 299.4 with sparsity; 696 GB/s"),
    "A100": Card(
        312.0,
        2039,
        "A100 data sheet, 80 GB SXM; the other forms have slower memory",
        "glennklockwood.com/garden/processors/A100: 312; 80 GB SXM4 2,039 GB/s",
    ),
    "A800": Card(
        312.0,
        2039,
        "A800 data sheet, 80 GB: an A100 with slower links",
        "hmc-tech.com/gpu/nvidia-a800-vs-nvidia-t40: 311.87; bandwidth is the A100's",
    ),
    "B200": Card(2250.0, 8000, "HGX B200 data sheet: 36 PFLOPS with sparsity for 8", _BLACKWELL),
    "B300": Card(2250.0, 8000, "HGX B300 data sheet: 36 PFLOPS with sparsity for 8", _BLACKWELL),
    "GB200": Card(2500.0, 8000, "GB200 NVL72 data sheet: 360 PFLOPS with sparsity for 72", _BLACKWELL),
    "GB300": Card(
        2500.0,
        8000,
        "GB300 NVL72 data sheet: 360 PFLOPS with sparsity for 72",
        "verda.com/blog/gb300-nvl72-architecture: 2.5 PFLOPS, 180 for 72; 8 TB/s",
    ),
    "H100": Card(989.4, 3350, "H100 white paper, SXM5; the data sheet has 1,979 with sparsity", _HOPPER),
    "H100 NVL": Card(
        835.5,
        3900,
        "H100 data sheet, NVL: 1,671 with sparsity",
        "grokipedia.com/page/210100120: 3.93 TB/s; products from memory",
    ),
    "H100 PCIe": Card(756.0, 2000, "H100 white paper, PCIe", _HOPPER),
    "H200": Card(
        989.4,
        4800,
        "H200 data sheet, SXM: 1,979 with sparsity",
        "aiwiki.ai/wiki/nvidia_h200: the H100's products; 4.8 TB/s",
    ),
    "H200 NVL": Card(
        835.5,
        4800,
        "H200 data sheet, NVL: 1,671 with sparsity",
        "aiwiki.ai/wiki/nvidia_h200: 4.8 TB/s; products from memory",
    ),
    "H800": Card(
        989.4,
        3350,
        "H800 data sheet: an H100 with slower links",
        "philisun.com, H800 vs H100: products and 3.35 TB/s as the H100's, without a figure for the products",
    ),
    "L4": Card(
        121.0, 300, "L4 data sheet: 242 with sparsity", "grokipedia.com/page/NVIDIA_L4_vs_L40S: 242 with sparsity; 300 GB/s"
    ),
    "L40": Card(181.05, 864, "L40 data sheet: 362.1 with sparsity", _ADA),
    "L40S": Card(362.05, 864, "L40S data sheet: 733 with sparsity", _ADA),
    "RTX 3090": Card(
        71.0,
        936,
        "GA102 white paper, table of the RTX 3090",
        "holynerdvana.blogspot.com, RTX 3090 specifications: 142 in fp16 with fp16 sums, a half of it here; 936 GB/s",
    ),
    "RTX 4090": Card(
        165.2, 1008, "Ada white paper, table of the RTX 4090", "waredb.com/processor/nvidia-geforce-rtx-4090: 165.15; 1,008 GB/s"
    ),
    "RTX 5090": Card(
        209.5,
        1792,
        "RTX Blackwell white paper, table of the RTX 5090",
        "pocketmags.com, Linux Format, May 2025: 838 in fp16 with sparsity and fp16 sums, a fourth of it here; 1,792 GB/s",
    ),
}
"""Half of a figure with sparsity. A card that is not here is unknown: nothing is guessed from its name or its relatives."""


def find_card(device_name: str) -> Card | None:
    """The card whose name occurs in a device's name as whole words, the longest such name; None if there is none."""
    matches = [name for name in CARDS if re.search(rf"\b{re.escape(name)}\b", device_name)]
    return CARDS[max(matches, key=len)] if matches else None
