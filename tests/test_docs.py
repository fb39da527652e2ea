"""The docs name existing tests and commands, and their figures are up to date."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

import controls
import make_cli
import pytest

from charlm import cli
from charlm.experiments.measures import Estimate
from charlm.experiments.page import measures as pages
from charlm.experiments.page import report as page_report
from charlm.experiments.page.grid import Grid as PageGrid
from charlm.experiments.position_invariance import measures, report
from charlm.experiments.position_invariance.grid import Grid
from charlm.experiments.tables import percent

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"


def defined(name: str) -> set[str]:
    return set(re.findall(r"^def (test_\w+)", (TESTS / name).read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("page", ["reliability.md"])
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    """``test_a.py::test_b`` in full, or ``::test_b`` after the file was named."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    file, found = "", 0
    for match in re.finditer(r"\b(test_\w+\.py)|::(test_\w+)", text):
        if match[1]:
            file = match[1]
            assert (TESTS / file).exists(), file
            continue
        # A table of one file's tests may name others in between.
        homes = [file, *re.findall(r"`(test_\w+\.py)` takes", text)]
        assert any(match[2] in defined(home) for home in homes), f"{file}::{match[2]}"
        found += 1
    assert found > 50


def test_every_control_still_fits_the_code() -> None:
    for control in controls.CONTROLS:
        source = (ROOT / "charlm" / control.file).read_text("utf-8")
        assert source.count(control.old) == 1, control.what
        file, _, name = control.test.partition(" ")[0].partition("::")
        assert not name or name in defined(file), control.test


def test_the_page_lists_every_control() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    listed = re.findall(r"^\| (.+) \| `test_\w+\.py::test_\w+` \|$", text, re.MULTILINE)
    assert [what for what in listed if what in {c.what for c in controls.CONTROLS}] == [
        control.what for control in controls.CONTROLS
    ]


def test_the_experiments_page_says_what_its_results_say() -> None:
    folder = ROOT / "docs" / "position-invariance"
    results = measures.Results(json.loads((folder / "results.json").read_text("utf-8")))
    page = (ROOT / "docs" / "position-invariance.md").read_text("utf-8")
    assert f"```\n{report.table(results)}\n```" in page
    for sentence in report.findings(results):
        assert f"- {sentence}\n" in page
    assert (folder / "results.csv").read_text("utf-8") == Grid(folder).table(results)
    # What stands in the text, seed by seed and by the distance to the end.
    for part in ("seen", "held out"):
        shares = results.accuracy("feedforward", "none", part).values
        assert ", ".join(f"{100 * share:.1f}" for share in shares) in " ".join(page.split())
    for reader, bins in (("rnn", ("0-9", "10-19")), ("time-delay-last", ("0-9", "20-29", "30-39"))):
        names, rows = results.by_distance(reader)
        for each in bins:
            assert f"{100 * rows.mean(0)[names.index(each)]:.0f} %" in page
    forgetting = page[page.index("- **Forgetting.**") :].partition("\n- ")[0]
    for reader in ("gru", "lstm", "writer-gru", "writer-lstm", "time-delay"):
        _, rows = results.by_distance(reader, "long sentences", (0, 120, 280))
        assert f"{100 * rows.mean(0)[-1]:.1f}" in forgetting
    scored = json.loads((folder / "handwritten.json").read_text("utf-8"))["readers"]
    assert set(scored) == set(results.readers)
    for reader, found in scored.items():
        assert found["count"] == 100
        assert f"| {reader} | {round(100 * found['accuracy'])} |" in page
    for picture in re.findall(r"\]\((position-invariance/[^)]+)\)", page):
        assert (ROOT / "docs" / picture).exists(), picture


def test_the_page_says_what_the_results_with_four_digit_numbers_say() -> None:
    folder = ROOT / "docs" / "position-invariance"
    results = measures.Results(json.loads((folder / "four-digits.json").read_text("utf-8")))
    page = (ROOT / "docs" / "position-invariance.md").read_text("utf-8")
    assert f"```\n{report.table(results)}\n\n{report.error_table(results)}\n```" in page
    handwritten = json.loads((folder / "four-digits-handwritten.json").read_text("utf-8"))
    assert set(handwritten["shares"]) == {*results.readers, "any number", "first number"}
    for reader, found in handwritten["shares"].items():
        cells = [percent(Estimate.of(values)) for values in found.values()]
        assert f"| {reader} | {' | '.join(cells)} |" in page


def test_the_experiment_in_two_dimensions_says_what_its_results_say() -> None:
    folder = ROOT / "docs" / "page"
    results = pages.Results(json.loads((folder / "results.json").read_text("utf-8")))
    page = (ROOT / "docs" / "page.md").read_text("utf-8")
    assert f"```\n{page_report.table(results)}\n```" in page
    for sentence in page_report.findings(results):
        assert f"- {sentence}\n" in page
    assert (folder / "results.csv").read_text("utf-8") == PageGrid(folder).table(results)
    scored = json.loads((folder / "handwritten.json").read_text("utf-8"))["readers"]
    assert set(scored) == set(results.main)
    for reader, found in scored.items():
        right = [round(found["count"] * found[answer]) for answer in pages.ANSWERS]
        assert f"| {reader} | {right[0]} | {right[1]} |" in page
        assert found["count"] == 12


@pytest.mark.parametrize("page", ["README.md", "docs/looking-inside.md", "docs/page.md"])
def test_every_picture_is_there(page: str) -> None:
    path = ROOT / page
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", path.read_text("utf-8"))
    assert len(pictures) >= 2
    for picture in pictures:
        assert (path.parent / picture).exists(), picture


@pytest.mark.parametrize(
    ("picture", "control"),
    [
        ("score", "chance"),
        ("sample", "chance"),
        ("compare", "chance"),
        ("unroll", "chance"),
        ("neurons", "chance"),
        ("neurons", "random"),
        ("gradients", "untrained"),
        ("memory", "untrained"),
    ],
)
def test_every_picture_shows_its_control(picture: str, control: str) -> None:
    assert control in (ROOT / "docs" / "pictures" / f"{picture}.svg").read_text("utf-8")


def test_every_room_is_drawn_in_the_code_layout() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    layout = page.partition("\ncharlm/\n")[2].partition("\n```")[0]
    for path in sorted((ROOT / "charlm").iterdir()):
        if not path.name.startswith("__") and (
            path.suffix == ".py" or (path / "__init__.py").exists()
        ):
            name = path.name if path.suffix else f"{path.name}/"
            assert re.search(rf"^ +{name} +\S", layout, re.MULTILINE), f"{name}: draw it there"


# Other versions of click break and order the lines of --help in other ways.
CLICK = f"click=={version('click')}" in (ROOT / "constraints.txt").read_text("utf-8").split()


@pytest.mark.skipif(not CLICK, reason="needs the version of click that constraints.txt names")
def test_the_reference_of_the_command_line_says_what_help_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make_cli.main(["--check"]) == 0, "run make docs"
    # The control: with a help text that is another one, it is not up to date.
    monkeypatch.setattr(cli.main, "help", "Something else.")
    assert make_cli.main(["--check"]) == 1
    monkeypatch.setattr(make_cli, "PAGE", tmp_path / "cli.md")
    assert make_cli.main(["--check"]) == 1
    assert make_cli.main([]) == make_cli.main(["--check"]) == 0


def test_every_command_and_option_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    for name in cli._COMMANDS:
        assert f"\n## charlm {name}\n" in text
    assert "--learning-rate" in text
    assert "## charlm experiment position-invariance ask\n" in text
    assert "## charlm experiment page score\n" in text


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for name in cli._COMMANDS:
        assert f"charlm {name}" in text, name
