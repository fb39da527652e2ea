"""``charlm sample --interactive``: offers to the end of a sentence, answers, and what is left."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from charlm.cli.choosing import Talk, sentence
from charlm.config import LONGEST_OFFER, OFFERS, SampleConfig
from charlm.generate import CharLM
from charlm.text.tokenizer import CharTokenizer

Invoke = Callable[..., Result]
MakeLM = Callable[..., CharLM]
LETTERS = CharTokenizer("\n .abcdeé")


# --------------------------------------------------------------------------------------- sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two.", "One."),
        (" One! Two.", " One!"),
        ("One?! Two.", "One?!"),
        ("One... two.", "One..."),
        ("One… two", "One…"),
        ("«One.» Two.", "«One.»"),
        ('("One.") Two.', '("One.")'),
        ("It is 3.5 km long. Two", "It is 3.5 km long."),
        ("line\nnext", "line\n"),
        ("\n\n line\nnext", "\n\n line\n"),  # what is before a sentence does not end it
        ("One.\nTwo", "One."),
        ("no end", "no end"),
        (".", "."),
        ("", ""),
    ],
)
def test_where_a_sentence_ends(text: str, expected: str) -> None:
    assert sentence(text, 99) == expected


@given(st.text("a.\n» 3", max_size=30), st.integers(0, 30))
def test_a_sentence_is_a_beginning_and_the_rest_goes_on(text: str, most: int) -> None:
    found = sentence(text, most)
    assert text.startswith(found) and len(found) <= most
    assert found or not text or not most
    rest = iter(text)
    sentence(rest, most)
    assert len(text) - len(list(rest)) <= len(found) + 1  # no more than one is read beyond it


# -------------------------------------------------------------------------------------------- talk


def begun(model: CharLM, prompt: str = "ab", **options: int) -> Talk:
    config = SampleConfig(seed=1, **options)
    return Talk(model, model.start(prompt), config, OFFERS, None)


def test_the_offers_stay_until_others_are_asked_for(make_lm: MakeLM) -> None:
    talk = begun(make_lm(LETTERS))
    first = list(talk.offers())
    assert len(first) == OFFERS == len(set(first))
    assert talk.offers() == first
    talk.others()
    assert not set(talk.offers()) & set(first)


def test_what_is_chosen_comes_next_and_can_be_undone(make_lm: MakeLM) -> None:
    talk = begun(make_lm(LETTERS))
    assert talk.text == "ab"
    first = list(talk.offers())
    talk.add(first[1])
    assert talk.text == "ab" + first[1]
    second = list(talk.offers())
    assert talk.undo() and talk.text == "ab" and talk.offers() == first
    talk.add(first[1])
    assert talk.offers() == second  # the same choices, the same offers
    assert talk.undo() and not talk.undo()
    talk.add(first[2])
    assert not set(talk.offers()) & set(second)


@pytest.mark.parametrize("prompt", ["", "ab"])
def test_the_offers_go_on_from_the_whole_text(make_lm: MakeLM, prompt: str) -> None:
    """The control: a model that reads the whole text at once continues it in the same way."""
    model = make_lm(LETTERS, scale=2.0)
    talk = begun(model, prompt, length=20)
    for text in (" dé.", "ab"):
        talk.add(text)
    whole = model.start(talk.text)
    state = talk._places[-1].start
    assert state.ids == whole.ids and state.prompt == whole.prompt == prompt + " dé.ab"
    # Without a prompt the model has read the opening symbol, too.
    read = whole if prompt else model.start("\n" + talk.text)
    assert abs(state.logits - read.logits).max() < 1e-4


def test_nothing_is_repeated_over_all_choices(make_lm: MakeLM) -> None:
    talk = begun(make_lm(LETTERS), no_repeat=3)
    for _ in range(6):
        talk.add(talk.offers()[0])
    text = talk.text
    assert len({text[i : i + 3] for i in range(len(text) - 2)}) == len(text) - 2 > 20


def test_length_limits_an_offer(make_lm: MakeLM) -> None:
    talk = begun(make_lm(CharTokenizer("abc")), "a", length=7)
    assert [len(offer) for offer in talk.offers()] == [7, 7, 7]
    talk = begun(make_lm(CharTokenizer("abc")), "a", length=LONGEST_OFFER + 9)
    assert [len(offer) for offer in talk.offers()] == [LONGEST_OFFER] * 3


def test_equal_offers_are_shown_once(make_lm: MakeLM) -> None:
    talk = begun(make_lm(LETTERS), temperature=0)
    assert len(talk.offers()) == 1


# ------------------------------------------------------------------------------------- the command

COMMON = ("--interactive", "--seed", 5, "--prompt", "Il ")


def offered(said: str) -> list[list[str]]:
    """The offers of every round, from what was printed."""
    rounds = re.findall(r"((?:^\d+  .*\n)+)number: ", said, re.MULTILINE)
    return [
        [line.partition("  ")[2].replace("\\n", "\n") for line in part.splitlines()]
        for part in rounds
    ]


def test_the_choices_are_the_text(charlm: Invoke, trained: Path) -> None:
    done = charlm("sample", trained, *COMMON, input="2\nm\n3\nq\n")
    assert done.exit_code == 0
    first, _, third, _ = rounds = offered(done.stderr)
    assert all(len(each) == OFFERS for each in rounds)
    assert done.stdout == "Il " + first[1] + third[2]
    assert charlm("sample", trained, *COMMON, input="2\nm\n3\nq\n").stdout == done.stdout
    other = charlm("sample", trained, "--interactive", "--seed", 6, input="1\nq\n")
    assert (
        other.stdout != charlm("sample", trained, "--interactive", "--seed", 5, input="1\n").stdout
    )


def test_own_text_undo_and_what_is_no_answer(charlm: Invoke, trained: Path) -> None:
    answers = "e\n mare\\n\n1\nu\n9\nfoo\ne\n\nu\nu\ne\nRoma \nq\n"
    done = charlm("sample", trained, *COMMON, input=answers)
    assert done.exit_code == 0
    assert done.stdout == "Il Roma "
    assert "Il  mare\n" in done.stderr
    assert "'9' is no answer: type 1, 2, 3, m, e, u or q" in done.stderr
    assert "'foo' is no answer" in done.stderr
    assert done.stderr.count("nothing to undo") == 1


def test_own_text_that_the_model_does_not_know(charlm: Invoke, trained: Path) -> None:
    done = charlm("sample", trained, *COMMON, input="e\nma☃re\nq\n")
    assert done.stdout == "Il "
    assert "your text has 1 character" in done.stderr and "U+2603" in done.stderr
    done = charlm("sample", trained, *COMMON, "--on-unknown", "skip", input="e\nma☃re\nq\n")
    assert done.stdout == "Il mare"


def test_an_end_of_input_leaves_the_text(charlm: Invoke, trained: Path, tmp_path: Path) -> None:
    for answers in ("e\nmare\n", "e\nmare\ne\n", b"e\nmare\n\xff\n"):
        done = charlm("sample", trained, *COMMON, input=answers)
        assert (done.exit_code, done.stdout) == (0, "Il mare")
    done = charlm("sample", trained, *COMMON, "--no-include-prompt", input="e\nmare\n")
    assert done.stdout == "mare"
    done = charlm("sample", trained, *COMMON, "--out", tmp_path / "text", input="e\nmare\n")
    assert done.stdout == f"{tmp_path / 'text'}\n"
    assert (tmp_path / "text").read_text("utf-8") == "Il mare"


def test_what_a_model_writes_cannot_control_the_terminal(charlm: Invoke, tmp_path: Path) -> None:
    from test_cli_sample import model_file

    model = model_file(tmp_path, "\x1b[31m")
    done = charlm("sample", model, "--interactive", "--seed", 1, "--length", 30, input="1\nq\n")
    assert "\x1b" in done.stdout and "\x1b" not in done.stderr and "\\x1b" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--json"], "--interactive writes one text together with you; leave out --json"),
        (["--stop", "a", "--rank"], "leave out --stop, --rank"),
        (["--show-probs"], "leave out --show-probs"),
        (["--prompts", "-"], "leave out --prompts"),
        (["--prompt", "-"], "both read standard input"),
    ],
)
def test_what_makes_no_sense_beside_it(
    charlm: Invoke, trained: Path, arguments: list[str], part: str
) -> None:
    done = charlm("sample", trained, "--interactive", *arguments, input="")
    assert done.exit_code == 2 and part in done.stderr and done.stdout == ""


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_ctrl_c_leaves_the_text(trained: Path) -> None:
    talk = subprocess.Popen(
        [*(sys.executable, "-m", "charlm", "sample", str(trained)), *map(str, COMMON)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert talk.stdin is not None and talk.stdout is not None and talk.stderr is not None
    talk.stdin.write(b"e\nmare\n")
    talk.stdin.flush()
    said, end = b"", time.monotonic() + 60
    while said.count(b"quit > ") < 2 and time.monotonic() < end:
        if select.select([talk.stderr], [], [], 1)[0]:
            said += os.read(talk.stderr.fileno(), 10_000)
    talk.send_signal(signal.SIGINT)
    out, rest = talk.communicate(timeout=60)
    assert (talk.returncode, out) == (130, b"Il mare")
    assert rest.endswith(b"interrupted\n")
