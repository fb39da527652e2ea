"""The torch line: what only uses a model starts without torch. Each case is a fresh process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECK = "import sys; print('torch' in sys.modules)"
LIGHT = (
    "charlm",
    "charlm.generate",
    "charlm.engine",
    "charlm.sampling",
    "charlm.surprisal",
    "charlm.ladder",
    "charlm.statistics",
    "charlm.text.reading",
    "charlm.text.tokenizer",
    "charlm.checkpoint",
    "charlm.runs",
    "charlm.text.dataset",
    "charlm.bptt",
    "charlm.cli",
)


def brings_torch(code: str) -> bool:
    """Whether torch has been imported after ``code`` ran, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{CHECK}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1] == "True"


def command(*arguments: object) -> str:
    """Code that runs the command line in its process."""
    return (
        "from charlm.cli import main\n"
        f"try:\n    main({[str(a) for a in arguments]!r})\n"
        "except SystemExit as end:\n    assert not end.code, end.code"
    )


def test_modules_this_side_of_the_line_leave_torch_out() -> None:
    imports = "".join(f"import {module}\n" for module in LIGHT)
    assert not brings_torch(imports)


def test_every_such_module_can_be_imported_first() -> None:
    """Alone, not after the others: no cycle of imports hides behind their order."""
    for module in ("charlm.generate", "charlm.runs", "charlm.surprisal"):
        assert not brings_torch(f"import {module}")


@pytest.mark.parametrize(
    "module",
    [f"charlm.{name}" for name in ("models.bodies", "training.trainer", "training.evaluate")],
)
def test_the_test_above_can_fail(module: str) -> None:
    assert brings_torch(f"import {module}")


def test_import_charlm_alone_brings_not_even_numpy() -> None:
    assert not brings_torch("import charlm, sys; assert 'numpy' not in sys.modules")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["sample", "--help"]])
def test_help_leaves_torch_out(arguments: list[str]) -> None:
    assert not brings_torch(command(*arguments))


def test_using_a_model_leaves_torch_out(trained: Path, corpus: Path) -> None:
    assert not brings_torch(command("sample", trained, "--length", 5))
    assert not brings_torch(command("info", trained))
    assert not brings_torch(command("eval", trained, corpus))


def test_looking_at_a_text_leaves_torch_out(trained: Path, text: str, tmp_path: Path) -> None:
    long = tmp_path / "long.txt"
    long.write_text(text * 20, encoding="utf-8")  # long enough to be read in streams
    assert not brings_torch(command("score", trained, long, "--by", "line"))
    assert not brings_torch(command("inspect", "neurons", trained, long, "--json"))
    assert not brings_torch(command("inspect", "unroll", trained, "il mare"))
    assert not brings_torch(command("sample", trained, "--length", 5, "--show-probs"))


def test_a_wrong_option_of_train_is_refused_without_torch(corpus: Path) -> None:
    run = command("train", corpus, "--dropout", "2").replace(
        "assert not end.code", "assert end.code == 2"
    )
    assert not brings_torch(run)


def test_load_and_sample_leave_torch_out(trained: Path) -> None:
    assert not brings_torch(f"import charlm\ncharlm.load({str(trained)!r}).sample(length=3)")


def test_public_names_are_there() -> None:
    import charlm

    for name in charlm.__all__:
        assert getattr(charlm, name) is not None
