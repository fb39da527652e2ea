"""Units that respond to a feature: a planted unit is found, noise is not, and the cost of an
ablation is computed in a second way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from charlm.engine import Engine, Weights
from charlm.errors import RequestError
from charlm.generate import CharLM
from charlm.inspection import neurons
from charlm.inspection.neurons import Activations
from charlm.inspection.pages import neuron_blocks
from charlm.surprisal import surprisals
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer

Invoke = Callable[..., Result]


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    values = np.array([[0.1, 3], [0.4, 3], [0.35, 1], [0.8, 3], [0.4, 2]])
    label = np.array([False, False, True, True, True])
    pairs = [
        [np.sign(values[a, unit] - values[b, unit]) / 2 + 0.5 for a in (2, 3, 4) for b in (0, 1)]
        for unit in range(2)
    ]
    np.testing.assert_allclose(neurons.auc(values, label), np.mean(pairs, axis=1))
    np.testing.assert_allclose(neurons.auc(-values, label), 1 - np.mean(pairs, axis=1))


def test_labels_by_hand() -> None:
    text = 'Ab "cd" (e\n1987)\nHEY: iiiii\n'
    found = neurons.labels(text)

    def where(name: str) -> str:
        return "".join("x" if yes else "." for yes in found[name]).replace("\n", "|")

    assert where("inside quotes") == "...xxx......................"
    assert where("inside brackets") == "........xxxxxxx............."
    assert where("upper case") == "x................xxx........"
    assert where("inside a word") == "xx..xx...x.......xxx..xxxxx."
    assert where("fourth letter of a word or later") == ".........................xx."
    assert where("inside a number") == "...........xxxx............."
    assert where("second digit or later") == "............xxx............."
    assert where("line ends within 5 characters") == ".....xxxxx.xxxxx......xxxxx."
    # Lines one and three begin with capitals; a first letter alone does not count yet.
    assert where("line without small letters so far") == "............xxxx..xxxx......"


def test_a_quotation_may_go_on_in_the_next_line() -> None:
    text = '"go\nhome" he\n\n"never\n\nclosed ((a)) [b]'
    quoted = neurons.labels(text)["inside quotes"]
    assert "".join(c for c, yes in zip(text, quoted, strict=True) if yes) == '"go\nhome"never\n'
    deep = neurons.labels(text)["inside brackets in brackets"]
    assert "".join(c for c, yes in zip(text, deep, strict=True) if yes) == "(a"


def planted(label: str, text: str, strength: float) -> Activations:
    """Twenty units of noise, one of which follows a label."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((len(text), 20))
    values[:, 13] -= strength * neurons.labels(text)[label]
    return Activations(values, text, 10)


TEXT = "".join(
    f'{"He said " if n % 3 else ""}"{"la " * (n % 7 + 1)}" and {"went " * (n % 5)}home.\n'
    for n in range(200)
)


def test_a_planted_unit_is_found_and_noise_is_within_chance() -> None:
    found = {each.label: each for each in neurons.search(planted("inside quotes", TEXT, 4))}
    best = found["inside quotes"]
    assert (best.layer, best.unit) == (1, 3)  # the fourteenth of two layers of ten
    assert best.auc < 0.02  # it is low where the label holds
    assert best.strength > 0.98 > 0.6 > best.chance
    assert next(iter(found)) == "inside quotes"
    idle = neurons.search(planted("inside quotes", TEXT, 0))
    assert all(each.strength < max(0.56, each.chance + 0.02) for each in idle)


def test_a_unit_is_judged_by_the_rule_that_was_learnt() -> None:
    """A unit that follows a label in the first half and its opposite in the second predicts
    nothing."""
    turned = planted("inside quotes", TEXT, 4)
    middle = len(TEXT) // 2
    turned.values[middle:, 13] *= -1
    found = {each.label: each for each in neurons.search(turned)}["inside quotes"]
    assert (found.layer, found.unit, found.rises) == (1, 3, False)
    assert found.auc > 0.98 and found.strength < 0.02


def test_each_unit_is_shown_once() -> None:
    found = neurons.search(planted("more than 20 characters into the line", TEXT, 4))
    same = [each for each in found if (each.layer, each.unit) == (1, 3)]
    assert len(same) > 1  # it tells of 30 and 40 characters as well
    shown = neurons.remembering(found, 3)
    assert len({(each.layer, each.unit) for each in shown}) == len(shown)
    assert shown[0].label == "more than 20 characters into the line"


def test_the_control_of_an_ablation_is_the_median_of_other_units(
    make_lm: Callable[..., CharLM],
) -> None:
    tokenizer = CharTokenizer("".join(sorted(set(TEXT))))
    lm = make_lm(tokenizer, cell="gru", num_layers=1, hidden_size=7)
    ids = tokenizer.encode(TEXT)
    seen = neurons.activations(lm.engine, ids, TEXT)
    found = neurons.with_ablation(lm.engine, ids, seen, neurons.search(seen))
    # The mean is that of the half that a unit is chosen on, the cost that of the other half, with
    # 128 characters before it as context.
    middle = len(seen.text) // 2
    costs = [
        neurons.ablation(
            lm.engine,
            ids[middle - 128 : len(seen.text)],
            0,
            unit,
            float(seen.values[:middle, unit].mean()),
        )
        for unit in range(7)
    ]
    for each in found:
        assert each.usual_bits == pytest.approx(np.median(costs), abs=1e-6)
        assert each.bits == pytest.approx(costs[each.unit], abs=1e-6)


@pytest.mark.parametrize("text", ["a" * 3000 + "\n", "b\n" * 2000, ("c" * 900 + "\n") * 4])
def test_a_block_is_never_empty(text: str) -> None:
    seen = Activations(np.linspace(0, 1, len(text))[:, None], text, 1)
    found = neurons.Found("upper case", 0, 0, 0.9, True, 0.6, 0.5, 0.5, 0.1, 0.0)
    for length in (420, 800, 1500):
        (block,) = neuron_blocks([found], seen, length)
        shown = "".join(mark.text for mark in block.marks)
        assert text.endswith(shown) and length // 2 <= len(shown) <= length


def test_what_the_character_tells_is_said() -> None:
    found = {each.label: each for each in neurons.search(planted("inside quotes", TEXT, 4))}
    assert found["upper case"].by_character == pytest.approx(1)
    assert found["inside a word"].by_character == pytest.approx(1)
    assert 0.5 < found["fourth letter of a word or later"].by_character < 1
    assert found["inside quotes"].by_character < 1
    assert "inside brackets" not in found  # there are none in the text


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_ablation_is_that_of_a_model_without_the_unit(
    cell: str, make_lm: Callable[..., CharLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fixed at v, a unit only adds v times its weights to every bias: compare with a model with
    these biases and without the unit's weights."""
    monkeypatch.setattr(neurons, "_STREAMS", 1)
    monkeypatch.setattr(neurons, "WARMUP", 1)
    tokenizer = CharTokenizer("abcdefgh")
    lm = make_lm(tokenizer, cell=cell, num_layers=1, tie=False)
    ids = np.random.default_rng(3).integers(8, size=60)
    unit, value = 2, 0.4
    changed: Weights = {name: array.astype(np.float64) for name, array in lm.weights.items()}
    plain = Engine(lm.config, {name: array.copy() for name, array in changed.items()})
    U, V = changed["body.layers.0.weight_hh_l0"], changed["head.weight"]
    changed["body.layers.0.bias_hh_l0"] = changed["body.layers.0.bias_hh_l0"] + value * U[:, unit]
    changed["head.bias"] = changed["head.bias"] + value * V[:, unit]
    U[:, unit] = 0
    V[:, unit] = 0
    without = surprisals(Engine(lm.config, changed), ids)[1:]
    whole = surprisals(plain, ids)[1:]
    found = neurons.ablation(plain, ids, 0, unit, value)
    assert found == pytest.approx((without.mean() - whole.mean()) / np.log(2), rel=1e-9)
    assert abs(found) > 1e-3


def test_what_has_no_units_for_characters_is_refused(make_lm: Callable[..., CharLM]) -> None:
    text = "ab" * 1500
    tokenizer = CharTokenizer("ab")
    for lm, said in (
        (make_lm(tokenizer, cell="conv"), "not recurrent"),
        (make_lm(ByteTokenizer()), "a model of bytes"),
    ):
        shown = text if said == "not recurrent" else "è" * 3000
        with pytest.raises(RequestError, match=said):
            neurons.activations(lm.engine, lm.tokenizer.encode(shown), shown)
    lm = make_lm(tokenizer)
    with pytest.raises(RequestError, match="at least 2,000"):
        neurons.activations(lm.engine, tokenizer.encode(text[:1999]), text[:1999])


# -------------------------------------------------------------------------------------- the command


@pytest.fixture
def long(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "long.txt"
    path.write_text(text * 3, encoding="utf-8")
    return path


def test_the_command_says_what_was_found(charlm: Invoke, trained: Path, long: Path) -> None:
    done = charlm("inspect", "neurons", trained, long, "--json")
    assert done.exit_code == 0, done.output
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"inside a word", "upper case"} <= {each["label"] for each in found}
    strengths = [each["auc"] if each["rises"] else 1 - each["auc"] for each in found]
    assert strengths == sorted(strengths, reverse=True) and strengths[0] > 0.9
    done = charlm("inspect", "neurons", trained, long)
    shown = done.stdout.splitlines()
    assert "labels left out, too rare or too common in this text: " in done.stderr
    assert "inside brackets" in done.stderr
    assert len(shown) == len(found) + 1
    for line, each, strength in zip(shown[1:], found, strengths, strict=True):
        assert line.startswith(each["label"])
        assert f"{strength:.3f}" in line and f"{each['bits']:+.4f}" in line
        assert ("high" if each["rises"] else "low") in line.removeprefix(each["label"]).split()


def test_a_page_shows_the_text_of_every_unit(
    charlm: Invoke, trained: Path, long: Path, tmp_path: Path
) -> None:
    page = tmp_path / "neurons.html"
    done = charlm("inspect", "neurons", trained, long, "--html", page)
    assert (done.exit_code, done.stdout) == (0, f"{page}\n"), done.output
    text = page.read_text("utf-8")
    assert text.count('<div class="heat">') == text.count("<h3>") > 2
    assert "underline" in text


def test_a_text_stays_a_text(charlm: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "hostile.txt"
    file.write_text("<script>alert(1)</script> & 'x' \"Y\"\n" * 80, encoding="utf-8")
    trained = charlm(
        "train", file, "--hidden-size", 8, "--steps", 1, "--out", tmp_path, "--name", "hostile"
    )
    assert trained.exit_code == 0, trained.output
    page = tmp_path / "neurons.html"
    done = charlm("inspect", "neurons", tmp_path / "hostile", file, "--html", page)
    assert done.exit_code == 0, done.output
    text = page.read_text("utf-8")
    assert "<script" not in text and ">&lt;<" in text and ">&amp;<" in text


def test_too_short_a_text_is_refused(charlm: Invoke, trained: Path, corpus: Path) -> None:
    done = charlm("inspect", "neurons", trained, corpus)
    assert done.exit_code == 2 and "at least 2,000" in done.stderr
