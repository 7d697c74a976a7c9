"""Looks at what goes through the shuffles of a graph that runs in this process. A module of its own: Beam pickles it by its name."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import apache_beam as beam

SHUFFLED: list[bytes] = []
"""Each element, as bytes."""

_GroupByKey = beam.GroupByKey


@contextmanager
def watched() -> Iterator[list[bytes]]:
    """What graphs built and run within the block shuffle."""
    SHUFFLED.clear()
    with patch.object(beam, "GroupByKey", _Watched):
        yield SHUFFLED


class _Watched(beam.PTransform[Any, Any]):
    def expand(self, elements: Any) -> Any:
        weighed = elements | "Weigh" >> beam.Map(_weigh).with_output_types(elements.element_type)
        return weighed | "Group" >> _GroupByKey()


def _weigh(element: Any) -> Any:
    SHUFFLED.append(element[1] if isinstance(element[1], bytes) else pickle.dumps(element))
    return element
