"""Help and completion of `webtext-train`: complete, and without torch."""

import re
import subprocess
import sys

import pytest

from trainer import cli


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_every_command_and_flag(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("webtext-train", "rehearse", "eval-tasks", "no-tied", "gpt2-xl", "max-restarts"))


def test_bash_completes_the_trainer(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    cases = {
        "tr": "train",
        "train gpt2-x": "gpt2-xl",
        "train tiny --sched": "--schedule",
        "eval --prec": "--precision",
    }
    for line, expected in cases.items():
        words = f"COMP_WORDS=(webtext-train {line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))"
        code = f'{script}\n{words}\n_webtext_train\necho "${{COMPREPLY[*]}}"'
        done = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, check=True)
        assert (done.stdout.strip(), done.stderr) == (expected, "")


@pytest.mark.parametrize("command", ["train", "sample", "export", "rehearse", "verify", "eval", "explain", "launch", "presets"])
def test_help_of_the_trainer_is_complete_and_imports_no_torch(command: str) -> None:
    program = (
        "import sys\nfrom trainer.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'pyarrow', 'numba', 'matplotlib', 'apache_beam') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, command, "--help"], capture_output=True, text=True, check=True)
    *lines, imported = done.stdout.splitlines()
    text = "\n".join(lines)
    assert text.startswith(f"usage: webtext-train {command}")
    assert imported == "[]"
    assert not re.search(r"\(default: (\)|\(|None|\[)|^ +--[a-z-]+( [A-Z]+)?$\n +-", text, re.MULTILINE)
