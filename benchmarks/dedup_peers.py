"""How each peer removes near-duplicates from a list of texts, as its manual says: 5-word shingles, 14 bands of 8 rows.

Each function runs in the peer's own Python, which has none of our packages, and returns the numbers of the removed texts.
"""

import json
import re
import tempfile
from pathlib import Path

BANDS, ROWS, THRESHOLD = 14, 8, 0.7


def string_shingles(text: str) -> set[str]:
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + 5]) for i in range(len(words) - 4)}


def datasketch(texts: list[str], *, sha1: bool = False) -> list[int]:
    import datasketch
    import xxhash

    options = {} if sha1 else {"hashfunc": xxhash.xxh32_intdigest}
    index = datasketch.MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    removed = []
    for number, text in enumerate(texts):
        sketch = datasketch.MinHash(BANDS * ROWS, **options)
        shingles = string_shingles(text)
        sketch.update_batch([s.encode() for s in shingles])
        if shingles and index.query(sketch):
            removed.append(number)
        else:
            index.insert(number, sketch)
    return removed


def datasketch_sha1(texts: list[str]) -> list[int]:
    return datasketch(texts, sha1=True)


def rensa(texts: list[str]) -> list[int]:
    import rensa

    index = rensa.RMinHashLSH(threshold=THRESHOLD, num_perm=BANDS * ROWS, num_bands=BANDS)
    removed = []
    for number, text in enumerate(texts):
        sketch = rensa.RMinHash(num_perm=BANDS * ROWS, seed=1)
        sketch.update(list(string_shingles(text)))
        if index.query(sketch):
            removed.append(number)
        else:
            index.insert(number, sketch)
    return removed


def rensa_inline(texts: list[str]) -> list[int]:
    import rensa

    keeper = rensa.RMinHashDeduplicator(threshold=THRESHOLD, num_perm=BANDS * ROWS, use_lsh=True, num_bands=BANDS, seed=1)
    removed = []
    for number, text in enumerate(texts):
        sketch = rensa.RMinHash(num_perm=BANDS * ROWS, seed=1)
        sketch.update(sorted(string_shingles(text)))
        if not keeper.add(str(number), sketch):
            removed.append(number)
    return removed


def gaoya(texts: list[str]) -> list[int]:
    from gaoya.minhash import MinHashStringIndex

    options = {"hash_size": 32, "analyzer": "word", "lowercase": True, "ngram_range": (5, 5)}
    index = MinHashStringIndex(jaccard_threshold=THRESHOLD, num_bands=BANDS, band_size=ROWS, **options)
    removed = []
    for number, text in enumerate(texts):
        if index.query(text):
            removed.append(number)
        else:
            index.insert_document(number, text)
    return removed


def datatrove(texts: list[str]) -> list[int]:
    """datatrove's four stages on disk, with words split at white space (its own whitespace tokenizer uses spaCy)."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter
    from datatrove.utils.hashing import HashConfig
    from datatrove.utils.word_tokenizers import WordTokenizer

    class SplitTokenizer(WordTokenizer):
        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

        def sent_tokenize(self, text: str) -> list[str]:
            return [text]

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            return [(0, len(text))]

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in", "documents.jsonl")
        source.parent.mkdir()
        source.write_text("".join(json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts)))
        config = MinhashConfig(hash_config=HashConfig(hash_fc="xxhash"), n_grams=5, num_buckets=BANDS, hashes_per_bucket=ROWS)
        reader = JsonlReader(str(source.parent))
        names = {name: f"{folder}/{name}" for name in ("signatures", "buckets", "remove", "kept", "gone")}
        sign = MinhashDedupSignature(output_folder=names["signatures"], config=config)
        sign.word_tokenizer = SplitTokenizer()
        steps = [
            [reader, sign],
            [MinhashDedupBuckets(names["signatures"], names["buckets"], config=config)],
            [MinhashDedupCluster(names["buckets"], names["remove"], config=config)],
            [reader, MinhashDedupFilter(names["remove"]), JsonlWriter(names["kept"], compression=None)],
        ]
        for step, tasks in zip(steps, (1, BANDS, 1, 1), strict=True):
            LocalPipelineExecutor(step, tasks=tasks, workers=1, logging_dir=f"{folder}/logs-{id(step)}").run()
        lines = [line for path in Path(names["kept"]).glob("*.jsonl") for line in path.read_text().splitlines()]
    kept = {int(json.loads(line)["id"]) for line in lines}
    return [i for i in range(len(texts)) if i not in kept]


TEXT_DEDUP = """
[input]
input_type = "local_files"
file_type = "parquet"
read_arguments = {{ path = "parquet", data_files = "{folder}/documents.parquet", split = "train", cache_dir = "{folder}/cache" }}
[algorithm]
algorithm_name = "minhash"
text_column = "text"
num_perm = {permutations}
bands = {bands}
rows = {rows}
ngram_size = 5
threshold = {threshold}
check_false_positive = true
num_proc = 1
[output]
output_dir = "{folder}/out"
keep_index_column = true
[debug]
logging_level = 40
"""


def text_dedup(texts: list[str]) -> list[int]:
    """text-dedup's own program with its check of pairs; without the check it removes every member of most clusters."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import load_from_disk
    from text_dedup import minhash
    from text_dedup.config.base import load_config_from_toml

    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(pa.table({"text": texts}), f"{folder}/documents.parquet", compression="none")
        values = {"folder": folder, "permutations": BANDS * ROWS, "bands": BANDS, "rows": ROWS, "threshold": THRESHOLD}
        Path(folder, "config.toml").write_text(TEXT_DEDUP.format(**values))
        minhash.main(load_config_from_toml(Path(folder, "config.toml")))
        kept = set(load_from_disk(f"{folder}/out")["__INDEX__"])
    return [i for i in range(len(texts)) if i not in kept]


REMOVERS = {f.__name__: f for f in (datasketch, datasketch_sha1, rensa, rensa_inline, gaoya, datatrove, text_dedup)}
