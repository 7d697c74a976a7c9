"""The names that people and other programs rely on: more may join, these stay, with these parameters."""

import inspect
import pkgutil

import apache_beam as beam
import pytest

NAMES = {
    "pipeline.urls.fetch_url": ["url"],
    "pipeline.urls.dedup_key": ["url"],
    "pipeline.reddit.read_submissions": ["path"],
    "pipeline.extract.extract": ["page"],
    "pipeline.minhash.signatures": ["texts", "permutations", "shingle", "seed"],
    "pipeline.dedup.Deduplicate": ["threshold", "bands", "rows"],
    "tokenizer.bpe.train": ["counts", "vocab_size"],
    "tokenizer.codec.Tokenizer.load": ["path"],
    "tokenizer.codec.Tokenizer.encode": ["self", "text"],
    "tokenizer.codec.Tokenizer.encode_batch": ["self", "texts"],
    "tokenizer.codec.Tokenizer.decode": ["self", "ids"],
    "tokenizer.codec.Tokenizer.save": ["self", "folder"],
    "tokenizer.shards.ShardWriter": [],
    "tokenizer.shards.Shard": [],
    "tokenizer.shards.Manifest.load": ["folder"],
    "trainer.presets.tiny": [],
    "trainer.presets.gpt2_small": [],
    "trainer.presets.gpt2_medium": [],
    "trainer.presets.gpt2_large": [],
    "trainer.presets.gpt2_xl": [],
    "trainer.model.GPT": [],
    "trainer.data.Batches": [],
    "trainer.export.load_hf": [],
    "trainer.export.save_hf": [],
}
TRANSFORMS = (
    "pipeline.links.intake.Links",
    "pipeline.pages.fetch.Fetch",
    "pipeline.documents.transform.Extract",
    "pipeline.dedup.transform.Deduplicate",
    "pipeline.vocabulary.transform.CountWords",
    "pipeline.tokens.transform.Tokenize",
)


def found(name: str) -> object:
    """The object of a dotted name: a module's member, or a class's."""
    return pkgutil.resolve_name(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stays_with_its_first_parameters_and_says_what_it_gives(name: str) -> None:
    target = found(name)
    assert inspect.getdoc(target)
    assert list(inspect.signature(target).parameters)[: len(NAMES[name])] == NAMES[name]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_stage_is_a_transform_for_anyones_pipeline(name: str) -> None:
    target = found(name)
    assert isinstance(target, type)
    assert issubclass(target, beam.PTransform)
