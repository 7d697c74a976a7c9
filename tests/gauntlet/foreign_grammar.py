"""The grammar of hostile folders: what can stand in a field, a file, a table, a token shard, a header, and where.

Each mutation changes files below `world` and returns a line that says what it did. The seals are written anew where that makes the
change reach further.
"""

import json
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from gauntlet.foreign_seals import DEEP, HUGE, STAGES, seal_corpus, seal_section, text_of, write_checkpoint, write_manifest

from tokenizer.shard_reader import Shard
from trainer.checkpoint.folders import newest

NUMBERS: tuple[Any, ...] = (
    "7", -1, 0, 1, 10**6, 10**12, 10**18, 2**63, -(2**63), HUGE, 1.5, float("nan"), float("inf"), True, None, [], {}, DEEP, "",
)  # fmt: skip
LONG = "a" * 100_000


def texts(outside: Path) -> tuple[Any, ...]:
    """What can stand where a name, a path or a hash belongs."""
    climbs = ["../" * n + str(outside / "secret.parquet").lstrip("/") for n in (3, 12)]
    return (
        str(outside / "secret.parquet"), str(outside), *climbs, "../../outside/secret.parquet", "../../outside", "..", ".", "", "/",
        "/dev/zero", "/etc/passwd", "a/../../b", "a//b", "a\\..\\b", "s3://127.0.0.1:9/bucket/key", "gs://bucket/key",
        "hdfs://127.0.0.1/x", "http://127.0.0.1:9/x", "file:///etc/passwd", "\x1b]52;c;AAAA\x07", "a\nb", "a\0b", "\u202egnp.exe",
        LONG, "nosuch.parquet", 7, None, [], DEEP, True, "\ud800", "manifest.json", "c*", "[a]",
    )  # fmt: skip


class Grammar:
    """Draws mutations of one world, whose `outside` lies beside it."""

    def __init__(self, world: Path, outside: Path, draw: random.Random) -> None:
        self.world, self.corpus, self.outside, self.draw = world, world / "corpus", outside, draw
        self.texts = texts(outside)

    def value(self, old: Any) -> Any:
        """Something else than `old`, of its own kind more often than of another."""
        pool = self.texts if isinstance(old, str) == (self.draw.random() < 0.8) else NUMBERS
        return self.draw.choice(pool)

    def change_field(self, body: Any, near: str = "") -> str:
        """Change one field of a JSON text, remove it, or add one; in the subtree `near` if it is given. Returns its path."""
        places = [place for place in places_of(body, "") if near in place[0]]
        path, parent, key = self.draw.choice(places)
        old = parent[key]
        how = self.draw.random()
        if how < 0.08 and isinstance(parent, dict):
            del parent[key]
            return f"{path} removed"
        if how < 0.14 and isinstance(parent, dict):
            parent[self.draw.choice(["surprise", "\x1b[31m", "__proto__"])] = self.value(old)
            return f"{path} has a neighbour"
        if how < 0.2 and isinstance(parent, list):
            parent.append(old)
            return f"{path} twice"
        parent[key] = self.value(old)
        return f"{path} = {str(parent[key])[:60]!r}"

    def manifest(self) -> str:
        """One field of one stage's manifest."""
        stage = self.draw.choice(STAGES)
        path = self.corpus / stage / "manifest.json"
        body = json.loads(path.read_bytes())
        near = self.draw.choice(["", ".files[", ".inputs", ".inputs", ".dataset" if body.get("dataset") else ".books"])
        near = near if any(near in place[0] for place in places_of(body, "")) else ""
        what = self.change_field(body, near)
        if isinstance(body.get("dataset"), dict) and self.draw.random() < 0.9:
            seal_section(body["dataset"])
        if self.draw.random() < 0.9:
            write_manifest(path, body)
            seal_corpus(self.corpus, entries=False)
        else:
            path.write_bytes(text_of(body).encode("utf-8", "surrogatepass"))
        return f"manifest of {stage}: {what}"

    def kind_of_file(self) -> str:
        """A file of a folder becomes something else: a FIFO, a device, a link out, a folder, huge, empty or missing."""
        files = [path for path in sorted(self.world.rglob("*")) if path.is_file() and path.suffix not in (".aside", ".lock")]
        named = [
            path
            for path in files
            if path.name
            in (
                "manifest.json",
                "checkpoint.json",
                "run.json",
                "log.jsonl",
                "tokenizer.json",
                "results.json",
                "part-00000.journal",
            )
        ]
        path = self.draw.choice(named if self.draw.random() < 0.5 else files)
        kinds: dict[str, Callable[[], object]] = {
            "a FIFO": lambda: os.mkfifo(path),
            "a link to /dev/zero": lambda: path.symlink_to("/dev/zero"),
            "a link outside": lambda: path.symlink_to(self.outside / "secret.parquet"),
            "a link to itself": lambda: path.symlink_to(path.name),
            "a folder": lambda: path.mkdir(),
            "2 GB": lambda: _sparse(path, 2 << 30),
            "empty": lambda: path.touch(),
            "missing": lambda: None,
        }
        kind = self.draw.choice(list(kinds))
        path.unlink()
        kinds[kind]()
        if kind == "empty":
            seal_corpus(self.corpus, entries=True)
        return f"{path.relative_to(self.world)} is {kind}"

    def folder_link(self) -> str:
        """A stage's folder, or a folder in it, is a link to a place outside."""
        folders = [path for path in sorted(self.world.rglob("*")) if path.is_dir()]
        path = self.draw.choice(folders)
        path.rename(self.world / "moved")
        path.symlink_to(self.outside)
        return f"{path.relative_to(self.world)} is a link outside"

    def table(self) -> str:
        """One column of a Parquet file: values, type, nulls, text that is not UTF-8, missing, twice; or the file's bytes."""
        path = self.draw.choice(sorted(self.corpus.rglob("*.parquet")))
        table = pq.ParquetFile(path).read(use_threads=False)
        column = self.draw.randrange(table.num_columns)
        name = table.column_names[column]
        what, changed = self.changed_column(table, column)
        if changed is None:
            flip(path, self.draw)
        else:
            pq.write_table(changed, path, compression="zstd")
        seal_corpus(self.corpus, entries=True)
        return f"{path.relative_to(self.world)}: column {name} {what}"

    def changed_column(self, table: pa.Table, number: int) -> tuple[str, pa.Table | None]:
        name, field = table.column_names[number], table.schema.field(number)
        values = table.column(number).combine_chunks()
        how = self.draw.choice(["value", "value", "value", "null", "type", "utf8", "missing", "twice", "rows", "bytes"])
        if how == "bytes":
            return "flipped", None
        if how == "missing":
            return how, table.remove_column(number)
        if how == "twice":
            return how, table.append_column(field, values)
        if how == "rows":
            return how, table.slice(0, self.draw.randrange(max(1, table.num_rows)))
        if how == "type":
            return how, table.set_column(number, name, pa.array([b"\xff\xfe"] * table.num_rows, pa.binary()))
        if how == "null":
            return how, table.set_column(number, pa.field(name, field.type), pa.nulls(table.num_rows, field.type))
        if how == "utf8" and field.type in (pa.string(), pa.large_string()):
            binary = pa.binary() if field.type == pa.string() else pa.large_binary()
            return how, table.set_column(number, field, pa.array([b"caf\xc3"] * table.num_rows, binary).view(field.type))
        drawn = [self.draw.choice(_VALUES.get(str(field.type), self.texts)) for _ in range(table.num_rows)]
        try:
            return "value", table.set_column(number, pa.field(name, field.type), pa.array(drawn, field.type))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return "reversed", table.set_column(number, field, values.take(pa.array(range(len(values) - 1, -1, -1), pa.int64())))

    def shard(self) -> str:
        """A token shard with wild tokens, offsets, lengths or compression, under a manifest that agrees."""
        path = self.draw.choice(sorted(self.corpus.glob("tokens/*.arrow")))
        shard = Shard(path)
        batch, header = shard.batches[0], shard.header
        tokens, offsets = np.array(batch.tokens), np.array(batch.offsets)
        how = self.draw.choice(["ids", "eot", "no eot", "wild offsets", "descending", "lengths", "flips", "bomb", "header"])
        if how == "ids":
            tokens[self.draw.randrange(len(tokens))] = self.draw.choice([header.vocab_size, 60_000, 65_535])
        elif how == "eot":
            tokens[self.draw.randrange(len(tokens) - 1)] = header.eot_id
            tokens[0] = header.eot_id
        elif how == "no eot":
            tokens[offsets[1] - 1] = 1
        elif how == "wild offsets":
            offsets[self.draw.randrange(len(offsets))] = self.draw.choice([10**12, -5, 2**62, len(tokens) + 1])
        elif how == "descending":
            offsets[1:-1] = offsets[1:-1][::-1].copy()
        if how in ("lengths", "flips"):
            data = bytearray(path.read_bytes())
            _patch(data, self.draw, [len(tokens), len(offsets) - 1, 2 * len(tokens), 8 * len(offsets)], lengths=how == "lengths")
            path.write_bytes(data)
        else:
            schema = header.schema()
            if how == "header":
                metadata = {key: str(self.value(value)).encode("utf-8", "replace")[:99] if self.draw.random() < 0.3 else value
                            for key, value in schema.metadata.items()}  # fmt: skip
                schema = schema.with_metadata(metadata)
            _write_unchecked(path, schema, tokens, offsets, np.array(batch.document_ids), bomb=how == "bomb")
        seal_corpus(self.corpus, entries=True)
        return f"{path.relative_to(self.world)}: {how}"

    def index(self) -> str:
        """An array or a shingle file of dedup's index, with a wrong shape, type, header or length."""
        path = self.draw.choice([*sorted(self.corpus.glob("dedup/**/*.npy")), *sorted(self.corpus.glob("dedup/**/*.bin"))])
        how = self.draw.choice(["shape", "type", "header", "short", "long", "flip"])
        if path.suffix == ".npy" and how in ("shape", "type"):
            array = np.load(path)
            np.save(path, array[:, :-1] if how == "shape" else array.astype(self.draw.choice(["f8", "u1", "S3"])))
        elif path.suffix == ".npy" and how == "header":
            data = path.read_bytes()
            path.write_bytes(data.replace(b"'shape': (", b"'shape': (9999999999, ", 1).replace(b"      \n", b"\n"))
        elif how == "short":
            path.write_bytes(path.read_bytes()[: self.draw.randrange(200)])
        elif how == "long":
            path.write_bytes(path.read_bytes() + bytes(6 * self.draw.randrange(1, 1000)))
        else:
            flip(path, self.draw)
        seal_corpus(self.corpus, entries=True)
        return f"{path.relative_to(self.world)}: {how}"

    def checkpoint(self) -> str:
        """A field of checkpoint.json, a field or bytes of a safetensors header, or a file that is not listed."""
        folder = newest(self.world / "run")
        body = json.loads((folder / "checkpoint.json").read_bytes())
        tensors = sorted((folder / "model").glob("*.safetensors"))[0]
        how = self.draw.choice(["field", "config", "file", "header", "bytes", "unlisted"])
        what = how
        if how in ("field", "config", "file"):
            what = self.change_field(body, {"field": "", "config": ".config.model", "file": ".files"}[how])
        elif how == "header":
            what = _change_header(tensors, self)
        elif how == "bytes":
            flip(tensors, self.draw)
        else:
            (folder / "model" / "extra.safetensors").write_bytes(tensors.read_bytes())
        if isinstance(body.get("files"), dict) and all(isinstance(entry, dict) for entry in body["files"].values()):
            write_checkpoint(folder, body, entries=how in ("header", "bytes"))
        else:
            (folder / "checkpoint.json").write_text(text_of(body))
        return f"checkpoint: {what}"

    def hugging_face(self) -> str:
        """A field of config.json, or a header of the weights."""
        folder = self.world / "hf"
        if self.draw.random() < 0.5:
            return f"hf weights: {_change_header(folder / 'model.safetensors', self)}"
        body = json.loads((folder / "config.json").read_bytes())
        what = self.change_field(body)
        (folder / "config.json").write_text(text_of(body))
        return f"hf config: {what}"

    def tokenizer(self) -> str:
        """A tokenizer's file with other fields, lines or bytes."""
        path = self.world / "tokenizer" / self.draw.choice(["tokenizer.json", "merges.txt", "ranks.tiktoken"])
        for other in (self.world / "tokenizer").iterdir():
            if other != path:
                other.unlink()
        if path.suffix == ".json" and self.draw.random() < 0.7:
            body = json.loads(path.read_bytes())
            what = self.change_field(body, self.draw.choice(["", ".model.merges", ".model.type", ".pre_tokenizer"]))
            path.write_text(text_of(body))
            return f"{path.name}: {what}"
        lines = path.read_bytes().split(b"\n")
        at = self.draw.randrange(len(lines))
        lines[at] = self.draw.choice(
            [b"", b"a b c", lines[0], lines[-1], b"\xff\xfe x", LONG.encode() + b" b", b"Zm9v -1", b"YQ== 1e9"]
        )
        path.write_bytes(b"\n".join(lines))
        return f"{path.name}: line {at} = {lines[at][:40]!r}"

    def record(self) -> str:
        """A field or the bytes of run.json, log.jsonl, overlap.json or a run's config.json."""
        paths = [
            *sorted(self.corpus.glob("*/run.json")),
            *sorted(self.corpus.glob("overlap/*.json")),
            self.world / "run" / "log.jsonl",
        ]
        path = self.draw.choice([p for p in paths if p.name != "manifest.json"])
        if self.draw.random() < 0.2:
            flip(path, self.draw)
        elif path.suffix == ".jsonl":
            lines = path.read_text().splitlines()
            body = json.loads(lines[-1])
            self.change_field(body)
            path.write_text("\n".join([*lines[:-1], text_of(body)]) + "\n")
        else:
            body = json.loads(path.read_bytes())
            self.change_field(body)
            path.write_text(text_of(body))
        seal_corpus(self.corpus, entries=True)
        return f"{path.relative_to(self.world)}: changed"


_VALUES: dict[str, tuple[Any, ...]] = {
    "int64": (0, -1, 1, 10**15, 2**62, -(2**63), 5),
    "int16": (0, -1, 200, 32_767),
    "float": (0.0, -1.0, float("nan"), float("inf")),
    "timestamp[us, tz=UTC]": (0, 10**18, -(10**18), 2**62),
    "date32[day]": (0, 2**31 - 1, -(2**31)),
    "fixed_size_binary[16]": (bytes(16), b"\xff" * 16),
    "fixed_size_binary[32]": (bytes(32), b"\xff" * 32),
}


def places_of(body: Any, path: str) -> list[tuple[str, Any, Any]]:
    """Path, parent and key of each part of a JSON value."""
    keys = list(body) if isinstance(body, dict) else range(len(body)) if isinstance(body, list) else ()
    found: list[tuple[str, Any, Any]] = []
    for key in keys:
        step = f"{path}.{key}" if isinstance(body, dict) else f"{path}[{key}]"
        found += [(step, body, key), *places_of(body[key], step)]
    return found


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def flip(path: Path, draw: random.Random) -> None:
    """Flip a few bits, most of them where headers are."""
    data = bytearray(path.read_bytes())
    for _ in range(draw.choice([1, 1, 4]) if data else 0):
        near = min(len(data), 512)
        at = draw.choice([draw.randrange(near), len(data) - 1 - draw.randrange(near), draw.randrange(len(data))])
        data[at] ^= 1 << draw.randrange(8)
    path.write_bytes(data)


def _patch(data: bytearray, draw: random.Random, lengths_known: list[int], *, lengths: bool) -> None:
    """Change numbers in an Arrow file's messages: lengths of arrays and buffers, or any bits."""
    places = [at for at in range(0, len(data) - 8, 4) if struct.unpack_from("<q", data, at)[0] in lengths_known]
    if lengths and places:
        for at in draw.sample(places, min(len(places), draw.choice([1, 2, 9]))):
            struct.pack_into("<q", data, at, struct.unpack_from("<q", data, at)[0] * draw.choice([2, 1000, 10**9]))
        return
    for _ in range(draw.choice([1, 3])):
        data[draw.choice([draw.randrange(1200), len(data) - 1 - draw.randrange(600)])] ^= 1 << draw.randrange(8)


def _write_unchecked(path: Path, schema: pa.Schema, tokens: Any, offsets: Any, ids: Any, *, bomb: bool) -> None:
    if bomb:
        tokens, offsets = np.zeros(1 << 29, np.uint16), np.array([0, 1 << 29], np.int64)
        ids = ids[:1]
    values = pa.py_buffer(tokens)
    flat = pa.Array.from_buffers(pa.uint16(), len(tokens), [None, values])
    allowed = np.append(np.arange(len(offsets) - 1, dtype=np.int64), len(tokens))  # Arrow aborts at others
    lists = pa.Array.from_buffers(schema.field(0).type, len(offsets) - 1, [None, pa.py_buffer(allowed)], children=[flat])
    names = pa.Array.from_buffers(pa.binary(16), len(ids), [None, pa.py_buffer(np.ascontiguousarray(ids))])
    options = pa.ipc.IpcWriteOptions(compression="zstd" if bomb else None)
    path.unlink()  # it may be mapped
    with path.open("wb") as file, pa.ipc.new_file(file, schema, options=options) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays([lists, names], schema=schema))
    if not bomb:
        data = path.read_bytes()
        at = data.rindex(allowed.tobytes())  # the lengths in the message before it may be the same numbers
        path.write_bytes(data[:at] + offsets.astype(np.int64).tobytes() + data[at + allowed.nbytes :])


def _change_header(path: Path, grammar: Grammar) -> str:
    """Change one field of a safetensors file's header; its length is right."""
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    body = json.loads(data[8 : 8 + size])
    if isinstance(sharding := body.get("__metadata__", {}).get("DCP_SHARDING_INFO"), str) and grammar.draw.random() < 0.4:
        inner = json.loads(sharding)
        what = grammar.change_field(inner)
        body["__metadata__"]["DCP_SHARDING_INFO"] = text_of(inner)
    else:
        what = grammar.change_field(body)
    header = text_of(body).encode("utf-8", "surrogatepass")
    path.write_bytes(struct.pack("<Q", len(header)) + header + data[8 + size :])
    return what
