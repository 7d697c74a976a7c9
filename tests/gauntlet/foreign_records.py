"""The grammar of hostile records: a run's log, an evaluation's results, the journal of an unfinished crawl, and JSON that swells."""

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from gauntlet.foreign_grammar import LONG, Grammar, flip, places_of
from gauntlet.foreign_seals import canonical, seal_corpus, sha256, text_of

FILL = "@fill@"
"""Stands for a value of megabytes."""
FILL_BYTES = 23 << 20


class RecordGrammar(Grammar):
    """Draws also mutations of records that no seal protects."""

    def log(self) -> str:
        """A line of the log that a run is resumed with: a field, another value, bytes, or a length of megabytes."""
        path = self.world / "run" / "log.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        at = self.draw.randrange(len(lines))
        how = self.draw.choice(["field", "field", "field", "line", "flip", "torn"])
        if how == "field":
            body = json.loads(lines[at])
            how = self.change_field(body)
            lines[at] = text_of(body).encode("utf-8", "surrogatepass") + b"\n"
        elif how == "line":
            lines[at] = self.draw.choice([b"[]\n", b"7\n", b"\xff\n", b"\n", LONG.encode() * 30 + b"\n", b"[" * 99_999 + b"\n"])
        elif how == "torn":
            lines[-1] = lines[-1][: self.draw.randrange(len(lines[-1]))]
        path.write_bytes(b"".join(lines))
        if how == "flip":
            flip(path, self.draw)
        return f"log, line {at}: {how}"

    def evaluation(self) -> str:
        """A field or the bytes of an evaluation's results.json or of a task's record."""
        path = self.world / "evaluation" / self.draw.choice(["results.json", "tasks/wikitext2.json"])
        if self.draw.random() < 0.2:
            flip(path, self.draw)
            return f"{path.name}: flipped"
        body = json.loads(path.read_bytes())
        what = self.change_field(body, self.draw.choice(["", ".results[0].", ".results[0].value"]))
        path.write_bytes(text_of(body).encode("utf-8", "surrogatepass"))
        return f"{path.name}: {what}"

    def journal(self) -> str:
        """An entry of a journal with another head, other lengths, or flipped bits; its checksum is right but for the last two."""
        path = self.world / "crawl" / "part-00000.journal"
        data = path.read_bytes()
        head_size, blob_size, _ = struct.unpack_from("<III", data)
        head, blob = json.loads(data[12 : 12 + head_size]), data[12 + head_size : 12 + head_size + blob_size]
        rest = data[12 + head_size + blob_size :]
        how = self.draw.choice(["field", "field", "field", "value", "lengths", "flip"])
        if how == "flip":
            flip(path, self.draw)
            return "journal: flip"
        text = text_of(head).encode()
        if how == "field":
            how = self.change_field(head)
            text = text_of(head).encode("utf-8", "surrogatepass")
        elif how == "value":
            text = self.draw.choice([b"[]", b"7", b"{}", b"\xff", b"[" * 99_999, b""])
        frame = struct.pack("<III", len(text), len(blob), zlib.crc32(blob, zlib.crc32(text)))
        if how == "lengths":
            frame = struct.pack("<II", *self.draw.choices([0, 1, 1 << 20, 1 << 31, 0xFFFFFFFF], k=2)) + frame[8:]
        path.write_bytes(frame + text + blob + rest)
        if how == "lengths":
            os.truncate(path, 2 << 30)
        return f"journal: {how}"

    def swollen(self) -> str:
        """One field of a JSON file has a value of 23 MB, and of ten times that in memory."""
        files = [path for path in sorted(self.world.rglob("*.json*")) if path.suffix in (".json", ".jsonl")]
        return self.swell(self.draw.choice(files), self.draw.choice(list(FILLS)))

    def swell(self, path: Path, fill: str) -> str:
        """Put a value of the kind `fill` in place of a field; the file's own hash is right, and that in its stage's manifest."""
        lines = path.read_bytes().splitlines() if path.suffix == ".jsonl" else [path.read_bytes()]
        body = json.loads(lines[-1])
        where, parent, key = self.draw.choice([place for place in places_of(body, "") if place[0] != ".sha256"])
        parent[key] = FILL
        whole = canonical if path.name == "manifest.json" else text_of
        if isinstance(body, dict) and body.pop("sha256", None):
            body["sha256"] = sha256(_filled(whole(body), fill))
        last = text_of(body, indent=1) if path.name == "checkpoint.json" else whole(body)
        path.write_bytes(b"\n".join([*lines[:-1], _filled(last, fill)]))
        if path.name != "manifest.json":
            seal_corpus(self.world / "corpus", entries=True)
        return f"{path.relative_to(self.world)}: {where} is 23 MB of {fill}"


def _repeated(piece: str) -> str:
    return piece * (FILL_BYTES // len(piece))


FILLS: dict[str, Callable[[], str]] = {
    "numbers": lambda: "[" + _repeated("999,") + "1]",
    "words": lambda: "[" + _repeated('"ab",') + "1]",
    "keys": lambda: "{" + ",".join(f'"{n:x}":1000' for n in range(FILL_BYTES // 13)) + "}",
    "arrays": lambda: "[" + _repeated("[" * 90 + "]" * 90 + ",") + "1]",
    "objects": lambda: "[" + _repeated('{"a":' * 90 + "1" + "}" * 90 + ",") + "1]",
    "wide text": lambda: '"' + _repeated("a") + '\U0001f600"',
}
"""JSON texts that take much more memory than bytes, by what they hold."""


def _filled(text: str, fill: str) -> bytes:
    return text.replace(f'"{FILL}"', FILLS[fill]()).encode()
