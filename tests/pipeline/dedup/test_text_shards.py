from pathlib import Path

import pytest

from pipeline.dedup.text_shards import TextId, decode_id, encode_id, spill_texts


def test_each_id_has_a_code_of_its_own() -> None:
    ids: list[TextId] = ["", b"", "a", b"a", "\0", "\0b61", "\0s", b"\0", b"\xff\xfe", "é"]
    codes = [encode_id(key) for key in ids]
    assert len(set(codes)) == len(ids)
    assert [decode_id(code) for code in codes] == ids


def test_an_id_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match=r"1: an id is a str or bytes, not int"):
        encode_id(1)  # type: ignore[arg-type]


def test_equal_ids_give_equal_file_names(tmp_path: Path) -> None:
    shards = [spill_texts(str(tmp_path), ids, ["one", "two"]) for ids in (["a", "b"], ["a", "b"], ["b", "a"])]
    assert shards[0] == shards[1] != shards[2]
    assert shards[0].table(["url", "text"]).to_pydict() == {"url": ["a", "b"], "text": ["one", "two"]}
