import subprocess
import sys
from pathlib import Path

PART = """
from tokenizer.compiled import compiled
WIDTH = {}

@compiled
def width():
    return WIDTH
"""
WHOLE = """
from tokenizer.compiled import compiled
from cut.part import width

@compiled
def twice():
    return 2 * width()

print(twice())
"""


def test_code_is_compiled_again_when_a_file_it_inlines_changes(tmp_path: Path) -> None:
    package = tmp_path / "cut"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "whole.py").write_text(WHOLE)
    for width in (3, 5):
        (package / "part.py").write_text(PART.format(width))
        run = subprocess.run([sys.executable, "-c", "import cut.whole"], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert int(run.stdout) == 2 * width
    assert list(package.glob("__pycache__/*.nbc"))
