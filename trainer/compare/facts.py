"""What differs between corpora, beside what it is worth: sizes, funnels, domains, languages, lengths, words, documents in common."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tokenizer.codec import Tokenizer
from tokenizer.shards import Manifest, Shard
from tokenizer.untrusted import MAX_JSON_BYTES, read_file
from trainer.compare.contamination import contained_shares, decoded
from trainer.compare.origins import origin_tables
from trainer.compare.plan import Corpus

STAGES = ("links", "pages", "documents", "dedup", "tokens")
SAMPLED_DOCUMENTS = 500
SHOWN = 8
NEAR_DUPLICATE = 0.5
"""A document counts as a near-duplicate of another corpus if this share of its runs of 50 bytes stands there."""
QUANTILES = (0.1, 0.5, 0.9)
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class CorpusFacts:
    """Statistics of one corpus. `funnel` maps a stage to [items in, items out]; `domains` and `languages` are shares, largest first.

    `lengths_tokens` are the quantiles 0.1, 0.5 and 0.9 of document lengths. `repeated` is the share of documents whose tokens
    equal another's.
    """

    name: str
    documents: int
    tokens: int
    bytes_per_token: float
    repeated: float
    lengths_tokens: list[float]
    funnel: dict[str, list[int]] = field(default_factory=dict)
    domains: dict[str, float] = field(default_factory=dict)
    languages: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PairFacts:
    """What two corpora share. Shares are of the first one's documents; divergences are Jensen-Shannon, in bits (0 equal, 1 disjoint)."""

    first: str
    second: str
    equal_documents: float
    near_documents: float
    word_divergence: float
    domain_divergence: float | None
    words_of_first: list[str]
    words_of_second: list[str]


def facts(corpora: Sequence[Corpus], tokenizers: Sequence[Tokenizer]) -> dict[str, Any]:
    """Statistics of each corpus and of each pair, as JSON values."""
    manifests = [Manifest.load(corpus.tokens) for corpus in corpora]
    shards = [[shard for split in manifest.splits for shard in manifest.open(split)] for manifest in manifests]
    ids = [np.concatenate([batch.document_ids for shard in own for batch in shard.batches]) for own in shards]
    tables = [_origins(corpus, own) for corpus, own in zip(corpora, ids, strict=True)]
    texts = [_sample(own, tokenizer) for own, tokenizer in zip(shards, tokenizers, strict=True)]
    single = [_facts(*each) for each in zip(corpora, manifests, shards, tokenizers, tables, strict=True)]
    pairs = []
    for i, first in enumerate(corpora):
        for j, second in enumerate(corpora):
            if i == j:
                continue
            near = contained_shares(texts[i], decoded(shards[j], tokenizers[j])) >= NEAR_DUPLICATE
            words = [Counter(word for text in texts[k] for word in _WORD.findall(text.lower())) for k in (i, j)]
            domains = None
            if tables[i][0] and tables[j][0]:
                domains = jensen_shannon(tables[i][0], tables[j][0])
            pairs.append(
                PairFacts(
                    first.name, second.name, float(np.isin(_keys(ids[i]), _keys(ids[j])).mean()), float(near.mean()),
                    jensen_shannon(*words), domains, _typical(words[0], words[1]), _typical(words[1], words[0]),
                )
            )  # fmt: skip
    return {"corpora": [asdict(each) for each in single], "pairs": [asdict(pair) for pair in pairs]}


def jensen_shannon(first: Mapping[Any, float], second: Mapping[Any, float]) -> float:
    """Jensen-Shannon divergence of two distributions given as counts, in bits.

    >>> jensen_shannon({"a": 1}, {"b": 3}), jensen_shannon({"a": 1, "b": 1}, {"a": 5, "b": 5})
    (1.0, 0.0)
    """
    keys = list({**first, **second})
    p, q = (np.array([each.get(key, 0) for key in keys], np.float64) for each in (first, second))
    p, q = p / max(p.sum(), 1e-300), q / max(q.sum(), 1e-300)
    middle = (p + q) / 2
    parts = [np.sum(each[each > 0] * np.log2(each[each > 0] / middle[each > 0])) for each in (p, q)]
    return max(0.0, float(sum(parts) / 2))


def _facts(
    corpus: Corpus, manifest: Manifest, shards: Sequence[Shard], tokenizer: Tokenizer, origins: tuple[Counter[str], Counter[str]]
) -> CorpusFacts:
    lengths = np.concatenate([np.diff(batch.offsets) for shard in shards for batch in shard.batches])
    token_bytes = np.array([len(text) for text in tokenizer.token_bytes], np.int64)
    token_bytes[tokenizer.eot_id] = 0
    text_size = sum(int(token_bytes[batch.tokens].sum()) for shard in shards for batch in shard.batches)
    tokens = int(lengths.sum())
    seen = Counter(hash(ids.tobytes()) for shard in shards for _, ids in shard.documents())
    return CorpusFacts(
        corpus.name,
        len(lengths),
        tokens,
        text_size / max(1, tokens),
        1 - len(seen) / max(1, len(lengths)),
        [float(value) for value in np.quantile(lengths, QUANTILES)],
        _funnel(corpus),
        _largest(origins[0]),
        _largest(origins[1]),
    )


def _funnel(corpus: Corpus) -> dict[str, list[int]]:
    """Items in and out of each stage that the corpus folder holds."""
    funnel = {}
    for stage in STAGES if corpus.corpus else ():
        try:
            books = json.loads(read_file(Path(corpus.corpus or "", stage, "manifest.json"), MAX_JSON_BYTES))["books"]
            funnel[stage] = [int(books["items_in"]), int(books["items_out"])]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return funnel


def _origins(corpus: Corpus, ids: Any) -> tuple[Counter[str], Counter[str]]:
    """Documents per domain and per language, of the documents that the token shards hold; empty without a corpus folder."""
    domains, languages = Counter[str](), Counter[str]()
    wanted = _keys(ids)
    for table in origin_tables(corpus, ["document_id", "domain", "language"]):
        kept = np.isin(_keys(np.frombuffer(b"".join(table["document_id"].to_pylist()), np.uint8).reshape(-1, 16)), wanted)
        rows = table.filter(pa.array(kept))
        domains.update(value or "" for value in rows["domain"].to_pylist())
        languages.update(value or "" for value in rows["language"].to_pylist())
    return domains, languages


def _keys(ids: Any) -> Any:
    return np.ascontiguousarray(ids).view("S16").reshape(-1)


def _largest(counts: Counter[str]) -> dict[str, float]:
    total = max(1, counts.total())
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:SHOWN]
    return {name: count / total for name, count in ranked}


def _sample(shards: Sequence[Shard], tokenizer: Tokenizer) -> list[str]:
    """The documents with the smallest ids: a sample that does not depend on the order, cut to 4,000 tokens each."""
    ranked: list[tuple[bytes, Any]] = []
    for shard in shards:
        ranked += shard.documents()
        ranked = sorted(ranked, key=lambda pair: pair[0])[:SAMPLED_DOCUMENTS]
    return [tokenizer.decode(tokens[:-1][:4_000]) for _, tokens in ranked]


def _typical(own: Counter[str], other: Counter[str]) -> list[str]:
    """Words that are much more frequent in the first, by the log-likelihood ratio of Dunning (1993)."""
    totals = max(1, own.total()), max(1, other.total())

    def weight(word: str) -> float:
        a, b = own[word], other[word]
        expected = [(a + b) * total / sum(totals) for total in totals]
        if a / totals[0] <= b / totals[1]:
            return 0.0
        return 2 * sum(count * math.log(count / wanted) for count, wanted in zip((a, b), expected, strict=True) if count)

    return _first_words((word for word in own if weight(word) > 0), weight)


def _first_words(words: Iterable[str], weight: Any) -> list[str]:
    return sorted(words, key=lambda word: (-weight(word), word))[:SHOWN]
