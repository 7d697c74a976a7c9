"""What a manifest has no room for is refused before the work."""

import pytest

from pipeline.storage.manifest import MOST_FILES, check_room
from tokenizer.errors import InputError


@pytest.mark.parametrize("files", [1, 2, 4, 5])
def test_parts_are_refused_from_the_first_that_has_no_room(files: int) -> None:
    check_room("corpus/documents", MOST_FILES // files, files)
    with pytest.raises(
        InputError, match=f"corpus/documents: .* parts would make up to .* has room for {MOST_FILES:,}; .* webtext join"
    ):
        check_room("corpus/documents", MOST_FILES // files + 1, files)
    parts = MOST_FILES // files
    check_room("corpus/documents", parts - 1, files, files)
    with pytest.raises(InputError, match=f"{parts:,} parts would make up to {parts * files + files:,} files"):
        check_room("corpus/documents", parts, files, files)
