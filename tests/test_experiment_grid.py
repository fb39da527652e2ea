"""The grid: each cell is computed once, however often it is interrupted, and results are complete.

Processes take seconds to start and do not see monkeypatches, so only one grid is run in processes
and interrupted. All others are computed in this process, with the same functions and number of
threads, so that the results are bit-identical.
"""

from __future__ import annotations

import _thread
import base64
import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import safetensors
import torch
from safetensors.numpy import load_file, save_file

import charlm
from charlm import sealed
from charlm.errors import CharlmError, CheckpointError, RequestError
from charlm.experiments.position_invariance import grid as grids
from charlm.experiments.position_invariance import measures, mistakes, plots, report, store
from charlm.experiments.position_invariance.ask import Panel
from charlm.experiments.position_invariance.design import Design
from charlm.experiments.position_invariance.examples import Example
from charlm.experiments.position_invariance.grid import Bench, Grid, Settings, first_answer, judge
from charlm.experiments.position_invariance.readers import (
    END,
    KINDS,
    SEPARATOR,
    AnyReader,
    Reader,
    Vocabulary,
    Writer,
    build,
    shape,
)
from charlm.experiments.store import FORMAT
from charlm.parallel import Workers

ANSWERS = tuple(str(year) for year in range(1990, 2002))
# A template costs the processes a tenth of what the Italian grammar does. This one has every level,
# with the answer in front and at the end.
DESIGN = Design(
    trained=ANSWERS[:9],
    held_out=ANSWERS[9:],
    common=ANSWERS[:9],
    lines=(
        ("I went to ", "place", " in ", "slot", "."),
        ("", "slot", ", ", "count", " friends"),
        ("", "count", " friends, ", "slot", ""),
        ("", "slot", " after ", "other", ""),
        ("", "other", " before ", "slot", ""),
    ),
    fillers={
        "slot": ANSWERS,
        "place": ("Rome", "Nepal"),
        "count": ("3", "12"),
        "other": ("1990", "1991"),
    },
    asked="slot",
)
SETTINGS = Settings(("feedforward", "time-delay"), seeds=2, steps=2, per_offset=1)
JOBS = os.cpu_count() or 1
"""So that each process has one thread, as this one has."""

Progress = Callable[[int, int], None]


def quiet(done: int, total: int) -> None:
    pass


def begin(path: Path, settings: Settings = SETTINGS) -> Grid:
    made = Grid(path)
    made.begin(DESIGN, settings)
    return made


@pytest.fixture(scope="module", autouse=True)
def small_pools() -> Iterator[None]:
    """Sentences in the hundreds are enough for a vocabulary and for tests of 117 offsets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Design.pool, "__defaults__", (3000,))
        patch.setattr(grids, "VOCABULARY_FROM", 500)
        # The 5,000 sentences whose commonest answer is the floor.
        real = Design.training
        fewer = {5000: 100}

        def training(self: Design, seed: int, count: int) -> list[Example]:
            return real(self, seed, fewer.get(count, count))

        patch.setattr(Design, "training", training)
        yield


RunCell = Callable[[Grid, str, int], None]


@contextmanager
def in_this_process() -> Iterator[RunCell]:
    """A way to compute a cell as one of the processes does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    benches: dict[int, Bench] = {}

    def run(made: Grid, name: str, seed: int) -> None:
        benches.setdefault(id(made), Bench(made)).run(name, seed)

    try:
        yield run
    finally:
        torch.set_num_threads(threads)


@pytest.fixture
def run_here() -> Iterator[RunCell]:
    with in_this_process() as run:
        yield run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    """A grid that was computed in one go; tests only read it."""
    made = begin(tmp_path_factory.mktemp("whole") / "grid")
    with in_this_process() as run:
        for cell in SETTINGS.cells():
            run(made, *cell)
    made.collect()
    return made


@pytest.fixture
def copy(whole: Grid, tmp_path: Path) -> Grid:
    """A copy that a test may damage."""
    shutil.copytree(whole.path, tmp_path / "copy")
    return Grid(tmp_path / "copy")


def outcome(made: Grid) -> dict[str, Any]:
    """All results of a grid, without the times."""
    found: dict[str, Any] = {}
    for cell in made.settings.cells():
        content = json.loads(made.cell(*cell).read_text())
        del content["seconds"], content["seconds_training"], content["sha256"]
        with safetensors.safe_open(made.cell(*cell, "safetensors"), framework="numpy") as file:
            found["-".join(map(str, cell))] = content, file.metadata()["sha256"]
    return found


def stamps(made: Grid) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (made.path / "cells").iterdir()}


def workers_of_joblib() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if any("popen_loky" in word for word in child.cmdline()):
                found.append(child)
    return found


def no_child_is_left() -> bool:
    """Killed processes take a moment to be gone."""
    deadline = time.monotonic() + 20
    while workers_of_joblib() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not workers_of_joblib()


# ------------------------------------------------------------------------------- run and run again


def test_a_grid_is_weights_and_answers_of_every_cell(whole: Grid) -> None:
    assert whole.unfinished() == []
    assert {path.name for path in (whole.path / "cells").iterdir()} == {
        f"{reader}-{seed}.{ending}"
        for reader in SETTINGS.readers
        for seed in (1, 2)
        for ending in ("json", "safetensors")
    }
    # Different seeds are different weights.
    assert len({digest for _, digest in outcome(whole).values()}) == 4


def test_seed_by_seed_so_that_sentences_are_made_once() -> None:
    cells = Settings(("rnn", "gru"), seeds=3, steps=1, per_offset=1).cells()
    assert cells == [("gru", 1), ("rnn", 1), ("gru", 2), ("rnn", 2), ("gru", 3), ("rnn", 3)]


def test_a_finished_cell_is_never_computed_again(copy: Grid) -> None:
    before = stamps(copy)
    told: list[tuple[int, int]] = []
    copy.run(Workers(JOBS), lambda done, total: told.append((done, total)))
    copy.collect()
    assert stamps(copy) == before
    assert told == []


def test_an_interrupted_grid_goes_on_and_ends_as_if_it_had_not_been(
    whole: Grid, tmp_path: Path
) -> None:
    """With real processes, the second time to the end."""
    made = begin(tmp_path / "grid")
    told: list[tuple[int, int]] = []

    def interrupt(done: int, total: int) -> None:
        if len(made.unfinished()) < 4 and not told:
            told.append((done, total))
            _thread.interrupt_main()

    with pytest.raises(KeyboardInterrupt):
        made.run(Workers(JOBS), interrupt)
    assert no_child_is_left()
    missing = made.unfinished()
    assert 0 < len(missing) < 4
    finished = [cell for cell in SETTINGS.cells() if cell not in missing]
    before = {cell: made.cell(*cell).stat().st_mtime_ns for cell in finished}

    told.clear()
    made.run(Workers(JOBS), lambda done, total: told.append((done, total)))
    assert no_child_is_left()
    assert {cell: made.cell(*cell).stat().st_mtime_ns for cell in finished} == before
    # Progress counts what this call has to do, and ends where all of it is done.
    assert {total for _, total in told} == {len(missing) * SETTINGS.steps}
    done = [each for each, _ in told]
    assert done == sorted(done)
    assert done[-1] == len(missing) * SETTINGS.steps
    assert outcome(made) == outcome(whole)
    made.collect()
    for name in ("results.csv", "tests.json", "config.json"):
        assert (made.path / name).read_text() == (whole.path / name).read_text()


def test_processes_that_are_killed_again_and_again_are_an_error_of_one_line(
    tmp_path: Path,
) -> None:
    """As the system does if memory is short."""
    made = begin(tmp_path / "grid")

    def kill(done: int, total: int) -> None:
        for process in workers_of_joblib():
            process.kill()

    with pytest.raises(CharlmError, match=r"killed 3 times.*--resume"):
        made.run(Workers(JOBS), kill)
    assert no_child_is_left()
    assert made.unfinished() == SETTINGS.cells()


def test_the_cells_of_a_killed_process_are_computed_by_another(whole: Grid, tmp_path: Path) -> None:
    made = begin(tmp_path / "grid")
    killed: list[int] = []

    def kill(done: int, total: int) -> None:
        if not killed and len(made.unfinished()) < 4:
            for process in workers_of_joblib()[:1]:
                process.kill()
                killed.append(process.pid)

    made.run(Workers(JOBS), kill)
    assert killed
    assert no_child_is_left()
    assert outcome(made) == outcome(whole)


DRIVER = """
import sys
from pathlib import Path
from charlm.experiments.position_invariance.grid import Grid
from charlm.parallel import Workers

if __name__ == "__main__":
    Grid(Path(sys.argv[1])).run(Workers(int(sys.argv[2])), lambda done, total: None)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs process groups")
def test_a_grid_whose_whole_process_group_was_killed_goes_on(whole: Grid, tmp_path: Path) -> None:
    made = begin(tmp_path / "grid")
    (tmp_path / "driver.py").write_text(DRIVER)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "driver.py"), str(made.path), str(JOBS)],
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while len(made.unfinished()) == 4:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 0 < len(made.unfinished()) < 4
    made.run(Workers(JOBS), quiet)
    assert outcome(made) == outcome(whole)


# ------------------------------------------------------------------------- a cell, in this process


def test_weights_are_written_before_the_cell_counts_as_finished(
    run_here: RunCell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a cell that is interrupted between the two would never get its weights."""
    made = begin(tmp_path / "grid", Settings(("time-delay",), seeds=1, steps=1, per_offset=1))

    def broken_off(path: Path, value: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sealed, "write", broken_off)
        with pytest.raises(KeyboardInterrupt):
            run_here(made, "time-delay", 1)
    assert made.unfinished() == [("time-delay", 1)]
    assert made.cell("time-delay", 1, "safetensors").exists()
    run_here(made, "time-delay", 1)
    assert made.unfinished() == []


def test_every_reader_of_a_seed_reads_the_same_sentences_and_every_seed_others(
    run_here: RunCell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, bytes]] = []

    def train(kind: Any, words: Vocabulary, material: Any, validation: Any, **more: Any) -> Any:
        assert {each.answer for each in validation} <= set(DESIGN.trained)
        seen.append((more["seed"], material.ids.tobytes()))
        return build(kind, shape(kind, words, 1000), words, 1), []

    monkeypatch.setattr("charlm.experiments.position_invariance.training.train", train)
    made = begin(tmp_path / "grid")
    for cell in SETTINGS.cells():
        run_here(made, *cell)
    assert [seed for seed, _ in seen] == [1, 1, 2, 2]
    (_, one), (_, same), (_, other), _ = seen
    assert one == same
    assert one != other


def test_what_a_cell_says_is_what_the_reader_in_its_file_answers(whole: Grid) -> None:
    words = store.vocabulary(whole.config)
    tests = whole.tests
    for name, seed in whole.settings.cells():
        cell = json.loads(whole.cell(name, seed).read_text())
        reader = store.load(whole.cell(name, seed, "safetensors"), name, words)
        assert cell["reader"] == name
        assert cell["seed"] == seed
        assert cell["parameters"] == sum(p.numel() for p in reader.parameters())
        assert cell["hidden_size"] == reader.config.hidden_size
        assert [point["step"] for point in cell["curve"]] == [1, 2]
        assert set(cell["tests"]) == set(tests)
        for test, sentences in tests.items():
            answers = reader.answers([each.text for each in sentences])
            longest = 128 if name == "feedforward" else None
            assert cell["tests"][test] == judge(answers, sentences, DESIGN, longest)
    unread = {
        name: json.loads(whole.cell(name, 1).read_text())["tests"]["long sentences"]["unread"]
        for name in SETTINGS.readers
    }
    assert unread["time-delay"] == 0
    assert unread["feedforward"] == sum(len(e.text) > 128 for e in tests["long sentences"]) > 0


# ---------------------------------------------------------------------------------------- judgement


def unpacked(text: str, *shape: int) -> list[Any]:
    """Truth values from base64, bit by bit."""
    bits = "".join(f"{byte:08b}" for byte in base64.b64decode(text))
    values = np.array([bit == "1" for bit in bits[: int(np.prod(shape))]]).reshape(shape)
    assert set(bits[int(np.prod(shape)) :]) <= {"0"}
    found: list[Any] = values.tolist()
    return found


def example(answer: str, length: int = 10) -> Example:
    return Example(answer.ljust(length, "."), answer, 0, "none")


def wide(width: int) -> Design:
    """A question about numbers, whose longest answer has that many characters."""
    return Design(("1" * width,), (), ("1" * width,))


def test_judge_by_hand() -> None:
    sentences = [example("2009"), example("1969"), example("77"), example("2010"), example("1", 30)]
    found = ["2009", "1669", "7", "", "12"]
    judged = judge(found, sentences, wide(4), 20)
    assert unpacked(judged["right"], 5) == [True, False, False, False, False]
    assert unpacked(judged["symbols_right"], 5, 4) == [
        [True, True, True, True],
        [True, False, True, True],
        [True, False, True, True],  # neither goes on: nothing is what should be there
        [False, False, False, False],
        [True, False, True, True],
    ]
    assert judged["unread"] == 1
    assert judged["errors"] == [
        {"text": each.text, "answer": each.answer, "found": said}
        for each, said in list(zip(sentences, found, strict=True))[1:]
    ]
    assert judge(found, sentences, wide(4), None)["unread"] == 0
    assert judge(["1"], [example("1", 20)], wide(1), 20)["unread"] == 0


def test_kinds_of_errors_by_hand() -> None:
    text = "Nel 2009, stanza 1407, 850 lire e 12345 passi."
    asked = Example(text, "2009", 4, "four digits")
    kinds = {
        "2009": "",
        "1407": mistakes.WRONG_NUMBER,
        "1409": mistakes.NOT_IN_SENTENCE,  # its digits are there, the number is not
        "20091407": mistakes.NOT_IN_SENTENCE,
        "1234": mistakes.REST,  # a piece of another number
        "stan": mistakes.REST,
        "850": mistakes.REST,  # no four digits
        "": mistakes.REST,
    }
    pattern = wide(4).any_answer
    assert {said: mistakes.kind_of(said, asked, pattern) for said in kinds} == kinds
    judged = judge(list(kinds), [asked] * 8, wide(4), None)
    assert unpacked(judged["right"], 8) == [True] + [False] * 7
    assert unpacked(judged["wrong_number"], 8) == [False, True] + [False] * 6
    assert unpacked(judged["not_in_sentence"], 8) == [False] * 2 + [True] * 2 + [False] * 4


def test_a_random_choice_among_the_numbers_by_hand() -> None:
    sentences = [
        Example("Nel 2009.", "2009", 4, "none"),
        Example("Nel 2009, stanza 1407.", "2009", 4, "four digits"),
        Example("1407, 1300, 850, 2009", "2009", 17, "four digits"),
        Example("2009, 2009 e 1300", "2009", 0, "four digits"),
        Example("12345", "1234", 0, "none"),
    ]
    found = mistakes.chances(sentences, wide(4).any_answer)
    assert found == pytest.approx([1, 1 / 2, 1 / 3, 2 / 3, 0], abs=1e-6)
    # Of a template its own answers count, not numbers.
    towns = Design(("Rome", "Oslo"), (), ("Rome", "Oslo"), (("To ", "slot"),), {}, "slot")
    assert mistakes.chances([Example("From Oslo to Rome", "Rome", 13, "years")], towns.any_answer)[
        0
    ] == pytest.approx(1 / 2)


def test_an_answer_that_is_too_long_is_wrong() -> None:
    judged = judge(["20091"], [example("2009")], wide(4), None)
    assert unpacked(judged["right"], 1) == [False]
    assert unpacked(judged["symbols_right"], 1, 4) == [[True] * 4]


def test_of_many_errors_some_from_everywhere_are_kept() -> None:
    sentences = [example(f"{n:03}") for n in range(100)]
    found = [each.answer if n % 2 else "x" for n, each in enumerate(sentences)]
    kept = [int(error["answer"]) for error in judge(found, sentences, wide(3), None)["errors"]]
    assert len(kept) == grids.ERRORS_KEPT
    assert kept == sorted(set(kept))
    assert all(number % 2 == 0 for number in kept)
    assert (kept[0], kept[-1]) == (0, 98)


def test_the_first_answer_is_what_a_regular_expression_finds() -> None:
    italian = Design(("2009",), (), ("2009",))
    assert first_answer("Nel 1969 e nel 2009", italian) == "1969"
    assert first_answer("Il 12345 e 123 e 20091 e x1987x", italian) == "1987"
    assert first_answer("niente 123", italian) == ""
    template = Design(
        ("red", "red wine"), ("a.b",), ("red",), lines=(("", "s", ""),), fillers={"s": ()}
    )
    assert first_answer("a red wine", template) == "red wine"
    assert first_answer("axb a.b red", template) == "a.b"
    assert first_answer("nothing", template) == ""


# ------------------------------------------------------------------------------------------ results


def test_results_json_is_enough_to_draw_everything_again(whole: Grid, tmp_path: Path) -> None:
    alone = tmp_path / "elsewhere.json"
    alone.write_bytes(whole.results_file.read_bytes())
    results = measures.Results(json.loads(alone.read_bytes()))
    direct = measures.Results(whole.collect().content)
    assert report.table(results) == report.table(direct)
    assert report.strips(results) == report.strips(direct)
    assert report.findings(results) == report.findings(direct)
    assert len(report.findings(results)) == 2
    drawn = plots.draw_all(results, tmp_path / "figures")
    assert {path.suffix for path in drawn} == {".svg", ".png"}
    for path in drawn:
        assert path.stat().st_size > 5000, path
    names = {path.stem for path in drawn}
    assert names == {"offsets", "every-reader", "offset-by-length", "distance", "learning-curves"}


def test_results_csv_agrees_with_results_json(whole: Grid) -> None:
    """Counted again from the truth values, without the code that wrote them."""
    content = json.loads(whole.results_file.read_text())
    with (whole.path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    allowed = {
        "seen": set(content["config"]["seen_starts"]),
        "held out": set(content["config"]["held_out_starts"]),
        "all": set(range(1000)),
    }
    assert allowed["seen"].isdisjoint(allowed["held out"])
    expected = []
    for reader in SETTINGS.readers:
        for seed in (1, 2):
            (cell,) = (
                each
                for each in content["cells"]
                if (each["reader"], each["seed"]) == (reader, seed)
            )
            for test, facts in content["tests"].items():
                right = unpacked(cell["tests"][test]["right"], len(facts["start"]))
                symbols = unpacked(cell["tests"][test]["symbols_right"], 4 * len(right))
                errors = [
                    unpacked(cell["tests"][test][error], len(right))
                    for error in ("wrong_number", "not_in_sentence")
                ]
                for part, starts in allowed.items():
                    counted = [r for r, s in zip(right, facts["start"], strict=True) if s in starts]
                    if counted:
                        where = [reader, str(seed), test, part, str(len(counted))]
                        each = [
                            [
                                s
                                for s, f in zip(symbols[k::4], facts["start"], strict=True)
                                if f in starts
                            ]
                            for k in range(4)
                        ]
                        each += [
                            [w for w, s in zip(wrong, facts["start"], strict=True) if s in starts]
                            for wrong in errors
                        ]
                        figures = [f"{sum(c) / len(c):.6f}" for c in (counted, *each)]
                        expected.append([*where, *figures])
    assert [list(row.values()) for row in rows] == expected
    assert {row["test"] for row in rows} == {
        "none",
        "numbers",
        "years",
        "held-out answers",
        "long sentences",
    }


def test_floor_and_ceiling_are_those_of_the_two_simplest_programs(whole: Grid) -> None:
    results = measures.Results(json.loads(whole.results_file.read_text()))
    asked = [each.answer for each in DESIGN.training(1, 5000)]
    commonest = max(set(asked), key=asked.count)
    assert results.floor("none") > 0
    for test, sentences in whole.tests.items():
        # The floor gives one answer always, the commonest of training.
        share = np.mean([each.answer == commonest for each in sentences])
        assert results.floor(test) == pytest.approx(share)
        found = [first_answer(each.text, DESIGN) == each.answer for each in sentences]
        assert results.ceiling(test) == pytest.approx(np.mean(found))
    assert results.floor("held-out answers") == 0  # they are never asked for in training
    assert results.ceiling("none") == 1


def test_what_is_finished_can_be_collected_before_the_rest(copy: Grid) -> None:
    for ending in ("json", "safetensors"):
        copy.cell("feedforward", 1, ending).unlink()
        copy.cell("feedforward", 2, ending).unlink()
        copy.cell("time-delay", 2, ending).unlink()
    results = copy.collect()
    assert results.readers == ["time-delay"]
    assert results.seeds("time-delay") == [1]
    assert copy.unfinished() == [("feedforward", 1), ("time-delay", 2), ("feedforward", 2)]
    copy.cell("time-delay", 1).unlink()
    with pytest.raises(CharlmError, match="no reader is finished yet; continue with --resume"):
        copy.collect()


# ---------------------------------------------------------------------------------- begin and find


def test_begin_writes_down_what_is_asked(tmp_path: Path) -> None:
    settings = Settings(("rnn", "writer-gru"), seeds=7, steps=123, per_offset=1)
    made = begin(tmp_path / "a" / "b", settings)
    found = Grid.find(str(tmp_path / "a" / "b"))
    assert found.settings == settings
    assert found.design == DESIGN
    assert found.tests == DESIGN.tests(1)
    assert found.unfinished() == settings.cells()
    # The characters that the tests hold are known, but for rare ones.
    words = store.vocabulary(made.config)
    text = "".join(each.text for each in found.tests["none"])
    assert len(words.tokenizer.unseen(text)) < 0.001 * len(text)


def test_begin_refuses_to_begin_again(whole: Grid) -> None:
    before = {path: path.read_bytes() for path in whole.path.rglob("*") if path.is_file()}
    with pytest.raises(RequestError, match=r"already contains an experiment.*--resume.*--out"):
        whole.begin(DESIGN, SETTINGS)
    assert {path: path.read_bytes() for path in before} == before


def test_where_nothing_can_be_written_begin_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CharlmError, match="choose another --out"):
            begin(path)
    assert (tmp_path / "file").read_text() == ""


def test_an_experiment_is_not_there_until_all_of_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    real = sealed.write

    def full(path: Path, value: Any) -> None:
        written.append(path.name)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        real(path, value)

    with monkeypatch.context() as patch:
        patch.setattr(sealed, "write", full)
        with pytest.raises(CharlmError, match="No space left on device"):
            begin(tmp_path / "grid")
    with pytest.raises(RequestError, match="contains no experiment"):
        Grid.find(str(tmp_path / "grid"))
    begin(tmp_path / "grid")  # so it can be begun again
    assert Grid.find(str(tmp_path / "grid")).settings == SETTINGS


def test_find_says_what_is_missing_and_how_to_make_it(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(RequestError) as caught:
            Grid.find(str(path))
        assert f"{path} contains no experiment" in str(caught.value)
        assert f"charlm experiment position-invariance --out {path}" in str(caught.value)


def test_an_experiment_of_another_version_is_refused(copy: Grid) -> None:
    copy.config_file.write_text(json.dumps(copy.config | {"format": "charlm-x/9"}))
    with pytest.raises(CheckpointError, match="not an experiment of this version of charlm"):
        Grid.find(str(copy.path))


# ------------------------------------------------------------------------------------------- damage


def use(made: Grid) -> None:
    """Whatever the commands do with a finished experiment."""
    found = Grid.find(str(made.path))
    assert found.settings
    assert found.unfinished() == []
    panel = Panel(found)
    for name in SETTINGS.readers:
        panel.answers(name, ["I went to Rome in 1999."])
    report.table(panel.results)


def refused(made: Grid, file: Path) -> str:
    """One line that names the file and says what to do."""
    with pytest.raises(CheckpointError) as caught:
        use(made)
    message = str(caught.value)
    assert "\n" not in message
    assert str(file) in message
    assert "remove" in message or "choose another --out" in message, message
    return message


def test_the_use_of_a_whole_experiment_is_no_error(copy: Grid) -> None:
    """Without this, what follows would hold for a ``use`` that always fails."""
    use(copy)


@pytest.mark.parametrize(
    "data",
    [b"", b'{"a": 1', b"[1]", b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "cut off", "list", "bytes", "deep"],
)
@pytest.mark.parametrize("name", ["config.json", "tests.json", "cells/time-delay-2.json"])
def test_a_file_that_is_no_object_is_refused(copy: Grid, name: str, data: bytes) -> None:
    (copy.path / name).write_bytes(data)
    refused(copy, copy.path / name)


def _spoil_right(value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda cell: cell["tests"]["none"].update(right=value)


CELL = "cells/time-delay-2.json"
CHANGES: list[tuple[str, str, Callable[[dict[str, Any]], Any]]] = [
    (CELL, "no tests", lambda cell: cell.pop("tests")),
    (CELL, "a test fewer", lambda cell: cell["tests"].pop("none")),
    (CELL, "another reader", lambda cell: cell.update(reader="feedforward")),
    (CELL, "another seed", lambda cell: cell.update(seed=9)),
    (CELL, "truth cut off", _spoil_right("AAAA")),
    (CELL, "truth that is none", _spoil_right("Ü")),
    ("config.json", "no readers", lambda config: config.pop("readers")),
    ("config.json", "a reader that is none", lambda config: config.update(readers=["gnu"])),
    ("config.json", "seeds in words", lambda config: config.update(seeds="two")),
    ("config.json", "no steps", lambda config: config.update(steps=None)),
    ("config.json", "another width", lambda config: config.update(width=3)),
    ("config.json", "no characters", lambda config: config.pop("characters")),
    ("config.json", "half a design", lambda config: config["design"].pop("common")),
    ("tests.json", "a test fewer", lambda tests: tests.pop("none")),
    ("tests.json", "a sentence fewer", lambda tests: tests["none"].pop()),
    ("tests.json", "half a sentence", lambda tests: tests["none"][0].pop("start")),
]


@pytest.mark.parametrize(
    ("name", "change"),
    [(name, change) for name, _, change in CHANGES],
    ids=[f"{name}: {what}" for name, what, _ in CHANGES],
)
def test_a_file_that_says_something_else_is_refused(
    copy: Grid, name: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    file = copy.path / name
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    refused(copy, file)


def test_missing_files_are_named(copy: Grid) -> None:
    for file in (copy.tests_file, copy.cell("time-delay", 2, "safetensors")):
        kept = file.read_bytes()
        file.unlink()
        refused(copy, file)
        file.write_bytes(kept)


@pytest.mark.parametrize("ending", ["json", "safetensors"])
def test_the_remedy_for_a_damaged_cell_works(
    copy: Grid, whole: Grid, run_here: RunCell, ending: str
) -> None:
    """The JSON is what counts as finished: to remove the weights alone would not bring them back,
    so the message has to name it."""
    file = copy.cell("time-delay", 2, ending)
    file.write_bytes(file.read_bytes()[:-5])
    message = refused(copy, file)
    assert "--resume" in message
    named = [name for name in ("time-delay-2.json", "time-delay-2.*") if name in message]
    assert named, message
    for each in (copy.path / "cells").glob(named[-1]):
        each.unlink()
    for cell in copy.unfinished():
        run_here(copy, *cell)
    use(copy)
    assert outcome(copy) == outcome(whole)


@pytest.mark.parametrize("name", ["config.json", "tests.json"])
def test_no_remedy_is_promised_that_does_not_work(copy: Grid, name: str) -> None:
    """What is asked cannot be asked again once it is removed, unless --resume writes it anew."""
    (copy.path / name).write_bytes(b"{")
    message = refused(copy, copy.path / name)
    if "--resume" in message:
        (copy.path / name).unlink()
        found = Grid.find(str(copy.path))
        found.run(Workers(), quiet)
        found.collect()


def test_cells_of_an_experiment_that_is_gone_are_not_taken_for_finished(copy: Grid) -> None:
    """They answered other tests, after other training."""
    copy.config_file.unlink()
    settings = Settings(SETTINGS.readers, seeds=2, steps=50, per_offset=2)
    try:
        copy.begin(DESIGN, settings)
    except CharlmError:
        return
    assert copy.unfinished() == settings.cells()


# ----------------------------------------------------------------------------------------- weights

SENTENCES = ["I went to Rome in 1999.", "1990, Nepal", "In Rome? 2001!", "Rome"]


@pytest.fixture(scope="module")
def words(whole: Grid) -> Vocabulary:
    return store.vocabulary(whole.config)


def saved(name: str, words: Vocabulary, path: Path) -> AnyReader:
    """A reader with weights of no training, loud enough that its answers differ."""
    kind = KINDS[name]
    reader = build(kind, shape(kind, words), words, 5)
    with torch.no_grad():
        reader.head.weight *= 20
        reader.head.bias.add_(torch.linspace(-0.5, 0.5, len(reader.head.bias)))
    store.save(path, reader.eval())
    return reader


@pytest.mark.parametrize("name", KINDS)
def test_a_reader_comes_back_as_it_was(name: str, words: Vocabulary, tmp_path: Path) -> None:
    file = tmp_path / "reader.safetensors"
    reader = saved(name, words, file)
    again = store.load(file, name, words)
    assert type(again) is type(reader)
    assert not again.training
    before, after = dict(reader.named_parameters()), dict(again.named_parameters())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert again.answers(SENTENCES) == reader.answers(SENTENCES)


@pytest.mark.parametrize("name", ["time-delay", "bilstm", "writer-gru"])
def test_a_changed_byte_is_refused_wherever_it_is(
    name: str, words: Vocabulary, tmp_path: Path
) -> None:
    file = tmp_path / "reader.safetensors"
    saved(name, words, file)
    data = file.read_bytes()
    header = int.from_bytes(data[:8], "little")
    rng = np.random.default_rng(3)
    places = [0, 3, 8, 9, *rng.integers(8, 8 + header, 12), *rng.integers(8 + header, len(data), 6)]
    padding = data[8 : 8 + header].rstrip()
    for place in map(int, [*places, len(data) - 1]):
        if 8 + len(padding) <= place < 8 + header:
            continue  # spaces behind the header mean nothing
        spoilt = bytearray(data)
        spoilt[place] ^= 1
        file.write_bytes(spoilt)
        with pytest.raises(CheckpointError, match=str(file)):
            store.load(file, name, words)
    for length in (0, 4, 8, 100, 8 + header, len(data) - 1):
        file.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=str(file)):
            store.load(file, name, words)


def test_a_reader_of_another_kind_or_vocabulary_is_refused(
    words: Vocabulary, tmp_path: Path
) -> None:
    more = Vocabulary.of([words.tokenizer.characters + "\N{SNOWMAN}"], words.alphabet, 4)
    for name, other in (
        ("lstm", "tagger"),
        ("time-delay", "time-delay-last"),
        ("lstm", "writer-lstm"),
        ("writer-lstm", "lstm"),
        ("writer-gru", "writer-rnn"),
    ):
        file = tmp_path / f"{name}.safetensors"
        saved(name, words, file)
        with pytest.raises(CheckpointError, match=f"not the {other} of this|cannot|not a charlm"):
            store.load(file, other, words)
        with pytest.raises(CheckpointError):
            store.load(file, name, more)


def test_weights_that_are_no_numbers_are_refused(words: Vocabulary, tmp_path: Path) -> None:
    """Even with a checksum that fits."""
    file = tmp_path / "reader.safetensors"
    reader = saved("rnn", words, file)
    with torch.no_grad():
        reader.head.bias[0] = float("nan")
    store.save(file, reader)
    with pytest.raises(CheckpointError, match="damaged"):
        store.load(file, "rnn", words)


def test_metadata_that_charlm_does_not_write_is_refused(words: Vocabulary, tmp_path: Path) -> None:
    file = tmp_path / "reader.safetensors"
    saved("rnn", words, file)
    with safetensors.safe_open(file, framework="numpy") as opened:
        metadata = opened.metadata()
    tensors = load_file(file)
    for changed in (
        None,
        {},
        {"format": FORMAT},
        metadata | {"format": "charlm/1"},
        metadata | {"config": "{"},
        metadata | {"config": "{}"},
        metadata | {"reader": "gru"},
        {key: value for key, value in metadata.items() if key != "config"},
    ):
        for with_seal in (False, True):
            if with_seal and changed:
                changed["sha256"] = charlm.tensorfile.digest(changed, tensors)
            save_file(tensors, file, changed)
            with pytest.raises(CheckpointError):
                store.load(file, "rnn", words)


@pytest.mark.parametrize("name", [name for name in KINDS if name.startswith("writer")])
def test_a_writers_file_is_a_model_of_charlm(name: str, words: Vocabulary, tmp_path: Path) -> None:
    reader = saved(name, words, tmp_path / "writer.safetensors")
    assert isinstance(reader, Writer)
    lm = charlm.load(tmp_path / "writer.safetensors")
    written = [
        lm.sample(text + SEPARATOR, temperature=0, length=words.width, stop=END)
        for text in SENTENCES
    ]
    assert reader.answers(SENTENCES) == written
    assert lm.opening == words.pad  # a line of its own where nothing is asked


def test_a_readers_file_is_not_taken_for_a_model(words: Vocabulary, tmp_path: Path) -> None:
    reader = saved("gru", words, tmp_path / "reader.safetensors")
    assert isinstance(reader, Reader)
    with pytest.raises(CheckpointError, match="not a charlm model"):
        charlm.load(tmp_path / "reader.safetensors")


def test_the_vocabulary_holds_every_answer_even_one_that_no_sentence_held() -> None:
    config = {
        "design": {"trained": ["ab"], "held_out": ["xyz"]},
        "characters": "hello",
        "width": 3,
    }
    words = store.vocabulary(config)
    assert words.alphabet == "abxyz"
    assert words.width == 3
    assert set("helloabxyz\t\n") == set(words.tokenizer.characters)
    assert words.tokenizer.unknown
