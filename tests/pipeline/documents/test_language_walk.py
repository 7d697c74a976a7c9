import random

import pytest
from py3langid import langid

from pipeline.documents import language, language_walk

TEXTS = [
    "",
    "a",
    "The harbour was quiet that morning.",
    "Der Hafen war ruhig.",
    "港は静かだった。",
    "\u0631\u0648\u0632",
    "x" * 3_000,
    "é\ud800",
    "123 456",
]


def own_walk(nm: list[int], rowbase: list[int], out: list[int], text: bytes) -> list[int]:
    state, found = 0, []
    for letter in text:
        state = nm[rowbase[state] + letter]
        if out[state] >= 0:
            found.append(out[state])
    return found


@pytest.mark.parametrize("text", TEXTS)
def test_walk_finds_the_features_of_the_library_in_their_order(text: str) -> None:
    language.identify("The model is loaded.")
    model = language._model()
    data = model._encode(text)
    counts = language_walk.Walk()(model.tk_nextmove, model._rowbase, model.tk_output, data)
    found = own_walk(model.tk_nextmove, model._rowbase, model.tk_output, data)
    assert list(counts or {}) == list(dict.fromkeys(found))
    assert sum((counts or {}).values()) == len(found)


def test_random_bytes_are_walked_alike() -> None:
    language.identify("The model is loaded.")
    model, noise = language._model(), random.Random(2)
    for size in (1, 7, 100, 2_000):
        data = noise.randbytes(size)
        counts = language_walk.Walk()(model.tk_nextmove, model._rowbase, model.tk_output, data)
        assert sum((counts or {}).values()) == len(own_walk(model.tk_nextmove, model._rowbase, model.tk_output, data))


def test_another_release_keeps_its_own_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(text: bytes) -> None:
        """A function with other parameters."""

    monkeypatch.setattr(langid, "visit_counts", other)
    assert not language_walk.install()
    assert langid.visit_counts is other
