"""The grammar of hostile records: a run's log, an evaluation's results, and the journal of an unfinished crawl."""

import json
import os
import struct
import zlib

from gauntlet.foreign_grammar import LONG, Grammar, flip
from gauntlet.foreign_seals import text_of


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
