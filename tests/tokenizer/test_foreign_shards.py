"""Token shards of others: whatever stands in one, it is refused at verification, and no process ends by it."""

import dataclasses
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tokenizer.errors import FormatError
from tokenizer.shards import Header, Manifest, Shard, ShardEntry, SplitEntry, sha256_of

EOT = 299
DOCUMENTS = ([5, 6, 7, EOT], [8, EOT], [EOT], [9, 10, EOT])


@dataclasses.dataclass
class Content:
    """What is written, without a check."""

    tokens: Any
    offsets: Any
    ids: Any
    header: Header
    compression: str | None = None


def good() -> Content:
    tokens = np.concatenate([np.array(document, np.uint16) for document in DOCUMENTS])
    offsets = np.cumsum([0, *map(len, DOCUMENTS)], dtype=np.int64)
    return Content(
        tokens, offsets, np.zeros((len(DOCUMENTS), 16), np.uint8), Header("train", 0, 1, 4, len(tokens), "ab" * 32, EOT + 1, EOT)
    )


def write(folder: Path, content: Content, patch: Callable[[bytearray], None] | None = None) -> Manifest:
    """Write a shard and a manifest that agrees with it."""
    path = folder / "tokens-train-00000-of-00001.arrow"
    schema = content.header.schema()
    flat = pa.Array.from_buffers(pa.uint16(), len(content.tokens), [None, pa.py_buffer(content.tokens)])
    buffers = [None, pa.py_buffer(content.offsets)]
    lists = pa.Array.from_buffers(schema.field(0).type, len(content.offsets) - 1, buffers, children=[flat])
    ids = pa.Array.from_buffers(pa.binary(16), len(content.ids), [None, pa.py_buffer(content.ids)])
    options = pa.ipc.IpcWriteOptions(compression=content.compression)
    with path.open("wb") as file, pa.ipc.new_file(file, schema, options=options) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays([lists, ids], schema=schema))
    if patch is not None:
        data = bytearray(path.read_bytes())
        patch(data)
        path.write_bytes(data)
    header = content.header
    entry = ShardEntry(path.name, header.documents, header.tokens, path.stat().st_size, sha256_of(path))
    splits = {"train": SplitEntry(header.documents, header.tokens, 1, (entry,))}
    Manifest(str(folder), header.tokenizer_sha256, header.vocab_size, header.eot_id, splits).save()
    return Manifest.load(folder)


def lengths_times(factor: int, numbers: tuple[int, ...]) -> Callable[[bytearray], None]:
    """Multiplies each 64-bit number of the messages that is one of `numbers`: lengths of arrays and of buffers."""

    def patch(data: bytearray) -> None:
        places = [at for at in range(0, len(data) - 8, 8) if struct.unpack_from("<q", data, at)[0] in numbers]
        assert places
        for at in places:
            struct.pack_into("<q", data, at, struct.unpack_from("<q", data, at)[0] * factor)

    return patch


def changed(field: str, at: int, value: int) -> Content:
    content = good()
    getattr(content, field)[at] = value
    return content


CONTENTS: dict[str, tuple[Callable[[], Content], str]] = {
    "an id beyond the vocabulary": (lambda: changed("tokens", 1, EOT + 1), "document 0: token 300 is not below 300"),
    "the largest id": (lambda: changed("tokens", 8, 65_535), "document 3: token 65535"),
    "no end of text": (lambda: changed("tokens", 5, 3), "document 1: the end of text 299"),
    "no end of text at the end": (lambda: changed("tokens", 9, 3), "document 3: the end of text 299"),
    "an end of text inside": (lambda: changed("tokens", 1, EOT), "document 0: the end of text 299"),
    "an offset far beyond": (lambda: changed("offsets", 2, 10**12), "do not follow each other"),
    "a negative offset": (lambda: changed("offsets", 1, -7), "do not follow each other"),
    "a last offset before": (lambda: changed("offsets", 4, 8), "do not follow each other|holds 4 documents"),
    "a first offset inside": (lambda: changed("offsets", 0, 1), "do not follow each other|holds 4 documents"),
    "an empty document": (lambda: changed("offsets", 1, 0), "do not follow each other"),
    "descending offsets": (lambda: changed("offsets", 1, 7), "do not follow each other"),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_wild_tokens_and_offsets_are_refused(tmp_path: Path, kind: str) -> None:
    make, said = CONTENTS[kind]
    manifest = write(tmp_path, make())
    with pytest.raises(FormatError, match=said) as refusal:
        manifest.open("train")
    assert "tokens-train-00000-of-00001.arrow" in str(refusal.value)
    assert "\n" not in str(refusal.value)


PATCHES = {
    "more documents": (1000, (4,)),
    "more tokens": (1000, (10,)),
    "huge lengths": (10**15, (4, 10)),
    "negative lengths": (-1, (4, 10)),
    "longer buffers": (10**9, (20, 40, 64)),
    "everything longer": (3, (4, 10, 20, 40, 64, 80)),
}


@pytest.mark.parametrize("kind", PATCHES)
def test_lengths_beyond_the_buffers_are_refused(tmp_path: Path, kind: str) -> None:
    manifest = write(tmp_path, good(), lengths_times(*PATCHES[kind]))
    for verify in (True, False):
        with pytest.raises(FormatError, match=r"tokens-train-00000-of-00001\.arrow"):
            manifest.open("train", verify=verify)


def test_a_shard_that_asks_for_decompression_is_refused_before_it(tmp_path: Path) -> None:
    content = good()
    content.tokens, content.offsets, content.ids = np.zeros(1 << 27, np.uint16), np.array([0, 1 << 27]), content.ids[:1]
    content.header = dataclasses.replace(content.header, documents=1, tokens=10)
    content.compression = "zstd"
    manifest = write(tmp_path, content)
    before = pa.total_allocated_bytes()
    with pytest.raises(FormatError, match="no uncompressed record batch"):
        manifest.open("train")
    assert pa.total_allocated_bytes() - before < 1 << 20


HEADERS: dict[str, dict[str, Any]] = {
    "end of text beyond": {"eot_id": 300},
    "vocabulary beyond 16 bits": {"vocab_size": 65_537},
    "negative vocabulary": {"vocab_size": -1},
    "other tokenizer": {"tokenizer_sha256": "cd" * 32},
    "more documents": {"documents": 5},
    "fewer tokens": {"tokens": 9},
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_header_of_another_dataset_is_refused(tmp_path: Path, kind: str) -> None:
    manifest = write(tmp_path, good())
    content = good()
    content.header = dataclasses.replace(content.header, **HEADERS[kind])
    other = tmp_path / "other"
    other.mkdir()
    try:
        write(other, content)
    except FormatError:
        return  # the manifest says it already
    (tmp_path / "tokens-train-00000-of-00001.arrow").write_bytes((other / "tokens-train-00000-of-00001.arrow").read_bytes())
    with pytest.raises(FormatError):
        manifest.open("train")


def test_every_flipped_bit_of_the_messages_is_refused_or_harmless(tmp_path: Path) -> None:
    """The hash is right: only the reader itself stands between a flipped bit and a crash."""
    write(tmp_path, good())
    path = tmp_path / "tokens-train-00000-of-00001.arrow"
    whole = path.read_bytes()
    for at in range(8, len(whole), 3):
        data = bytearray(whole)
        data[at] ^= 1 << (at % 8)
        path.unlink()
        path.write_bytes(data)
        try:
            shard = Shard(path)
            shard.check_tokens()
        except FormatError:
            continue
        assert all(int(tokens.max()) <= EOT for _, tokens in shard.documents())


def test_a_verified_shard_is_not_read_again_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write(tmp_path, good())
    calls: list[str] = []
    check = Shard.check_tokens
    monkeypatch.setattr(Shard, "check_tokens", lambda shard: (calls.append(shard.path), check(shard))[1])
    for _ in range(3):
        manifest.open("train")
    assert len(calls) == 1
    path = tmp_path / "tokens-train-00000-of-00001.arrow"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    manifest.open("train")
    assert len(calls) == 2


SECTIONS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "tokens is text": (lambda body: body["splits"]["train"].update(tokens="10"), "splits.train.tokens is '10'"),
    "a sum is wrong": (lambda body: body["splits"]["train"].update(tokens=11), "dataset.splits.train.tokens is 11"),
    "tokens without bytes": (lambda body: enlarge(body, 10**15), "cannot hold"),
    "a negative size": (lambda body: body["splits"]["train"]["shards"][0].update(bytes=-1), r"shards\[0\].bytes is -1"),
    "a climbing name": (lambda body: body["splits"]["train"]["shards"][0].update(name="../x"), "'../x' leads out"),
    "a name below": (lambda body: body["splits"]["train"]["shards"][0].update(name="a/x"), "leads into another folder"),
    "a wide vocabulary": (lambda body: body.update(vocab_size=65_537), "vocab_size is 65537"),
    "an end of text beyond": (lambda body: body.update(eot_id=300), "eot_id is 300"),
    "an entropy of text": (lambda body: body.update(unigram_entropy_nats={"train": "5"}), "unigram_entropy_nats.train is '5'"),
    "no splits": (lambda body: body.pop("splits"), "missing required field `splits`"),
    "a list of splits": (lambda body: body.update(splits=[1]), r"splits is \[1\]"),
    "a field too many": (lambda body: body.update(surprise=1), "unknown field `surprise`"),
}


def enlarge(body: dict[str, Any], tokens: int) -> None:
    split = body["splits"]["train"]
    split["tokens"] = split["shards"][0]["tokens"] = tokens


@pytest.mark.parametrize("kind", SECTIONS)
def test_each_field_of_the_dataset_has_its_type_and_range(tmp_path: Path, kind: str) -> None:
    import hashlib
    import json

    change, said = SECTIONS[kind]
    body = write(tmp_path, good()).section()
    body.pop("sha256")
    change(body)
    body["sha256"] = hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    (tmp_path / "manifest.json").write_text(json.dumps({"dataset": body}))
    with pytest.raises(FormatError, match=f"manifest.json: .*{said}"):
        Manifest.load(tmp_path)
