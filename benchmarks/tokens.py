"""Documents in Parquet to token shards: our whole stage against bare encoding loops of three encoders and datatrove's tokenizer step.

    python benchmarks/tokens.py --tokenizer GPT2_BPE --megabytes 50 --text /usr/lib /usr/share [--datatrove VENV/bin/python]

Each runs in a process of its own, one thread; CPU seconds after imports and compiling, and peak memory. Ids of all are compared.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from real_text import documents

SHARDS = 4
DATATROVE = """
import json, resource, sys, time
from pathlib import Path
import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.tokens import DocumentTokenizer
corpus, tokenizer, out = sys.argv[1:]
step = DocumentTokenizer(out, tokenizer_name_or_path=tokenizer, eos_token="<|endoftext|>", shuffle_documents=False, save_filename="x")
def read():
    for path in sorted(Path(corpus).glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(256, columns=["text"]):
            for number, text in enumerate(batch.column("text").to_pylist()):
                yield Document(text, str(number))
started = time.process_time()
step.run(read(), 0, 1)
print(json.dumps({"seconds": time.process_time() - started, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def loop(encoder: str, corpus: str, tokenizer: str) -> dict[str, object]:
    """Read and encode, nothing else."""
    from pipeline.views import document_shards
    from tokenizer.codec import Tokenizer

    loaded = Tokenizer.load(tokenizer)
    loaded.encode_arrow(pa.array(["compile"]), encoder=encoder)
    digest, spent = hashlib.sha256(), 0.0
    for shard in document_shards(corpus):
        for batch in shard.batches(["text"], 256):
            started = time.process_time()
            ids, _ = loaded.encode_arrow(batch.column("text"), encoder=encoder)
            spent += time.process_time() - started
            digest.update(ids.data)
    return {"seconds": spent, "ids": digest.hexdigest()}


def stage(corpus: str, tokenizer: str, folder: str) -> dict[str, object]:
    """The stage as `python -m pipeline tokens` runs it, with one worker."""
    from pipeline.engine import Engine
    from pipeline.jobs import tokens, vocabulary
    from pipeline.stage import Call
    from tokenizer.codec import LIBRARY, Tokenizer

    settings = vocabulary.VocabularySettings(tokenizer="given", tokenizer_path=tokenizer)
    vocabulary.STAGE.run(Call({"dedup": corpus}, f"{folder}/vocabulary", settings, Engine()))
    for encoder in ("compiled", LIBRARY):
        Tokenizer.load(tokenizer).encode_arrow(pa.array(["compile"]), encoder=encoder)
    started = time.process_time()
    call = Call({"dedup": corpus, "vocabulary": f"{folder}/vocabulary"}, f"{folder}/tokens", tokens.TokensSettings(), Engine())
    tokens.STAGE.run(call)
    return {"seconds": time.process_time() - started}


STEPS: dict[str, Callable[..., dict[str, object]]] = {"loop": loop, "stage": stage}


def alone(command: list[str]) -> dict[str, float]:
    environment = os.environ | {
        "TOKENIZERS_PARALLELISM": "false",
        "RAYON_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def step(name: str, *arguments: str) -> dict[str, float]:
    return alone([sys.executable, __file__, "--step", name, json.dumps(arguments)])


def write_corpus(folder: Path, texts: list[str]) -> int:
    """A documents folder of the texts; their bytes."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from corpora import documents_folder

    documents_folder(folder, texts, SHARDS)
    return sum(len(text.encode()) for text in texts)


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    read = write_corpus(folder / "corpus", list(documents(arguments.text, arguments.megabytes))) / 1e6
    corpus, tokenizer = str(folder / "corpus"), arguments.tokenizer
    figures = {f"bare loop, {name}": step("loop", name, corpus, tokenizer) for name in ("compiled", "tiktoken", "tokenizers")}
    figures["pipeline tokens, whole"] = step("stage", corpus, tokenizer, str(folder / "out"))
    if arguments.datatrove:
        made = str(folder / "out" / "vocabulary" / "tokenizer.json")
        figures["datatrove's step"] = alone([arguments.datatrove, "-c", DATATROVE, corpus, made, str(folder / "datatrove")])
        figures["datatrove's step"]["ids"] = _ids(
            np.concatenate([np.fromfile(p, "<u2") for p in sorted(folder.glob("datatrove/*.ds"))])
        )  # type: ignore[assignment]
    whole = figures["pipeline tokens, whole"]["seconds"]
    for name, figure in figures.items():
        ratio = f"{figure['seconds'] / whole:5.2f} x the stage's time"
        print(f"{name:<26} {read / figure['seconds']:7.1f} MB/s  {ratio}  peak {figure['peak_mb']:5.0f} MB")
    ids = {str(figure["ids"]) for figure in figures.values() if "ids" in figure}
    print(f"ids: {'equal' if len(ids) == 1 else 'DIFFERENT'}")
    if len(ids) != 1:
        raise SystemExit(1)


def _ids(tokens: np.ndarray) -> str:
    return hashlib.sha256(tokens.astype(np.uint16).data).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", help="folder or file of the tokenizer")
    parser.add_argument("--text", nargs="+", default=["/usr/lib", "/usr/share"])
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--datatrove", help="an interpreter that has datatrove")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        figures = STEPS[arguments.step[0]](*json.loads(arguments.step[1]))
        figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(figures))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(arguments, Path(folder))


if __name__ == "__main__":
    main()
