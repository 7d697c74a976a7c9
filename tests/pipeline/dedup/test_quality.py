"""Recall and precision against brute force over real text: this Python's own sources, cut into passages, with planted edits."""

import csv
import json
import random
import re
import sysconfig
import tarfile
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import lxml.html
import numpy as np
import pyarrow as pa
import pytest
from deduplication import dedup, document, rows, write_documents

from pipeline.dedup import lsh_parameters, minhash
from pipeline.dedup.settings import DedupSettings
from pipeline.dedup.shingles import hash_shingles

PASSAGE_WORDS = 160
PASSAGES = 18_000
PLANTED_PER_BIN = 250
BINS = [0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90, 0.95]
THRESHOLD = 0.7
BANDS, ROWS = DedupSettings().bands_and_rows


def passages(count: int) -> list[str]:
    texts: list[str] = []
    for folder in ("stdlib", "purelib"):
        for path in sorted(Path(sysconfig.get_paths()[folder]).rglob("*.py")):
            text = path.read_text(encoding="utf-8", errors="ignore")
            ends = [m.end() for m in re.finditer(r"\w+", text)][PASSAGE_WORDS - 1 :: PASSAGE_WORDS] if text.isascii() else []
            texts += [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
            if len(texts) >= count:
                return texts[:count]
    pytest.skip(f"{len(texts)} passages of text in this Python's folders, {count} needed")


def string_shingles(text: str) -> frozenset[str]:
    words = re.findall(r"\w+", text.lower())
    return frozenset(" ".join(words[i : i + 5]) for i in range(len(words) - 4))


def similarity(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a or b else 0.0


def edited(text: str, target: float, kind: int, donor: str, draw: random.Random) -> str:
    """The text with words replaced, its end cut off, or other text appended: its similarity to the original is about `target`."""
    words = text.split()
    if kind == 0:
        changes = round(len(words) * (1 - target) / (1 + target) / 5 * 1.1)
        for at in draw.sample(range(len(words)), changes):
            words[at] = f"edit{draw.randrange(10**6)}"
    elif kind == 1:
        words = words[: round(len(words) * target)]
    else:
        words += donor.split()[: round(len(words) * (1 / target - 1))]
    return " ".join(words)


def planted(texts: list[str], per_bin: int, seed: int = 7) -> list[tuple[int, str]]:
    draw = random.Random(seed)
    edits = []
    for low in BINS:
        for i in range(per_bin):
            origin = draw.randrange(len(texts))
            donor = texts[draw.randrange(len(texts))]
            edits.append((origin, edited(texts[origin], low + 0.05 * draw.random(), i % 3, donor, draw)))
    return edits


def similar_pairs(sets: list[frozenset[str]], threshold: float) -> dict[tuple[int, int], float]:
    """All pairs at or above the threshold by prefix filtering, which is exact: such a pair shares one of its rarest shingles."""
    frequency: dict[str, int] = defaultdict(int)
    for shingles in sets:
        for shingle in shingles:
            frequency[shingle] += 1
    seen: dict[str, list[int]] = defaultdict(list)
    pairs: dict[tuple[int, int], float] = {}
    for b, shingles in enumerate(sets):
        candidates: set[int] = set()
        prefix = len(shingles) - int(np.ceil(threshold * len(shingles))) + 1
        for shingle in sorted(shingles, key=lambda s: (frequency[s], s))[:prefix]:
            if frequency[shingle] > 1:
                candidates.update(seen[shingle])
                seen[shingle].append(b)
        for a in candidates:
            exact = similarity(sets[a], shingles)
            if exact >= threshold:
                pairs[a, b] = exact
    return pairs


def test_candidates_follow_the_s_curve() -> None:
    """60 seeds make chance alone move no bin by a percentage point."""
    texts = passages(2000)
    edits = planted(texts, 150)
    exact = np.array([similarity(string_shingles(texts[i]), string_shingles(text)) for i, text in edits])
    before = hash_shingles(pa.array([texts[i] for i, _ in edits]))
    after = hash_shingles(pa.array([text for _, text in edits]))
    met = np.zeros(len(edits))
    seeds = 60
    for seed in range(seeds):
        keys = [minhash.band_keys(minhash.minima(h, BANDS * ROWS, seed), BANDS, ROWS) for h in (before, after)]
        met += (keys[0] == keys[1]).any(axis=1)
    expected = np.array([lsh_parameters.candidate_probability(s, BANDS, ROWS) for s in exact])
    for low in BINS:
        chosen = (exact >= low) & (exact < low + 0.05)
        assert chosen.sum() > 50
        assert met[chosen].mean() / seeds == pytest.approx(expected[chosen].mean(), abs=0.01), low


@pytest.mark.slow
def test_removals_agree_with_brute_force(tmp_path: Path) -> None:
    texts = passages(PASSAGES)
    texts += [text for _, text in planted(texts, PLANTED_PER_BIN)]
    assert len(texts) >= 20_000
    documents = [document(text, f"u{i}", day=i % 997) for i, text in enumerate(texts)]
    shards = [documents[i : i + 4000] for i in range(0, len(documents), 4000)]
    dedup(write_documents(tmp_path / "documents", shards), tmp_path / "dedup", DedupSettings(index=False))

    sets = [string_shingles(text) for text in texts]
    pairs = similar_pairs(sets, THRESHOLD)
    neighbours: dict[int, dict[int, float]] = defaultdict(dict)
    for (a, b), exact in pairs.items():
        neighbours[a][b] = neighbours[b][a] = exact
    removed = {int(str(row["url"])[1:]): row for row in rows(tmp_path / "dedup", "duplicates")}
    assert len(removed) > 1000

    for number, row in removed.items():
        kept = int(str(row["kept_url"])[1:])
        assert kept not in removed
        assert kept % 997 <= number % 997
        if row["reason"] == "near_duplicate":
            assert neighbours[number][kept] >= THRESHOLD
            assert row["similarity"] == pytest.approx(neighbours[number][kept], abs=1e-6)
    missed = {a for (a, b), exact in pairs.items() if exact >= 0.9 and a not in removed and b not in removed}
    assert len(missed) <= 0.001 * (len(texts) - len(removed))
    order = sorted(range(len(texts)), key=lambda i: (documents[i].submitted_at, documents[i].document_id))
    ideal = first_independent(order, neighbours)
    assert len(ideal ^ set(removed)) <= 0.1 * len(ideal)


def first_independent(order: list[int], neighbours: dict[int, dict[int, float]]) -> set[int]:
    """The documents that the lexicographically first maximal independent set removes, were every pair found."""
    kept: set[int] = set()
    for number in order:
        if kept.isdisjoint(neighbours[number]):
            kept.add(number)
    return set(order) - kept


@pytest.mark.slow
def test_recall_is_at_least_as_documented() -> None:
    texts = passages(6000)
    edits = [(i, t) for seed in range(3) for i, t in planted(texts, 500, seed)]
    exact = np.array([similarity(string_shingles(texts[i]), string_shingles(t)) for i, t in edits])
    keys = [
        minhash.band_keys(minhash.signatures(pa.array(side)), BANDS, ROWS)
        for side in ([texts[i] for i, _ in edits], [t for _, t in edits])
    ]
    met = (keys[0] == keys[1]).any(axis=1)
    assert met[(exact >= 0.80) & (exact < 0.85)].mean() >= 0.96
    assert met[exact >= 0.85].mean() >= 0.99


def test_versions_of_real_pages_have_the_published_similarity(shared_data: Path) -> None:
    folder = shared_data / "neardup" / "docversions"
    with tarfile.open(folder / "pgdoc.tar.xz") as archive:
        pages = {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}  # type: ignore[union-attr]
    pairs = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    texts = {name: plain(pages[name]) for pair in pairs for name in (pair["a"], pair["b"])}
    names = sorted(texts)
    signed = minhash.signatures(pa.array([texts[name] for name in names]))
    keys = dict(zip(names, minhash.band_keys(signed, BANDS, ROWS), strict=True))
    exact = np.array([similarity(string_shingles(texts[p["a"]]), string_shingles(texts[p["b"]])) for p in pairs])
    known = np.array([p["jaccard_w5"] for p in pairs])
    assert len(pairs) == 1166
    assert np.quantile(np.abs(exact - known), 0.99) < 0.05
    met = np.array([(keys[p["a"]] == keys[p["b"]]).any() for p in pairs])
    assert met[known >= 0.85].all()


def plain(page: bytes) -> str:
    return re.sub(r"\s+", " ", lxml.html.fromstring(page).text_content())


def test_plagiarism_differs_from_independent_answers(shared_data: Path) -> None:
    """Copies share many shingles with their source; independent answers to the question share almost none."""
    folder = shared_data / "neardup" / "clough"
    labels = list(csv.DictReader((folder / "file_information.csv").read_text().splitlines()))
    sets = {row["File"]: string_shingles((folder / row["File"]).read_text(encoding="latin-1")) for row in labels}
    originals = {row["Task"]: row["File"] for row in labels if row["Category"] == "orig"}
    by_label = defaultdict(list)
    for row in labels:
        by_label[row["Category"]].append(similarity(sets[row["File"]], sets[originals[row["Task"]]]))
    assert np.mean(by_label["cut"]) > 0.2 > 0.05 > np.mean(by_label["non"])
    assert max(by_label["non"]) < THRESHOLD


def test_only_recrawls_of_one_page_are_candidates(shared_data: Path) -> None:
    folder = shared_data / "neardup" / "recrawl"
    with tarfile.open(folder / "recrawl.tar.xz") as archive:
        texts = [plain(archive.extractfile(m).read()) for m in archive if m.isfile()]  # type: ignore[union-attr]
    keys = minhash.band_keys(minhash.signatures(pa.array(texts)), BANDS, ROWS)
    for a, b in combinations(range(len(texts)), 2):
        if (keys[a] == keys[b]).any():
            assert len(set(texts[a].split()) & set(texts[b].split())) > 50
