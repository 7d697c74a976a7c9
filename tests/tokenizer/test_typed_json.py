"""JSON of others: a field of another type or range is named with its value, in one line."""

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from tokenizer.typed_json import Count, Sha256, check_own_sha256, convert, decode


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    rows: Count
    sha256: Sha256 = ""

    def __post_init__(self) -> None:
        if ".." in self.name:
            raise ValueError(f"bad name {self.name!r}")


class File(msgspec.Struct, forbid_unknown_fields=True):
    files: tuple[Entry, ...]
    counters: dict[str, Count] = {}
    share: float | None = None
    free: Any = None


GOOD = '{"files": [{"name": "a", "rows": 7}], "counters": {"x": 1}, "share": 0.5}'
BAD = {
    "text": ('{"files": [{"name": "a", "rows": "7"}]}', "files[0].rows is '7': Expected `int`, got `str`"),
    "second": ('{"files": [{"name": "a", "rows": 1}, {"name": "b", "rows": []}]}', "files[1].rows is []: Expected `int`, got `array`"),
    "large": ('{"files": [{"name": "a", "rows": 1000000000000000000}]}', "files[0].rows is 1000000000000000000: Expected `int` <= "),
    "huge": (f'{{"files": [{{"name": "a", "rows": 1{"0" * 6000}}}]}}', "files[0].rows: Integer value out of range"),
    "negative": ('{"files": [{"name": "a", "rows": -1}]}', "files[0].rows is -1: Expected `int` >= 0"),
    "nan": ('{"files": [{"name": "a", "rows": NaN}]}', "files[0].rows is nan: not a number"),
    "fraction": ('{"files": [{"name": "a", "rows": 1.5}]}', "files[0].rows is 1.5: Expected `int`, got `float`"),
    "bool": ('{"files": [{"name": "a", "rows": true}]}', "files[0].rows is True: Expected `int`, got `bool`"),
    "null": ('{"files": [{"name": "a", "rows": null}]}', "files[0].rows is None: Expected `int`, got `null`"),
    "infinite": ('{"files": [], "share": Infinity}', "share is inf: not a number"),
    "counter": ('{"files": [], "counters": {"x": 1, "y": -2}}', "counters.y is -2: Expected `int` >= 0"),
    "hash": ('{"files": [{"name": "a", "rows": 1, "sha256": "xyz"}]}', "files[0].sha256 is 'xyz': Expected `str` matching regex"),
    "own check": ('{"files": [{"name": "../a", "rows": 1}]}', "bad name '../a'"),
    "missing": ('{"files": [{"name": "a"}]}', "missing required field `rows`"),
    "unknown": ('{"files": [], "surprise": 1}', "unknown field `surprise`"),
    "array": ("[]", "Expected `object`, got `array`"),
    "deep": ('{"files": [], "free": ' + "[" * 100_000, "nested too deep"),
    "deep field": ('{"files": ' + "[" * 100_000, "files[0]: Expected `object`, got `array`"),
    "empty": ("", "truncated"),
    "surrogate": ('{"files": [{"name": "\\ud800", "rows": 1}]}', "surrogate"),
}  # fmt: skip


def test_a_record_is_decoded() -> None:
    assert decode(GOOD.encode(), File) == File((Entry("a", 7),), {"x": 1}, 0.5)
    assert convert({"name": "a", "rows": 7}, Entry) == Entry("a", 7)


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_field_is_named_with_its_value(kind: str) -> None:
    text, said = BAD[kind]
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 (the text is compared below)
        decode(text.encode(), File)
    assert said in str(refusal.value)
    assert len(str(refusal.value)) < 300
    assert "\n" not in str(refusal.value)


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        decode(b'{"files": [{"name": "\xff\xfe", "rows": 1}]}', File)


def test_a_manifests_own_hash_covers_all_other_bytes() -> None:
    body = {"a": 1, "stage": "x"}
    rest = json.dumps(body, indent=1, sort_keys=True) + "\n"
    import hashlib

    own = hashlib.sha256(rest.encode()).hexdigest()
    content = (json.dumps({**body, "sha256": own}, indent=1, sort_keys=True) + "\n").encode()
    assert check_own_sha256(content) == own
    assert check_own_sha256(rest.encode()) is None
    for at in range(0, len(content) - 1, 3):
        damaged = bytearray(content)
        damaged[at] ^= 1
        try:
            assert check_own_sha256(bytes(damaged)) != own  # the line of the hash itself is damaged: it has none
        except ValueError as error:
            assert "own sha256" in str(error)  # noqa: PT017 (either is right)
