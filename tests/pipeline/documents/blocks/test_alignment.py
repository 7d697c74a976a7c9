import random

import pytest

from pipeline.documents.blocks.alignment import align

WORDS = (
    "harbour",
    "light",
    "ship",
    "tide",
    "keeper",
    "storm",
    "night",
    "boat",
    "village",
    "winter",
    "road",
    "oil",
    "bread",
    "lamp",
)


def sentence(noise: random.Random, size: int) -> str:
    return " ".join(noise.choice(WORDS) + str(noise.randrange(100)) for _ in range(size))


@pytest.mark.parametrize("seed", range(60))
def test_blocks_of_a_text_are_found_among_others(seed: int) -> None:
    noise = random.Random(seed)
    blocks = [sentence(noise, noise.choice([1, 2, 3, 5, 9, 30])) for _ in range(40)]
    chosen = sorted(noise.sample(range(40), 15))
    aligned = align(blocks, "\n".join(blocks[k] for k in chosen))
    assert aligned.blocks == chosen
    assert aligned.coverage == 1


def test_a_teaser_that_repeats_the_article_is_not_taken_for_it() -> None:
    lead = "The keeper climbed the stairs every evening at six and wrote the weather down."
    blocks = [
        "Home",
        "The keeper climbed the stairs",
        "Latest",
        lead,
        "So it was for years and years.",
        "The keeper climbed the stairs",
    ]
    assert align(blocks, f"{lead}\nSo it was for years and years.").blocks == [3, 4]


def test_words_that_no_block_has_lower_the_coverage() -> None:
    aligned = align(["The ship came in with the tide."], "The ship came in with the tide. And nobody had seen it come at all.")
    assert aligned.blocks == [0]
    assert 0.4 < aligned.coverage < 0.5
    assert align(["a b c d"], "").coverage == 0
