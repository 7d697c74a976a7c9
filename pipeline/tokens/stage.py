"""Unique documents to the Arrow token shards that a trainer maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from pipeline.engine.parts import Part, PhaseFolder, Receipt, numbered
from pipeline.engine.settings import setting
from pipeline.engine.stage import Call, Stage, StageResult
from pipeline.engine.writer import PartWriter
from pipeline.storage import files
from pipeline.storage.document_shards import document_shards
from pipeline.storage.files import InputError
from pipeline.storage.manifest import StageManifest, load_stage
from pipeline.tokens.encode import EncodeShard, load_tokenizer
from pipeline.tokens.merge import MergeShard, ShardPlan, cross_entropy_nats, plan_shards, split_of, unigram_counts
from pipeline.tokens.sorted_runs import SPLITS, Splitting, runs_of
from tokenizer.codec import COMPILED, ENCODERS, TIKTOKEN, Tokenizer
from tokenizer.formats import TOKENIZER_JSON
from tokenizer.shards import Header, Manifest


@dataclass(frozen=True, slots=True)
class TokensSettings:
    """How documents become shards."""

    validation_share: float = setting(0.0005, "share of documents held out for validation (OpenWebText's)", metavar="SHARE")
    test_share: float = setting(0.0, "share of documents held out for testing", metavar="SHARE")
    split_seed: int = setting(0, "seed of the hash that splits", metavar="N")
    order_seed: int = setting(0, "seed of the hash that orders the documents of a split", metavar="N")
    shard_tokens: int = setting(1 << 27, "about so many tokens a shard, of 2 bytes each", metavar="N")

    encoder: str = setting(COMPILED, "who encodes; all give the same ids", choices=ENCODERS, recorded=False)

    def __post_init__(self) -> None:
        if min(self.validation_share, self.test_share) < 0 or self.validation_share + self.test_share >= 1:
            raise ValueError(
                f"--validation_share {self.validation_share}, --test_share {self.test_share}: at least 0 each, together below 1"
            )
        if self.encoder == TIKTOKEN and find_spec(TIKTOKEN) is None:
            raise ValueError(f"--encoder {self.encoder}: the package is not installed; install it or leave the flag out")
        if self.shard_tokens < 1:
            raise ValueError(f"--shard_tokens {self.shard_tokens}: at least 1")


@dataclass(frozen=True, slots=True)
class CopyTokenizer:
    """Lays the tokenizer beside the shards, so that a trainer needs one folder."""

    path: str

    def __call__(self, _part: Part[Any], writer: PartWriter) -> None:
        """One small file: no work for an engine."""
        data = files.read_bytes(self.path)
        writer.publish("tokenizer", 1, lambda file: file.write(data), TOKENIZER_JSON)


def work(call: Call[TokensSettings], place: PhaseFolder) -> StageResult:
    """Encode into runs, plan the shards, merge them."""
    settings = call.settings
    path = _tokenizer_path(call.inputs["vocabulary"])
    tokenizer = load_tokenizer(path)
    encoded = _encode(call, place, path)
    header = Header("", 0, 0, 0, 0, tokenizer.sha256, tokenizer.vocab_size, tokenizer.eot_id)
    runs = runs_of(place, encoded)
    plans = plan_shards(runs, header, settings.shard_tokens)
    if not any(plan.header.split == SPLITS[0] for plan in plans):
        raise InputError(
            f"{call.inputs['dedup']}: no document is left for training; give more documents or smaller held-out shares"
        )
    merging = place.sibling("merge")
    parts = numbered(plans, lambda plan: plan.header.tokens)
    merged = call.engine.work(merging, parts, MergeShard(runs), "tokens")
    copied = call.engine.work(place.sibling("tokenizer"), [Part("tokenizer", None)], CopyTokenizer(path), light=True)
    manifest = _dataset(place, tokenizer, merged, plans)
    return StageResult([*encoded, *merged, *copied], dataset=manifest.section())


def _encode(call: Call[TokensSettings], place: PhaseFolder, tokenizer: str) -> list[Receipt]:
    settings = call.settings
    splitting = Splitting(settings.validation_share, settings.test_share, settings.split_seed, settings.order_seed)
    encoding = place.sibling("encode")
    parts = numbered(document_shards(call.inputs["dedup"]), lambda shard: shard.rows)
    return call.engine.work(encoding, parts, EncodeShard(tokenizer, splitting, settings.encoder), "documents")


def _dataset(place: PhaseFolder, tokenizer: Tokenizer, merged: Sequence[Receipt], plans: Sequence[ShardPlan]) -> Manifest:
    splits = {split: split_of(merged, plans, split) for split in SPLITS if any(p.header.split == split for p in plans)}
    counts = {split: unigram_counts(place, merged, plans, split) for split in splits}
    training = counts[SPLITS[0]][: tokenizer.vocab_size]
    entropies = {split: cross_entropy_nats(counts[split][: tokenizer.vocab_size], training) for split in splits}
    return Manifest(place.folder, tokenizer.sha256, tokenizer.vocab_size, tokenizer.eot_id, splits, entropies)


def _tokenizer_path(folder: str) -> str:
    load_stage(folder, "vocabulary")
    return files.join(folder, TOKENIZER_JSON)


def token_count(manifest: StageManifest) -> str:
    """The number of tokens in all splits."""
    splits = (manifest.dataset or {}).get("splits", {})
    return f"{sum(split['tokens'] for split in splits.values()):,} tokens"


STAGE = Stage(
    name="tokens",
    text="unique documents to Arrow token shards, split into train, validation and test",
    settings=TokensSettings,
    inputs=("dedup", "vocabulary"),
    work=work,
    unit="documents",
    note=token_count,
)
