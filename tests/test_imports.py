"""Which module may import which: the torch line, each case in a fresh process, and the layers.

Commands that only use a model start without torch. A module imports from its own layer and from
lower ones, never from higher ones, and there is no import cycle.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import charlm as package

CHECK = "import sys; print('torch' in sys.modules)"


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
    light = [name for name in imports_of_charlm() if FLOOR[room(name)] < FLOOR["models"]]
    assert {"charlm.engine", "charlm.generate", "charlm.text.reading"} <= set(light)
    imports = "".join(f"import {module}\n" for module in ["charlm", *light, "charlm.cli"])
    assert not brings_torch(imports)


def test_every_such_module_can_be_imported_first() -> None:
    """Alone, not after the others: no cycle of imports hides behind their order."""
    for module in ("charlm.generate", "charlm.runs", "charlm.surprisal"):
        assert not brings_torch(f"import {module}")


def test_the_test_above_can_fail() -> None:
    assert brings_torch("import charlm.models.bodies")


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


# ------------------------------------------------------------------------------------ the floors

PACKAGE = Path(package.__file__).parent
FLOORS = (
    # Knows no model, no text and no torch.
    "errors config arrays seeds files launch tensorfile display svg statistics extras sealed "
    "cluster parallel itemfacts",
    # Figures and pages, of whatever they are given.
    "drawing webpage",
    # Files to text to ids.
    "text",
    # The NumPy core, the file of a model and the directory of a run.
    "engine bptt mdlstm sampling stopping repeats ranking beam single lockstep generate surprisal "
    "ngram ngramtree mixture counts ladder overlap itemscore newitems checkpoint extending "
    "onelabel lineage rundir runs",
    # Answers about items, and how good they are.
    "tasks",
    # Torch begins here.
    "models",
    "training",
    "inspection",
    "experiments sweeps",
    "cli",
    "__main__",
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms.split()}
"""The floor of every folder and every module at the top, from 0."""

Imports = dict[str, dict[str, int]]
"""For every module those that it imports, each with a line where it does."""


def imports_of(sources: dict[str, str], packages: set[str]) -> Imports:
    """The imports among these modules, also those inside functions and under TYPE_CHECKING."""
    found: Imports = {name: {} for name in sources}
    for name, source in sources.items():
        home = name.split(".") if name in packages else name.split(".")[:-1]
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                above = home[: len(home) - node.level + 1] if node.level else []
                base = ".".join([*above, *filter(None, [node.module])])
                # ``from charlm.text import dataset`` imports the module charlm.text.dataset.
                whole = [f"{base}.{alias.name}" for alias in node.names]
                targets = [each if each in sources else base for each in whole]
            else:
                continue
            for target in targets:
                if target in sources and target != name:
                    found[name].setdefault(target, node.lineno)
    return found


def imports_of_charlm() -> Imports:
    """Without ``charlm`` itself, which imports names of the others only when they are used."""
    sources, packages = {}, set()
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = path.read_text("utf-8")
        if parts[-1] == "__init__":
            packages.add(name)
    del sources["charlm"]
    return imports_of(sources, packages)


def room(module: str) -> str:
    return module.split(".")[1]


def upward(imports: Imports) -> list[str]:
    return [
        f"{module}, line {line}: imports {target} from above"
        for module, targets in imports.items()
        for target, line in targets.items()
        if FLOOR[room(target)] > FLOOR[room(module)]
    ]


def circle(imports: Imports) -> list[str]:
    """Modules that import each other in turn; the first again at the end."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_room_has_its_floor() -> None:
    rooms = {room(module) for module in imports_of_charlm()}
    assert rooms <= FLOOR.keys(), f"which floor of FLOORS are these on: {rooms - FLOOR.keys()}?"


def test_no_module_imports_from_above() -> None:
    assert upward(imports_of_charlm()) == []


def test_no_modules_import_each_other() -> None:
    assert circle(imports_of_charlm()) == []


def test_the_floors_above_can_be_left() -> None:
    """The control, on sources made up for it: each way of importing is seen where it is."""
    sources = {
        "charlm.engine": "import json\ndef f():\n    from charlm.cli import terminal",
        "charlm.cli": "",
        "charlm.cli.terminal": "from .. import engine",
        "charlm.text": "",
        "charlm.text.reading": "import charlm.models.bodies\nfrom charlm import engine",
        "charlm.models.bodies": "from charlm.text.reading import read",
        "charlm.seeds": "if TYPE_CHECKING:\n    from charlm.training.trainer import Trainer",
        "charlm.training.trainer": "from . import optim",
        "charlm.training.optim": "from charlm.errors import CharlmError",
    }
    found = imports_of(sources, {"charlm.cli", "charlm.text"})
    assert sorted(upward(found)) == [
        "charlm.engine, line 3: imports charlm.cli.terminal from above",
        "charlm.seeds, line 2: imports charlm.training.trainer from above",
        "charlm.text.reading, line 1: imports charlm.models.bodies from above",
        "charlm.text.reading, line 2: imports charlm.engine from above",
    ]
    assert found["charlm.training.trainer"] == {"charlm.training.optim": 1}
    assert set(circle(found)) in (
        {"charlm.engine", "charlm.cli.terminal"},
        {"charlm.text.reading", "charlm.models.bodies"},
    )
    assert circle({"charlm.a": {"charlm.b": 1}, "charlm.b": {}}) == []


def test_the_real_imports_are_seen() -> None:
    """Some that are certain, at the top of a file and inside a function."""
    found = imports_of_charlm()
    assert "charlm.arrays" in found["charlm.engine"]
    assert "charlm.cli" in found["charlm.__main__"]
    assert any(room(target) == "training" for target in found["charlm.cli.train"])
    assert sum(map(len, found.values())) > 300
