import base64
import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
import tiktoken
import tokenizers

from benchmarks import peers
from tokenizer import formats
from tokenizer.codec import Tokenizer
from tokenizer.errors import FormatError
from tokenizer.paper import END_OF_TEXT, SPLIT_PATTERN, byte_alphabet, byte_ids

R50K_SHA256 = "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
"""sha256 of GPT-2's rank file, as tiktoken pins it."""
TEXT = "The cat's 3 hats <|endoftext|> naïve 漢字\n\n  done"


@pytest.fixture(scope="module")
def folder(trained: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    trained.save(path)
    return path


@pytest.mark.parametrize("name", ["tokenizer.json", "merges.txt", "ranks.tiktoken", "."])
def test_each_file_alone_defines_the_same_tokenizer(trained: Tokenizer, folder: Path, name: str) -> None:
    assert Tokenizer.load(folder / name).pairs == trained.pairs


def test_library_reads_tokenizer_json(trained: Tokenizer, folder: Path) -> None:
    library = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert library.get_vocab_size() == trained.vocab_size
    assert library.token_to_id(END_OF_TEXT) == trained.eot_id
    assert library.encode(TEXT.replace(END_OF_TEXT, "")).ids == trained.encode(TEXT.replace(END_OF_TEXT, ""))
    assert library.decode(trained.encode(TEXT)) == TEXT


def test_library_reads_vocabulary_and_merges(trained: Tokenizer, folder: Path) -> None:
    model = tokenizers.models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    library = tokenizers.Tokenizer(model)
    library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert library.encode(TEXT).ids == trained.encode(TEXT)
    assert json.loads((folder / "vocab.json").read_bytes())[END_OF_TEXT] == trained.eot_id


def test_tiktoken_reads_the_ranks(trained: Tokenizer, folder: Path) -> None:
    lines = [line.split() for line in (folder / "ranks.tiktoken").read_bytes().splitlines()]
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    theirs = tiktoken.Encoding("test", pat_str=SPLIT_PATTERN, mergeable_ranks=ranks, special_tokens={})
    assert theirs.encode_ordinary(TEXT) == trained.encode(TEXT)


def test_transformers_loads_the_folder_as_gpt2s_fast_tokenizer(trained: Tokenizer, folder: Path) -> None:
    """Runs in a separate environment with transformers."""
    if "WEBTEXT_FULL" not in os.environ:
        pytest.skip("WEBTEXT_FULL=1 makes an environment with transformers")
    program = """
import json, sys
from transformers import AutoTokenizer, GPT2TokenizerFast
text = sys.argv[2]
for kind in (GPT2TokenizerFast, AutoTokenizer):
    loaded = kind.from_pretrained(sys.argv[1])
    assert loaded.is_fast and loaded.decode(loaded.encode(text)) == text
    print(json.dumps([loaded.encode(text), loaded.eos_token_id, len(loaded)]))
"""
    command = [str(peers.python("transformers", "transformers")), "-c", program, str(folder), TEXT.replace(END_OF_TEXT, "")]
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"HF_HUB_OFFLINE": "1"}).stdout
    expected = [trained.encode(TEXT.replace(END_OF_TEXT, "")), trained.eot_id, trained.vocab_size]
    assert [json.loads(line) for line in output.splitlines()] == [expected] * 2


def test_configuration_names_the_class_and_the_end_of_text(folder: Path) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_bytes())
    assert config["tokenizer_class"] == "GPT2Tokenizer"
    assert config["add_prefix_space"] is False
    assert {config[name] for name in ("bos_token", "eos_token", "unk_token")} == {END_OF_TEXT}


def test_openais_files_are_rebuilt_byte_for_byte(shared_data: Path) -> None:
    gpt2 = Tokenizer.load(shared_data / "bpe" / "vocab.bpe")
    files = formats.all_files(gpt2.pairs)
    assert files["merges.txt"] == (shared_data / "bpe" / "vocab.bpe").read_bytes()
    assert gpt2.sha256 == formats.GPT2_MERGES_SHA256
    assert json.loads(files["vocab.json"]) == json.loads((shared_data / "bpe" / "encoder.json").read_bytes())
    assert hashlib.sha256(files["ranks.tiktoken"]).hexdigest() == R50K_SHA256
    assert Tokenizer.parse("x.tiktoken", files["ranks.tiktoken"]).pairs == gpt2.pairs


def test_byte_alphabet_equals_openais() -> None:
    assert byte_alphabet()[ord("!")] == "!"
    assert byte_alphabet()[ord(" ")] == "Ġ"
    assert byte_alphabet()[0] == "Ā"
    assert sorted(byte_ids()) == list(range(256))
    assert byte_ids()[ord("!")] == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", b"{}", "model"),
        ("tokenizer.json", b"not json", "Expecting value"),
        ("tokenizer.json", b'{"model": {"type": "Unigram"}}', "not byte-level BPE"),
        ("merges.txt", b"#version: 0.2\na b c\n", "too many values"),
        ("merges.txt", b"#version: 0.2\nab c\n", "'ab'"),
        ("merges.txt", b"#version: 0.2\n\xff b\n", "utf-8"),
        ("x.tiktoken", b"YQ== 1\n", "ranks are not"),
        ("x.tiktoken", b"YQ== 0\n", "first 256"),
    ],
)
def test_damaged_file_is_refused_by_name(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=message) as error:
        Tokenizer.load(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


def test_ids_in_another_order_are_refused(tmp_path: Path, folder: Path) -> None:
    data = json.loads((folder / "tokenizer.json").read_bytes())
    vocabulary = data["model"]["vocab"]
    vocabulary["!"], vocabulary['"'] = vocabulary['"'], vocabulary["!"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(FormatError, match="not in GPT-2's order"):
        Tokenizer.load(tmp_path)


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no tokenizer there"):
        Tokenizer.load(tmp_path)
