"""Forests of decision trees: their arrays, and the compiled walk through them."""

from typing import NamedTuple, Self

import numpy as np

from tokenizer.compiled import Array, Integer, compiled


class Forest(NamedTuple):
    """Trees as arrays of nodes: a leaf's feature is -1; a left child follows its parent."""

    features: Array
    thresholds: Array
    right: Array
    values: Array
    roots: Array

    @classmethod
    def of(cls, arrays: dict[str, Array], name: str) -> Self:
        """The forest of a name among the arrays of a file."""
        return cls(*(arrays[f"{name}_{field}"] for field in cls._fields))

    def arrays(self, name: str) -> dict[str, Array]:
        """The arrays for a file, by the forest's name and theirs."""
        return {f"{name}_{field}": array for field, array in self._asdict().items()}


@compiled
def judge(forest: Forest, features: Array, count: Integer, likely: Array) -> None:
    """Write the probability of each block. Tree by tree, so that a tree's nodes stay in the nearest cache."""
    for k in range(count):
        likely[k] = 0.0
    for tree in range(len(forest.roots)):
        root = np.int64(forest.roots[tree])
        for k in range(count):
            node = root
            feature = forest.features[node]
            while feature >= 0:
                node = node + 1 if features[k, feature] <= forest.thresholds[node] else np.int64(forest.right[node])
                feature = forest.features[node]
            likely[k] += forest.values[node]
    for k in range(count):
        likely[k] = 1.0 / (1.0 + np.exp(-likely[k]))
