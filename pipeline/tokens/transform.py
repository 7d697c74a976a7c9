"""Tokenize: texts to token ids as a Beam transform."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.tokens.encode import BATCH_DOCUMENTS, CheckedEncoder, TokensDrop, load_tokenizer
from tokenizer.codec import COMPILED
from tokenizer.token_ids import TokenIds

BATCH_CHARACTERS = 1 << 22

Id = TypeVar("Id", str, bytes)


@dataclass
class Tokenize(beam.PTransform[PCollection[tuple[Id, str]], PCollection[tuple[Id, TokenIds]]]):
    """(id, text) in; (id, token ids) out: a uint16 array that ends in the end of text, like a row of the stage's token shards.

    `tokenizer` is a tokenizer's file (tokenizer.json, merges.txt, …), or a folder with a tokenizer.json, on any file system; each worker
    loads it once. `encoder` is one of `tokenizer.codec.ENCODERS`. Elements keep their timestamps and windows. A text without characters
    gives no output, as in the stage; the metric `tokens/dropped_no_text` counts them. Raises ValueError for a text with lone surrogates,
    which UTF-8 cannot encode, and RuntimeError where the encoder's ids differ from those of the tokenizers library.

        >>> from tempfile import TemporaryDirectory
        >>> from tokenizer.bpe import train
        >>> with TemporaryDirectory() as folder:
        ...     _ = train({"ab": 5, "abc": 9}, 259).save(folder)
        ...     with beam.Pipeline("FnApiRunner") as pipeline:
        ...         _ = pipeline | beam.Create([("x", "abc ab")]) | Tokenize(folder) | beam.Map(print)
        ('x', array([257, 220, 256, 258], dtype=uint16))
    """

    tokenizer: str
    encoder: str = COMPILED

    def expand(self, texts: PCollection[tuple[Id, str]]) -> PCollection[tuple[Id, TokenIds]]:
        """Encode the texts of a bundle in batches."""
        encode = beam.ParDo(_EncodeBatches(self.tokenizer, self.encoder)).with_input_types(tuple[Id, str])
        tokens: PCollection[tuple[Id, TokenIds]] = texts | "Encode" >> encode.with_output_types(tuple[Id, TokenIds])
        return tokens


class _EncodeBatches(beam.DoFn):
    """Collects texts of a bundle until they fill a batch, and encodes them at once."""

    def __init__(self, tokenizer: str, encoder: str) -> None:
        self._path = tokenizer
        self._encoder_name = encoder
        self._dropped = Metrics.counter("tokens", f"dropped_{TokensDrop.NO_TEXT}")

    def setup(self) -> None:
        """Load the tokenizer."""
        self._encoder = CheckedEncoder(load_tokenizer(self._path), self._encoder_name)

    def start_bundle(self) -> None:
        """Begin an empty batch."""
        self._clear()

    def process(
        self, element: tuple[Id, str], timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[WindowedValue]:
        """The encoded batch that this text fills, if any."""
        key, text = element
        if not text:
            self._dropped.inc()
            return
        self._texts.append(text)
        self._origins.append((key, timestamp, window))
        self._characters += len(text)
        if len(self._texts) >= BATCH_DOCUMENTS or self._characters >= BATCH_CHARACTERS:
            yield from self._encode()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """The bundle's last batch."""
        yield from self._encode()

    def _encode(self) -> Iterator[WindowedValue]:
        if not self._texts:
            return
        tokens, offsets = self._encoder.encode(pa.array(self._texts, pa.large_string()), lambda row: repr(self._origins[row][0]))
        for (start, stop), (key, timestamp, window) in zip(pairwise(offsets), self._origins, strict=True):
            yield WindowedValue((key, tokens[start:stop].copy()), timestamp, (window,))
        self._clear()

    def _clear(self) -> None:
        self._texts: list[str] = []
        self._origins: list[tuple[str | bytes, Timestamp, BoundedWindow]] = []
        self._characters = 0
