"""The stage `tokens`: unique documents to the Arrow token shards that a trainer maps.

Neighbours in a shard come from all over the corpus. Growing a corpus moves no document between splits, once each of them has one.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import pyarrow as pa

from pipeline.engine.parts import Part, PhaseFolder, Receipt, numbered
from pipeline.engine.settings import setting
from pipeline.engine.stage import Call, Stage, StageResult
from pipeline.engine.writer import PartWriter
from pipeline.storage import arrays, files
from pipeline.storage.document_shards import DocumentShard, document_shards, may_repeat_texts
from pipeline.storage.manifest import StageManifest, load_stage
from pipeline.tokens.dataset import describe_dataset
from pipeline.tokens.encode import BATCH_DOCUMENTS, EncodeShard, ShardToEncode, load_tokenizer
from pipeline.tokens.groups import cluster_groups, find_copies
from pipeline.tokens.merge import MergeShard
from pipeline.tokens.plan import ShardPlan, plan_shards
from pipeline.tokens.sorted_runs import SortedRun, list_runs
from pipeline.tokens.splits import SPLITS, Splitting
from tokenizer.codec import COMPILED, ENCODERS, TIKTOKEN, Tokenizer
from tokenizer.errors import InputError
from tokenizer.formats import TOKENIZER_JSON
from tokenizer.shards import Header

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TokensSettings:
    """Splits, order and shards, and the encoder."""

    validation_share: float = setting(0.0005, "share of documents held out for validation (OpenWebText's)", metavar="SHARE")
    test_share: float = setting(0.0, "share of documents held out for testing", metavar="SHARE")
    split_seed: int = setting(0, "seed of the hash that splits", metavar="N")
    order_seed: int = setting(0, "seed of the hash that orders the documents of a split", metavar="N")
    shard_tokens: int = setting(1 << 27, "tokens per shard, about; a token takes 2 bytes", metavar="N")
    encoder: str = setting(COMPILED, "encoder; all give the same ids", choices=ENCODERS, recorded=False)

    def __post_init__(self) -> None:
        if min(self.validation_share, self.test_share) < 0 or self.validation_share + self.test_share >= 1:
            raise ValueError(
                f"--validation-share {self.validation_share}, --test-share {self.test_share}: each must be at least 0, "
                "and their sum below 1"
            )
        if self.encoder == TIKTOKEN and find_spec(TIKTOKEN) is None:
            raise ValueError(f"--encoder {self.encoder}: the package is not installed; install it or leave the flag out")
        if self.shard_tokens < 1:
            raise ValueError(f"--shard-tokens {self.shard_tokens}: must be at least 1")


@dataclass(frozen=True, slots=True)
class CopyTokenizer:
    """Copies the tokenizer into the stage's folder, so that a trainer needs one folder."""

    path: str

    def __call__(self, _part: Part[None], writer: PartWriter) -> None:
        """Publish tokenizer.json."""
        data = files.read_bytes(self.path)
        writer.publish("tokenizer", 1, lambda file: file.write(data), TOKENIZER_JSON)


def work(call: Call[TokensSettings], phase: PhaseFolder) -> StageResult:
    """Encode document shards into sorted runs, plan the token shards, merge each from all runs."""
    path = _tokenizer_path(call.inputs["vocabulary"])
    tokenizer = load_tokenizer(path)
    encoded = _encode(call, phase, path)
    runs = list_runs(phase, encoded)
    plans = _plan(call, tokenizer, runs)
    parts = numbered(plans, lambda plan: plan.header.tokens)
    merged = call.engine.work(phase.sibling("merge"), parts, MergeShard(runs), "tokens")
    copied = call.engine.work(phase.sibling("tokenizer"), [Part("tokenizer", None)], CopyTokenizer(path), light=True)
    dataset = describe_dataset(phase, tokenizer, merged, plans)
    return StageResult([*encoded, *merged, *copied], dataset=dataset.section())


def _encode(call: Call[TokensSettings], phase: PhaseFolder, tokenizer: str) -> list[Receipt]:
    folder, encode = call.inputs["dedup"], phase.sibling("encode")
    shards, groups = document_shards(folder), cluster_groups(folder)
    path = arrays.spill(files.join(encode.work_folder, "groups.npy"), groups) if len(groups) else None
    repeated = _spill_copies(encode, shards) if may_repeat_texts(folder) else [None] * len(shards)
    works = [ShardToEncode(shard, copies) for shard, copies in zip(shards, repeated, strict=True)]
    parts = numbered(works, lambda work: work.documents.rows)
    encoding = EncodeShard(tokenizer, splitting_of(call.settings, shards, path), call.settings.encoder)
    return call.engine.work(encode, parts, encoding, "documents")


def _spill_copies(phase: PhaseFolder, shards: Sequence[DocumentShard]) -> list[str | None]:
    """A file of each shard's repeated texts, or None where it has none."""
    paths = [files.join(phase.work_folder, f"copies-{number:05d}.npy") for number in range(len(shards))]
    found = zip(paths, find_copies(shards), strict=True)
    return [arrays.spill(path, repeated) if len(repeated) else None for path, repeated in found]


def splitting_of(settings: TokensSettings, shards: Sequence[DocumentShard], groups: str | None = None) -> Splitting:
    """The splitting of a corpus: as the shares say, but with at least one document in each held-out split that has a share.

    Without it a first try with some hundred documents has no validation split, and so no validation loss. One line says so.
    `groups` is a file of `groups.GROUPS`.
    """
    test_below = settings.validation_share + settings.test_share
    splitting = Splitting(settings.validation_share, test_below, settings.split_seed, settings.order_seed, groups)
    documents = sum(shard.rows for shard in shards) - (len(arrays.load(groups)) if groups else 0)
    if splitting.is_sure_to_fill(documents):
        return splitting
    filled = splitting.filled(_texts(shards))
    moved = {
        "validation": filled.validation_below != splitting.validation_below,
        "test": filled.test_below > max(splitting.test_below, filled.validation_below),
    }
    for split in (name for name, is_moved in moved.items() if is_moved):
        flag = f"{split}_share"
        share = getattr(settings, flag)
        logger.info(
            "tokens: --%s %g of %s documents is none, so one is held out; a larger share holds out more",
            flag,
            share,
            f"{documents:,}",
        )
    return filled


def _texts(shards: Sequence[DocumentShard]) -> Iterator[pa.RecordBatch]:
    for shard in shards:
        yield from shard.batches(["document_id", "text"], BATCH_DOCUMENTS)


def _plan(call: Call[TokensSettings], tokenizer: Tokenizer, runs: Sequence[SortedRun]) -> list[ShardPlan]:
    """The shards of all splits; none for a corpus without documents. Raises InputError where all documents are held out."""
    header = Header("", 0, 0, 0, 0, tokenizer.sha256, tokenizer.vocab_size, tokenizer.eot_id)
    plans = plan_shards(runs, header, call.settings.shard_tokens)
    if plans and not any(plan.header.split == SPLITS[0] for plan in plans):
        raise InputError(
            f"{call.inputs['dedup']}: no document is left for training; give more documents or smaller held-out shares"
        )
    present = {plan.header.split for plan in plans}
    for split, share in (("validation", call.settings.validation_share), ("test", call.settings.test_share)):
        if plans and share and split not in present:
            logger.warning("tokens: no document is held out for %s: the corpus has too few; give more documents", split)
    return plans


def _tokenizer_path(folder: str) -> str:
    load_stage(folder, "vocabulary")
    return files.join(folder, TOKENIZER_JSON)


def token_count(manifest: StageManifest) -> str:
    """The number of tokens in all splits, for the closing line."""
    splits = (manifest.dataset or {}).get("splits", {})
    return f"{sum(split['tokens'] for split in splits.values()):,} tokens"


STAGE = Stage(
    name="tokens",
    settings=TokensSettings,
    inputs=("dedup", "vocabulary"),
    work=work,
    unit="documents",
    note=token_count,
)
