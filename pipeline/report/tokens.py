"""Numbers of the token shards: sums from the manifest, document lengths from the shards' offsets."""

from dataclasses import replace

import numpy as np

from pipeline.corpus.folder import CorpusFolder
from pipeline.report.baselines import baselines
from pipeline.report.numbers import Histogram, SplitNumbers, TokenNumbers
from pipeline.report.tallies import TOKENS, BinTally
from tokenizer.errors import FormatError, InputError
from tokenizer.shards import Manifest


def token_numbers(corpus: CorpusFolder) -> tuple[TokenNumbers, Histogram]:
    """Numbers of the token dataset, and the histogram of tokens per document. Raises InputError if a shard is damaged."""
    lengths = BinTally(TOKENS)
    try:
        dataset = Manifest.load(corpus.folders["tokens"])
        for split in dataset.splits:
            for shard in dataset.open(split, verify=False):
                for batch in shard.batches:
                    lengths.add(np.diff(batch.offsets))
    except FormatError as error:
        raise InputError(str(error)) from error
    splits = {
        name: SplitNumbers(
            split.documents,
            split.tokens,
            split.text_bytes,
            sum(shard.bytes for shard in split.shards),
            dataset.unigram_entropy_nats.get(name),
        )
        for name, split in dataset.splits.items()
    }
    numbers = TokenNumbers(splits, dataset.vocab_size, dataset.tokenizer_sha256)
    if held_out := numbers.held_out:
        numbers = replace(numbers, baselines=baselines(dataset, held_out, splits[held_out]))
    return numbers, lengths.histogram("tokens", "Tokens per document", "tokens, end of text included", "documents")
