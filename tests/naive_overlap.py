"""The overlap of evaluation sets with a corpus by sets of strings: slow, and plainly right."""

import re


def count_naively(sets: list[list[str]], corpus: list[str], size: int) -> list[tuple[int, int]]:
    """For each set: the number of n-grams by place, and of those that the corpus holds."""

    def grams(text: str) -> list[str]:
        own = re.findall(r"[^\W_]+", text.lower())
        return [" ".join(own[i : i + size]) for i in range(len(own) - size + 1)]

    known = {gram for text in corpus for gram in grams(text)}
    return [(len(all_), sum(g in known for g in all_)) for texts in sets for all_ in [[g for text in texts for g in grams(text)]]]
