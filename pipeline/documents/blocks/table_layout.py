"""After the scan: sums over all elements, and which tables hold data and which only place things on the page."""

from typing import Final

from pipeline.documents.blocks import layout, tags
from tokenizer.compiled import Array, Integer, compiled_inner

LONGEST_CELL: Final = 400
"""A cell with more characters holds prose: its table places things on the page."""

_P = tags.TAG["p"]


@compiled_inner
def roll_up(elements: Array, count: Integer) -> None:
    """Add each element's counts to all elements around it; a parent's row comes before its children's."""
    for k in range(count - 1, 0, -1):
        row, parent = elements[k], elements[elements[k, layout.PARENT]]
        characters = row[layout.OWN_CHARACTERS] + row[layout.ALL_CHARACTERS]
        parent[layout.ALL_CHARACTERS] += characters
        parent[layout.ALL_LINK_CHARACTERS] += row[layout.OWN_LINK_CHARACTERS] + row[layout.ALL_LINK_CHARACTERS]
        parent[layout.ALL_STOPS] += row[layout.OWN_STOPS] + row[layout.ALL_STOPS]
        parent[layout.PARAGRAPH_CHARACTERS] += characters if row[layout.ELEMENT_TAG] == _P else row[layout.PARAGRAPH_CHARACTERS]


@compiled_inner
def lay_out(blocks: Array, block_count: Integer, elements: Array, element_count: Integer) -> None:
    """Mark the tables that only place things: they hold tables, code or prose, or have no row with two filled cells."""
    for k in range(block_count):
        cell, table = blocks[k, layout.CELL_OF], blocks[k, layout.TABLE]
        if cell == 0:
            continue
        if elements[cell, layout.BLOCKS] == 0:
            elements[blocks[k, layout.ROW], layout.BLOCKS] += 1
            if elements[blocks[k, layout.ROW], layout.BLOCKS] == 2:
                elements[table, layout.BLOCKS] += 1
        elements[cell, layout.BLOCKS] += 1
        header = elements[table, layout.TABLE_FACTS] & layout.HAS_HEADER
        if elements[cell, layout.BLOCKS] > (6 if header else 3):
            elements[table, layout.TABLE_FACTS] |= layout.IS_LAYOUT
        size = elements[cell, layout.OWN_CHARACTERS] + elements[cell, layout.ALL_CHARACTERS]
        if size > LONGEST_CELL * (4 if header else 1):
            elements[table, layout.TABLE_FACTS] |= layout.IS_LAYOUT
    for k in range(1, element_count):
        if elements[k, layout.TABLE_FACTS] & (layout.HAS_TABLE | layout.HAS_CODE) or elements[k, layout.BLOCKS] == 0:
            elements[k, layout.TABLE_FACTS] |= layout.IS_LAYOUT
