import pyarrow as pa
from corpora import TOPICS

from pipeline.vocabulary.counts import add_up, partition
from tokenizer.counting import PreTokenCounter


def test_partitions_hold_every_pre_token_once() -> None:
    counter = PreTokenCounter()
    counter.add(pa.array(TOPICS[:20]))
    table = counter.table()
    parts = partition(table, 7)
    assert min(part.num_rows for part in parts) > 0
    assert sum(part.num_rows for part in parts) == table.num_rows
    assert add_up(parts).table().equals(table)
