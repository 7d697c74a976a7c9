"""The names that people and other programs rely on: more may be added; these stay, with these parameters."""

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
    "trainer.load": ["path"],
    "trainer.trained.TrainedModel.sample": ["self", "prompt", "tokens"],
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
TRANSFORMS = ("Links", "Fetch", "Extract", "Deduplicate", "CountWords", "Tokenize")
ENGINE_WORDS = {"place", "phase", "folder", "part", "parts"}
"""Parameters that only the engine can fill."""


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_documented_and_keeps_its_first_parameters(name: str) -> None:
    target = pkgutil.resolve_name(name)
    assert inspect.getdoc(target)
    assert list(inspect.signature(target).parameters)[: len(NAMES[name])] == NAMES[name]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_stage_is_a_documented_transform_for_any_pipeline(name: str) -> None:
    transform = pkgutil.resolve_name(f"pipeline.transforms:{name}")
    assert isinstance(transform, type)
    assert issubclass(transform, beam.PTransform)
    assert inspect.getdoc(transform)
    required = {
        parameter.name
        for parameter in inspect.signature(transform).parameters.values()
        if parameter.default is parameter.empty and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
    assert not required & ENGINE_WORDS


def test_the_transforms_are_the_face_of_their_module() -> None:
    assert set(pkgutil.resolve_name("pipeline.transforms:__all__")) == set(TRANSFORMS)


def test_deduplicate_is_one_class_by_either_path() -> None:
    assert pkgutil.resolve_name("pipeline.dedup:Deduplicate") is pkgutil.resolve_name("pipeline.transforms:Deduplicate")
