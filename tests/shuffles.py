"""Records the elements that are shuffled by graphs in this process. Its own module, since Beam pickles it by name."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import apache_beam as beam

SHUFFLED: list[bytes] = []
"""Each shuffled element, as bytes."""

_GroupByKey = beam.GroupByKey


@contextmanager
def recorded_shuffles() -> Iterator[list[bytes]]:
    """The elements that graphs shuffle if they are built and run within the block."""
    SHUFFLED.clear()
    with patch.object(beam, "GroupByKey", _RecordingGroupByKey):
        yield SHUFFLED


class _RecordingGroupByKey(beam.PTransform[Any, Any]):
    def expand(self, elements: Any) -> Any:
        weighed = elements | "Weigh" >> beam.Map(_weigh).with_output_types(elements.element_type)
        return weighed | "Group" >> _GroupByKey()


def _weigh(element: Any) -> Any:
    SHUFFLED.append(element[1] if isinstance(element[1], bytes) else pickle.dumps(element))
    return element
