"""Train the forests of the default extractor on pages with gold text, and say how good they are on pages of other domains.

    python benchmarks/extractor_training.py ../shared/data [--folder WORK]

Labels: a block is the article's as far as its words stand in the gold text; where a page has no gold text, in the text of the extractor
`cascade`, corrected by the strings that must and must not be there. Folds are by domain. LightGBM is needed for training alone. The same
pages, LightGBM and seed give the same weights.
"""

import argparse
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from extractor_folds import FOLDS, fold_of
from gold import load

from pipeline.documents import charset, extractors, html
from pipeline.documents.blocks import chooser, layout, renderer, weights
from pipeline.documents.blocks.features import CONTEXT, FEATURES, RELATIONS_AT, describe, describe_context
from pipeline.documents.blocks.forest import Forest
from pipeline.documents.blocks.relations import Scratch, describe_relations
from pipeline.documents.blocks.scan import Counts, scan

SHINGLE = 4
SILVER_WEIGHT = 0.2
STRING_WEIGHT = 4
"""A block with a string that must or must not be there has a label that a person gave."""

MIN_SILVER_CHARACTERS = 250
FIRST_ROUNDS, SECOND_ROUNDS = 150, 80
SETTINGS = {
    "objective": "cross_entropy",
    "learning_rate": 0.1,
    "num_leaves": 24,
    "min_data_in_leaf": 60,
    "min_sum_hessian_in_leaf": 5,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5,
    "max_bin": 63,
    "verbose": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 1,
}
SECOND_SETTINGS = {**SETTINGS, "num_leaves": 12, "learning_rate": 0.06, "min_data_in_leaf": 150, "lambda_l2": 20}
COLLECTIONS = ("goose3", "htmldate", "mozilla", "newspaper4k", "postlight", "scrapinghub", "trafilatura", "webmainbench")


@dataclass(frozen=True, slots=True)
class Example:
    """A page to learn from: its blocks' features, labels and weights, its scan for the second forest, and its domain's fold."""

    name: str
    fold: int
    features: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    page: layout.Scanned
    counts: Counts


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def labels(texts: list[str], gold: str, included: tuple[str, ...], excluded: tuple[str, ...]) -> np.ndarray:
    """Return the share of each block's words that stands in the gold text in this order; NaN for a block without words."""
    gold_words = words(gold)
    shingles = {tuple(gold_words[k : k + SHINGLE]) for k in range(len(gold_words) - SHINGLE + 1)}
    joined = f" {' '.join(gold_words)} "
    result = np.zeros(len(texts), np.float32)
    for number, text in enumerate(texts):
        own = words(text)
        if not own:
            result[number] = np.nan
        elif len(own) <= SHINGLE:
            result[number] = f" {' '.join(own)} " in joined
        else:
            found = [tuple(own[k : k + SHINGLE]) in shingles for k in range(len(own) - SHINGLE + 1)]
            result[number] = sum(found) / len(found)
        if any(string in text for string in excluded):
            result[number] = 0
        if any(string in text for string in included):
            result[number] = 1
    return result


def pages(folder: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield all pages of the folder with their rows of the index."""
    index = {row["file"]: row for row in map(json.loads, (folder / "index.jsonl").open())}
    for collection in COLLECTIONS:
        with tarfile.open(folder / f"{collection}.tar.xz") as archive:
            for member in archive:
                if member.name in index and (file := archive.extractfile(member)) is not None:
                    yield index[member.name], file.read()


def cascade(markup: str) -> str:
    tree = html.parse(markup)
    try:
        return "" if tree is None else extractors.main_text(extractors.CASCADE, markup, tree)[0]
    except extractors.LIBRARY_FAILURES:
        return ""


def examples(folder: Path) -> Iterator[Example]:
    """Yield what each page teaches. Pages nearly without blocks, or whose only label would be a fragment, teach nothing."""
    gold = {page.name: page for page in load(folder, COLLECTIONS)}
    for row, body in pages(folder):
        known = gold.get(row["file"])
        text = charset.decode(body, None)[0]
        is_gold = known is not None and bool(known.text)
        reference = known.text if is_gold else cascade(text)
        if not is_gold and len(reference) < MIN_SILVER_CHARACTERS:
            continue
        page = layout.Scanned.of(text.encode("utf-8", "replace"))
        counts = scan(page, (row["url"] or "").partition("#")[0].encode())
        if not 3 <= counts.blocks <= 8000 or counts.status != layout.COMPLETE:
            continue
        features = np.empty((counts.blocks, FEATURES), np.float32)
        describe(page, counts.blocks, features)
        describe_relations(page, counts, Scratch.of(counts), features, RELATIONS_AT)
        texts = renderer.render_each(page, counts)
        label = labels(texts, reference, known.included if known else (), known.excluded if known else ())
        label[chooser.never(page, counts)] = np.nan
        sizes = np.array([max(1, len(words(t))) for t in texts], np.float32)
        weight = sizes**0.75 / max(100.0, float((sizes * (np.nan_to_num(label) > 0.5)).sum())) * 1000
        weight *= 1.0 if is_gold and not row["file"].startswith("mozilla/") else SILVER_WEIGHT
        strings = (*known.included, *known.excluded) if known else ()
        weight[[any(string in text for string in strings) for text in texts]] *= STRING_WEIGHT
        slim = page._replace(data=page.data[:0], segments=page.segments[:0], masks=page.masks[: counts.blocks].copy())
        slim = slim._replace(blocks=slim.blocks[: counts.blocks].copy(), elements=slim.elements[: counts.elements].copy())
        yield Example(row["file"], fold_of(row), features, label, weight.astype(np.float32), slim, counts)


def pack(booster: lightgbm.Booster) -> Forest:
    """Return a booster's trees as the arrays that the extractor walks."""
    nodes: list[list[float]] = []

    def walk(node: dict[str, Any]) -> int:
        number = len(nodes)
        nodes.append([-1, 0.0, 0, node.get("leaf_value", 0.0)])
        if "leaf_value" not in node:
            nodes[number][:2] = [node["split_feature"], node["threshold"]]
            walk(node["left_child"])
            nodes[number][2] = walk(node["right_child"])
        return number

    roots = [walk(tree["tree_structure"]) for tree in booster.dump_model()["tree_info"]]
    columns = list(zip(*nodes, strict=True))
    return Forest(
        np.array(columns[0], np.int16),
        np.array(columns[1], np.float32),
        np.array(columns[2], np.int32),
        np.array(columns[3], np.float32),
        np.array(roots, np.int32),
    )


def fit(settings: dict[str, Any], rounds: int, features: np.ndarray, label: np.ndarray, weight: np.ndarray) -> lightgbm.Booster:
    known = ~np.isnan(label)
    data = lightgbm.Dataset(features[known], label=label[known], weight=weight[known])
    return lightgbm.train(settings, data, rounds)


def train(learned: list[Example]) -> tuple[weights.Weights, list[weights.Weights]]:
    """Return the weights of all pages, and of each fold those of the pages of the other folds.

    The second forest learns from what the first says of pages that it has not seen.
    """
    features = np.concatenate([example.features for example in learned])
    label = np.concatenate([example.labels for example in learned])
    weight = np.concatenate([example.weights for example in learned])
    fold = np.concatenate([np.full(len(example.labels), example.fold) for example in learned])
    likely = np.zeros(len(label))
    firsts = []
    for number in range(FOLDS):
        others = fold != number
        firsts.append(fit(SETTINGS, FIRST_ROUNDS, features[others], label[others], weight[others]))
        likely[~others] = firsts[-1].predict(features[~others])
        print(f"fold {number}: {int((~others).sum()):,} blocks", flush=True)
    context = np.empty((len(label), CONTEXT), np.float32)
    at = 0
    for example in learned:
        size = len(example.labels)
        judged = np.ascontiguousarray(likely[at : at + size])
        out, sums, scratch = context[at : at + size], np.zeros((example.counts.elements, 3)), Scratch.of(example.counts)
        describe_context(example.page, size, example.counts.elements, example.features, judged, sums, scratch, out)
        at += size
    folds = []
    unseen = np.zeros(len(label))
    for number in range(FOLDS):
        others = fold != number
        second = fit(SECOND_SETTINGS, SECOND_ROUNDS, context[others], label[others], weight[others])
        unseen[~others] = second.predict(context[~others])
        folds.append(weights.Weights(pack(firsts[number]), pack(second)))
    for name, judged in (("first", likely), ("second", unseen)):
        known = ~np.isnan(label)
        kept = known & (judged > chooser.CUT)
        right = float((weight * label)[kept].sum())
        precision, recall = right / weight[kept].sum(), right / (weight * label)[known].sum()
        print(f"{name} forest on other domains: precision {precision:.4f}, recall {recall:.4f}")
    first = fit(SETTINGS, FIRST_ROUNDS, features, label, weight)
    second = fit(SECOND_SETTINGS, SECOND_ROUNDS, context, label, weight)
    return weights.Weights(pack(first), pack(second)), folds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with html/: pages, index and gold")
    parser.add_argument(
        "--folder", type=Path, help="also write each fold's weights here, for measuring on domains not trained on"
    )
    parser.add_argument("--output", type=Path, default=Path(weights.__file__).with_name(weights.FILE))
    arguments = parser.parse_args()
    for folder in (arguments.output.parent, *([arguments.folder] if arguments.folder else [])):
        folder.mkdir(parents=True, exist_ok=True)
    learned = list(examples(arguments.data / "html"))
    print(f"{len(learned):,} pages, {sum(len(example.labels) for example in learned):,} blocks", flush=True)
    whole, folds = train(learned)
    weights.write(arguments.output, whole)
    if arguments.folder:
        for number, fold in enumerate(folds):
            weights.write(arguments.folder / f"fold{number}.npz", fold)
    print(f"{arguments.output}: {arguments.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
