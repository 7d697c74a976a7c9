"""Compiling the default extractor at its first use: half of it in a second process, since the compiler itself works in one thread."""

import os
import subprocess
import sys
from typing import Final

import numpy as np

from pipeline.documents.blocks import layout
from pipeline.documents.blocks.features import describe_context
from pipeline.documents.blocks.page import BlockPage
from pipeline.documents.blocks.scan import Counts
from tokenizer.compiled import is_cached

PAGE: Final = "<title>a</title><p>The harbour was quiet.<br>Then <b>the</b> ship came.<table><tr><td>1<td>2</table>"
SECOND_HALF: Final = f"from {__name__} import warm_up_choice; warm_up_choice()"


def is_compiled() -> bool:
    """Whether the compiled code is in its cache."""
    return is_cached(describe_context)


def compile_extractor() -> None:
    """Compile all code that a page needs, in this process and in another one, into the cache that both share."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", SECOND_HALF]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment):  # noqa: S603 (our own module by our own interpreter)
        BlockPage.of(PAGE)
    warm_up()


def warm_up() -> None:
    """Load or compile all code that a page needs."""
    _choose_and_render(BlockPage.of(PAGE))


def warm_up_choice() -> None:
    """Load or compile all that comes after the scan, without a scan: an empty block stands in place of scanned ones."""
    scanned = layout.Scanned.of(PAGE.encode())
    for array in (scanned.segments, scanned.blocks, scanned.masks, scanned.elements):
        array[:] = 0
    _choose_and_render(BlockPage(PAGE, scanned, Counts(1, 1, 1, -1, -1, layout.COMPLETE, 0)))


def _choose_and_render(page: BlockPage) -> None:
    page.text(np.ones_like(page.choice.keep))
    page.block_texts()
