"""How a model reads a text, compared with single steps of the engine, with ``charlm eval`` and, for
dynamic evaluation, with backpropagation by hand.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

import charlm as package
from charlm import bptt
from charlm.config import CELLS
from charlm.engine import Engine, Weights, softmax
from charlm.errors import DivergenceError, RequestError
from charlm.generate import CharLM
from charlm.inspection import adapting, pages, reading
from charlm.text import streams as text_streams
from charlm.text.tokenizer import REPLACEMENT, ByteTokenizer, CharTokenizer

Invoke = Callable[..., Result]
TEXT = "perché il mare è blu?\nil mare, la città.\n"


@pytest.fixture(params=CELLS)
def lm(request: pytest.FixtureRequest, make_lm: Callable[..., CharLM]) -> CharLM:
    return make_lm(CharTokenizer.from_text(TEXT), cell=request.param, num_layers=2)


def stepwise(lm: CharLM, ids: np.ndarray) -> np.ndarray:
    """Probabilities (N, V) of what follows each id, one character at a time."""
    state = lm.engine.initial_state(1)
    rows = []
    for token in ids:
        logits, state = lm.engine.step(np.array([token]), state)
        rows.append(softmax(logits[0].astype(np.float64)))
    return np.array(rows)


def test_bits_and_alternatives_are_those_of_single_steps(lm: CharLM) -> None:
    found = reading.read(lm.engine, lm.tokenizer, TEXT, alternatives=4, chunk=7)
    ids = lm.tokenizer.encode(TEXT).astype(int)
    p = stepwise(lm, ids)
    assert found.characters == TEXT
    assert math.isnan(found.bits[0])
    assert (found.expected[0] == -1).all()
    for place in range(1, len(TEXT)):
        before = p[place - 1]
        assert found.bits[place] == pytest.approx(-math.log2(before[ids[place]]), rel=1e-4)
        order = np.argsort(-before, kind="stable")[:4]
        np.testing.assert_allclose(found.shares[place], before[order], rtol=1e-4)
        assert len(set(found.expected[place].tolist())) == 4


def test_the_sum_is_that_of_eval(lm: CharLM) -> None:
    exact = lm.evaluate(TEXT)
    found = reading.read(lm.engine, lm.tokenizer, TEXT).score
    assert found.characters == exact.characters
    assert found.bits_per_char == pytest.approx(exact.bits_per_char, abs=1e-9)


def test_a_character_of_several_bytes_counts_all_of_them(make_lm: Callable[..., CharLM]) -> None:
    lm = make_lm(ByteTokenizer())
    text = "è 東京\N{THUMBS UP SIGN}!"
    found = reading.read(lm.engine, lm.tokenizer, text)
    ids = lm.tokenizer.encode(text).astype(int)
    nats = -np.log(stepwise(lm, ids)[np.arange(len(ids) - 1), ids[1:]])
    sizes = [len(character.encode()) for character in text]
    ends = np.cumsum(sizes)
    assert len(found.bits) == len(text) == 6
    assert math.isnan(found.bits[0])
    for place in range(1, 6):
        by_hand = nats[ends[place] - sizes[place] - 1 : ends[place] - 1].sum() / math.log(2)
        assert found.bits[place] == pytest.approx(by_hand, rel=1e-4)
    assert found.score.bits_per_char == pytest.approx(lm.evaluate(text).bits_per_char, abs=1e-9)


@pytest.mark.parametrize("cell", ["window", "conv"])
def test_streams_change_nothing_where_the_memory_is_shorter_than_their_context(
    cell: str, make_lm: Callable[..., CharLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window sees 3 characters back: a stream that read 8 before its own knows all there is."""
    for module in (reading, text_streams):
        monkeypatch.setattr(module, "WARMUP", 8)
    lm = make_lm(CharTokenizer.from_text(TEXT), cell=cell, num_layers=1, kernel_size=2)
    text = TEXT * 7
    exact = reading.read(lm.engine, lm.tokenizer, text)
    for streams in (2, 5, 1000):
        found = reading.read(lm.engine, lm.tokenizer, text, streams=streams, chunk=5)
        np.testing.assert_allclose(found.bits, exact.bits, rtol=1e-5)
        np.testing.assert_allclose(found.shares, exact.shares, rtol=1e-4)


def test_a_stream_without_enough_context_would_be_noticed(
    make_lm: Callable[..., CharLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above."""
    for module in (reading, text_streams):
        monkeypatch.setattr(module, "WARMUP", 1)
    lm = make_lm(CharTokenizer.from_text(TEXT), cell="window", num_layers=1)
    exact = reading.read(lm.engine, lm.tokenizer, TEXT * 7)
    found = reading.read(lm.engine, lm.tokenizer, TEXT * 7, streams=5)
    assert np.nanmax(np.abs(found.bits - exact.bits)) > 0.01


@pytest.mark.parametrize("threads", [2, 3, 50])
def test_threads_change_nothing(threads: int, lm: CharLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WARMUP", 3)
    one = reading.read(lm.engine, lm.tokenizer, TEXT * 7, streams=7)
    other = reading.read(lm.engine, lm.tokenizer, TEXT * 7, streams=7, threads=threads)
    np.testing.assert_allclose(other.bits, one.bits, rtol=1e-5)
    np.testing.assert_array_equal(other.expected, one.expected)


def test_chance_is_that_of_the_symbols(make_lm: Callable[..., CharLM]) -> None:
    for tokenizer in (CharTokenizer.from_text("perché"), ByteTokenizer()):
        lm = make_lm(tokenizer)
        found = reading.read(lm.engine, lm.tokenizer, "perché")
        # Five characters are counted, as in the score: the first is context. é is two bytes.
        per_character = 6 / 5 if tokenizer.kind == "byte" else 1
        assert found.chance(lm.tokenizer) == pytest.approx(
            math.log2(tokenizer.vocab_size) * per_character
        )


@pytest.mark.parametrize("text", ["", "x"])
def test_too_little_to_read_is_refused(text: str, make_lm: Callable[..., CharLM]) -> None:
    lm = make_lm(CharTokenizer("xy"))
    with pytest.raises(RequestError, match="fewer than 2 characters"):
        reading.read(lm.engine, lm.tokenizer, text)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_ends_with_any_line_end(end: str, make_lm: Callable[..., CharLM]) -> None:
    text = f"uno{end}due{end}{end}tre"
    lm = make_lm(CharTokenizer.from_text(text))
    found = reading.read(lm.engine, lm.tokenizer, text)
    assert [text[a:b] for a, b in found.spans("line")] == ["uno", "due", "tre"]


def test_lines_and_words_by_hand(make_lm: Callable[..., CharLM]) -> None:
    text = "\nl'età è 2,\n\n  fin-qui"
    lm = make_lm(CharTokenizer.from_text(text))
    found = reading.read(lm.engine, lm.tokenizer, text)
    assert [text[a:b] for a, b in found.spans("line")] == ["l'età è 2,", "  fin-qui"]
    assert [text[a:b] for a, b in found.spans("word")] == ["l'età", "è", "2", "fin-qui"]
    assert found.mean_bits(1, 3) == pytest.approx((found.bits[1] + found.bits[2]) / 2)
    assert found.mean_bits(0, 2) == pytest.approx(found.bits[1])  # the first is only context
    assert math.isnan(found.mean_bits(0, 1))


# ------------------------------------------------------------------------------ learning on the way


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_step_is_the_gradient_by_hand(cell: str, make_lm: Callable[..., CharLM]) -> None:
    """First scored, then learned: the second window is read with weights that moved against the
    gradient of the first, computed by ``charlm.bptt``."""
    lm = make_lm(CharTokenizer.from_text(TEXT), cell=cell, scale=0.2)
    ids = lm.tokenizer.encode(TEXT).astype(np.int64)[:13]
    rate, window = 0.05, 6
    found = adapting.adapt(lm.config, lm.weights, ids, rate=rate, window=window)
    wide: Weights = {name: value.astype(np.float64) for name, value in lm.weights.items()}
    engine = Engine(lm.config, wide)
    inputs, targets = ids[None, :window], ids[None, 1 : window + 1]
    summed = bptt.backward(lm.config, wide, inputs, targets, engine.initial_state(1)).gradients
    gradients = {name: gradient / window for name, gradient in summed.items()}
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients.values()))
    step = rate * min(1.0, 1.0 / norm)
    moved: Weights = {name: value - step * gradients[name] for name, value in wide.items()}
    logits, state = engine.forward(inputs, engine.initial_state(1))
    first = -np.log(softmax(logits[0])[np.arange(window), targets[0]])
    logits, _ = Engine(lm.config, moved).forward(ids[None, window:-1], state)
    second = -np.log(softmax(logits[0])[np.arange(window), ids[window + 1 :]])
    np.testing.assert_allclose(found.dynamic, np.concatenate([first, second]), rtol=1e-4)
    np.testing.assert_allclose(found.static[:window], first, rtol=1e-4)
    assert not np.allclose(found.static[window:], second, rtol=1e-4)


def test_learning_pays_where_a_text_repeats_itself_and_not_on_noise(
    make_lm: Callable[..., CharLM],
) -> None:
    tokenizer = CharTokenizer("abcdefgh")
    lm = make_lm(tokenizer, scale=0.2)
    noise = np.random.default_rng(0).integers(8, size=1200)
    again = np.tile(noise[:6], 200)
    gains = [
        adapting.adapt(lm.config, lm.weights, ids, rate=0.1, window=12).gain
        for ids in (again, noise)
    ]
    assert gains[0] > 0.25, gains
    assert gains[1] < 0.15, (
        gains
    )  # the model's own bias towards some symbols can be unlearnt, no more


def test_a_rate_that_diverges_is_named(make_lm: Callable[..., CharLM]) -> None:
    lm = make_lm(CharTokenizer("ab"), cell="rnn")
    with pytest.raises(
        DivergenceError, match=r"^character 64: loss nan .* rate 1e\+30; give a lower --rate"
    ):
        adapting.adapt(lm.config, lm.weights, np.array([0, 1] * 200), rate=1e30)


# ------------------------------------------------------------------------------------- the commands


def score(charlm: Invoke, *arguments: object, **more: Any) -> Result:
    result = charlm("score", *arguments, **more)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def letter(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "letter.txt"
    path.write_text(text[:200], encoding="utf-8")
    return path


def test_json_says_what_eval_says(charlm: Invoke, trained: Path, letter: Path) -> None:
    records = [
        json.loads(line)
        for line in score(charlm, trained, letter, "--json").stdout.split("\n")[:-1]
    ]
    assert "".join(record["character"] for record in records) == letter.read_text("utf-8")
    assert records[0]["bits"] is None and records[0]["expected"] == []
    bits = [record["bits"] for record in records[1:]]
    evaluated = json.loads(charlm("eval", trained, letter, "--json", "--no-ladder").stdout)
    assert np.mean(bits) == pytest.approx(evaluated["bits_per_char"], abs=1e-9)
    for record in records[1:]:
        chances = [each["probability"] for each in record["expected"]]
        assert len(chances) == 5 and chances == sorted(chances, reverse=True)
        for each in record["expected"]:
            if each["symbol"] == record["character"]:
                assert each["probability"] == pytest.approx(2 ** -record["bits"], rel=1e-4)


@pytest.mark.parametrize("unit", ["line", "word"])
def test_ranked_from_ordinary_to_strange(
    charlm: Invoke, trained: Path, letter: Path, unit: str
) -> None:
    plain = score(charlm, trained, letter, "--by", unit).stdout.splitlines()
    figures = [float(line.split()[0]) for line in plain]
    assert figures == sorted(figures) and len(set(figures)) > 3
    records = [
        json.loads(line)
        for line in score(charlm, trained, letter, "--by", unit, "--json").stdout.splitlines()
    ]
    assert [f"{r['bits_per_char']:6.3f}  {r['text']}" for r in records] == plain
    whole = letter.read_text("utf-8")
    assert all(whole[r["begin"] :].startswith(r["text"]) for r in records)


def test_a_table_where_nobody_sees_colours(charlm: Invoke, trained: Path, letter: Path) -> None:
    result = score(charlm, trained, letter)
    rows = result.stdout.splitlines()
    assert len(rows) == 200
    assert "\x1b" not in result.output
    assert re.fullmatch(r" +0  \S+ +-", rows[0])
    assert re.fullmatch(r" +1  \S+ +\d+\.\d\d(  ?\S+ \d+%){5}", rows[1])
    said = re.search(
        r"^\d\.\d{4} bits/char over 199 characters \(by chance (.*)\)$", result.stderr, re.M
    )
    assert said is not None
    symbols = package.load(trained).tokenizer.vocab_size
    assert float(said[1]) == pytest.approx(np.log2(symbols), abs=1e-4)
    assert score(charlm, trained, input=letter.read_bytes()).stdout == result.stdout
    assert score(charlm, trained, "-", input=letter.read_bytes()).stdout == result.stdout


def test_a_page_in_which_the_text_stays_text(charlm: Invoke, trained: Path, tmp_path: Path) -> None:
    hostile = '</script><script>alert("x")</script>&amp;\n\x1b[31m\u202e'
    tokenizer = CharTokenizer.from_text(hostile)
    config_bits = np.arange(len(hostile), dtype=float)
    found = reading.Reading(
        hostile,
        config_bits,
        np.zeros((len(hostile), 2), dtype=np.int64),
        np.full((len(hostile), 2), 0.5),
    )
    page = pages.score_page(found, tokenizer, "<b>title")
    assert page.count("<script") == 2 and page.count("</script>") == 2  # the data and our own
    assert "<b>title" not in page and "&lt;b&gt;title" in page
    assert "\x1b" not in page and "\u202e" not in page
    data = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    facts = json.loads(data[1])
    assert [fact[0] for fact in facts[:9]] == list("</script>")
    assert len(facts) == len(hostile)


def test_the_page_is_written_whole_or_not_at_all(
    charlm: Invoke, trained: Path, letter: Path, tmp_path: Path
) -> None:
    page = tmp_path / "letter.html"
    assert score(charlm, trained, letter, "--html", page).stdout == f"{page}\n"
    assert page.read_text("utf-8").count("data-n=") == 200
    refused = charlm("score", trained, letter, "--html", tmp_path / "none" / "x.html")
    assert refused.exit_code == 1
    assert "cannot be written" in refused.stderr.splitlines()[-1]


def test_dynamic_gives_both_figures_and_their_difference(
    charlm: Invoke, trained: Path, letter: Path
) -> None:
    lines = score(charlm, trained, letter, "--dynamic", "--rate", 0.01).stdout.splitlines()
    static, dynamic, gain = (float(line.split()[1]) for line in lines)
    evaluated = json.loads(charlm("eval", trained, letter, "--json", "--no-ladder").stdout)
    assert static == pytest.approx(evaluated["bits_per_char"], abs=1e-4)
    assert gain == pytest.approx(static - dynamic, abs=2e-4)


def test_a_model_learns_from_what_repeats_and_not_from_itself(
    charlm: Invoke, trained: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.txt"
    again.write_text("una lettera qua e la\n" * 100, encoding="utf-8")
    done = score(charlm, trained, again, "--dynamic", "--rate", 0.1, "--on-unknown", "skip")
    gain = float(done.stdout.splitlines()[2].split()[1])
    control = float(done.stderr.split()[-1])
    assert gain > 0.2
    assert control < 0.3 * gain
    again.write_text("una lettera qua e la", encoding="utf-8")
    refused = charlm("score", trained, again, "--dynamic", "--on-unknown", "skip")
    assert refused.exit_code == 2 and "give a longer one" in refused.stderr


def run_of_bytes(charlm: Invoke, directory: Path, text: str) -> Path:
    """A run of a model of bytes that was trained on ``text``, which is in the same directory."""
    source = directory / "euro.txt"
    source.write_text(text, encoding="utf-8")
    trained = charlm(
        "train",
        source,
        "--tokenizer",
        "byte",
        "--hidden-size",
        8,
        "--steps",
        2,
        "--out",
        directory,
        "--no-counts",
    )
    assert trained.exit_code == 0, trained.output
    return directory / "euro"


def test_the_bytes_of_a_character_have_names(charlm: Invoke, tmp_path: Path) -> None:
    run = run_of_bytes(charlm, tmp_path, "è€" * 300)
    lines = score(charlm, run, tmp_path / "euro.txt", "--json").stdout.splitlines()
    named = {each["symbol"] for line in lines for each in json.loads(line)["expected"]}
    assert not any(REPLACEMENT in symbol for symbol in named)
    assert any(symbol.startswith("0x") for symbol in named)


def test_the_rest_of_a_first_character_s_bytes_is_context(charlm: Invoke, tmp_path: Path) -> None:
    run = run_of_bytes(charlm, tmp_path, "€è, perché così è " * 60)
    letter = tmp_path / "letter.txt"
    letter.write_text("€è, così " * 12, encoding="utf-8")
    lines = score(charlm, run, letter, "--dynamic").stdout.splitlines()
    done = charlm("eval", run, letter, "--json", "--no-ladder")
    evaluated = json.loads(done.stdout)["bits_per_char"]
    assert float(lines[0].split()[1]) == pytest.approx(evaluated, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--by", "line", "--figure", "x.svg"], "--by ranks in text or --json"),
        (["--dynamic", "--json"], "leave out --by, --html, --figure and --json"),
        (["--html", "a.html", "--figure", "b.svg"], "--html and --figure each give the result"),
        (["--by", "page"], "--by"),
        (["--rate", 0], "--rate"),
    ],
)
def test_what_makes_no_sense_is_refused(
    charlm: Invoke, trained: Path, letter: Path, options: list[object], part: str
) -> None:
    result = charlm("score", trained, letter, *options)
    assert result.exit_code == 2
    assert part in result.stderr


def test_unseen_characters_and_short_texts(charlm: Invoke, trained: Path) -> None:
    refused = charlm("score", trained, input="il mare €".encode())
    assert refused.exit_code == 2 and "'€' U+20AC" in refused.stderr
    skipped = score(charlm, trained, "--on-unknown", "skip", input="il mare €".encode())
    assert len(skipped.stdout.splitlines()) == 8
    short = charlm("score", trained, input=b"i")
    assert short.exit_code == 2 and "fewer than 2 characters" in short.stderr
    empty = charlm("score", trained, input=b"")
    assert empty.exit_code == 1 and "empty" in empty.stderr
