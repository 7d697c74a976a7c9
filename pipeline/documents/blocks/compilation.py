"""Compiling the default extractor at its first use: half of it in a second process, since the compiler itself works in one thread."""

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np

from pipeline.documents.blocks import attributes, layout
from pipeline.documents.blocks.features import describe_context
from pipeline.documents.blocks.page import BlockPage
from pipeline.documents.blocks.scan import TABLES, Counts
from tokenizer.compiled import compile_for, is_cached

PAGE: Final = "<title>a</title><p>The harbour was quiet.<br>Then <b>the</b> ship came.<table><tr><td>1<td>2</table>"
SECOND_HALF: Final = f"from {__name__} import compile_second_half; compile_second_half()"


def is_compiled() -> bool:
    """Whether the compiled code is in its cache."""
    return is_cached(describe_context)


def compile_extractor() -> None:
    """Compile all code that a page needs, in this process and in another one, into the cache that both share.

    This process begins with the renderer, so that the other one has compiled the reading of attributes when the scan needs it.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", SECOND_HALF]
    with (
        subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment),  # noqa: S603 (our own module by our own interpreter)
        _without_garbage_collection(),
    ):
        unscanned_page().block_texts()
        BlockPage.of(PAGE)
    warm_up()


def compile_second_half() -> None:
    """Compile the reading of attributes, and all that chooses blocks."""
    with _without_garbage_collection():
        warm_up_attributes()
        warm_up_choice()


def warm_up() -> None:
    """Load or compile all code that a page needs."""
    page = BlockPage.of(PAGE)
    page.text(np.ones_like(page.choice.keep))
    page.block_texts()


def warm_up_attributes() -> None:
    """Load or compile the reading of attributes, for the types that the scan calls it with."""
    data, facts = np.frombuffer(PAGE.encode(), np.uint8), np.zeros(attributes.CELLS, np.int64)
    compile_for(attributes.read, data, np.int64(0), data, TABLES.class_steps, TABLES.class_groups, True, facts)


def warm_up_choice() -> None:
    """Load or compile all that chooses blocks, without a scan."""
    _ = unscanned_page().choice


def unscanned_page() -> BlockPage:
    """A page with an empty block in place of scanned ones."""
    scanned = layout.Scanned.of(PAGE.encode())
    for array in (scanned.segments, scanned.blocks, scanned.masks, scanned.elements):
        array[:] = 0
    return BlockPage(PAGE, scanned, Counts(1, 1, 1, -1, -1, layout.COMPLETE, 0))


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Collect no garbage: the compiler makes many objects, and looking through them is a tenth of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
