"""The dataset section of the stage's manifest: splits, their shards, and the entropy of a unigram model as a baseline for a trainer."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import numpy.typing as npt

from pipeline.engine.parts import PhaseFolder, Receipt
from pipeline.storage import files
from pipeline.tokens.plan import ShardPlan
from pipeline.tokens.splits import SPLITS
from tokenizer.codec import Tokenizer
from tokenizer.shards import Manifest, ShardEntry, SplitEntry


def describe_dataset(
    phase: PhaseFolder, tokenizer: Tokenizer, receipts: Sequence[Receipt], plans: Sequence[ShardPlan]
) -> Manifest:
    """The dataset of finished shards: receipt i is that of plan i. Without documents it has an empty training split."""
    present = {SPLITS[0], *(plan.header.split for plan in plans)}
    splits = {split: split_entry(receipts, plans, split) for split in SPLITS if split in present}
    counts = {split: unigram_counts(phase, receipts, plans, split)[: tokenizer.vocab_size] for split in splits}
    training = counts[SPLITS[0]]
    entropies = {split: cross_entropy_nats(count, training) for split, count in counts.items() if count.any()}
    return Manifest(phase.folder, tokenizer.sha256, tokenizer.vocab_size, tokenizer.eot_id, splits, entropies)


def split_entry(receipts: Sequence[Receipt], plans: Sequence[ShardPlan], split: str) -> SplitEntry:
    """A split's totals and shards."""
    entries = []
    for plan in (p for p in plans if p.header.split == split):
        (entry,) = (e for r in receipts for e in r.files if e.name == plan.header.name)
        entries.append(ShardEntry(entry.name, plan.header.documents, plan.header.tokens, entry.bytes, entry.sha256))
    text_bytes = sum(receipt.counters.get(f"text_bytes_{split}", 0) for receipt in receipts)
    return SplitEntry(sum(e.documents for e in entries), sum(e.tokens for e in entries), text_bytes, tuple(entries))


def unigram_counts(
    phase: PhaseFolder, receipts: Sequence[Receipt], plans: Sequence[ShardPlan], split: str
) -> npt.NDArray[np.int64]:
    """How often each id occurs in a split."""
    counts = np.zeros(1 << 16, np.int64)
    for receipt, plan in zip(receipts, plans, strict=True):
        if plan.header.split == split:
            counts += np.load(BytesIO(files.read_bytes(receipt.path(phase, "unigrams"))))
    return counts


def cross_entropy_nats(counts: npt.NDArray[np.int64], training: npt.NDArray[np.int64]) -> float:
    """Mean of -log(p) per token, where p are the frequencies of ids in the training split after adding one to each count."""
    probabilities = (training + 1) / (training + 1).sum()
    return float(-(counts * np.log(probabilities)).sum() / counts.sum())
