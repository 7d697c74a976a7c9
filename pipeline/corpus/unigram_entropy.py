"""The unigram entropies of a dataset whose shards were joined or changed after the tokens stage."""

import numpy as np

from pipeline.tokens.dataset import cross_entropy_nats
from tokenizer.shards import Manifest as Dataset

TOKEN_IDS = 1 << 16
TOKENS_PER_CHUNK = 1 << 22


def unigram_entropies(dataset: Dataset) -> dict[str, float]:
    """Cross entropy of each split under the training split's token frequencies, in nats per token, as the tokens stage computes it."""
    counts = {name: np.zeros(TOKEN_IDS, np.int64) for name in dataset.splits}
    for name in dataset.splits:
        for shard in dataset.open(name, verify=False):
            for batch in shard.batches:
                for start in range(0, len(batch.tokens), TOKENS_PER_CHUNK):
                    counts[name] += np.bincount(batch.tokens[start : start + TOKENS_PER_CHUNK], minlength=TOKEN_IDS)
    training = counts["train"][: dataset.vocab_size]
    return {name: cross_entropy_nats(c[: dataset.vocab_size], training) for name, c in counts.items() if c.any()}
