"""What a Python user sees of the package: its names, and what a model says of itself."""

from __future__ import annotations

import pydoc
from collections.abc import Callable
from pathlib import Path

import charlm
from charlm.generate import CharLM
from charlm.text.tokenizer import CharTokenizer


def test_dir_and_help_show_the_public_names() -> None:
    assert set(charlm.__all__) <= set(dir(charlm))
    shown = pydoc.plain(pydoc.render_doc(charlm))
    assert "class CharLM" in shown
    assert "    load(" in shown


def test_a_model_says_what_it_is(trained: Path, make_lm: Callable[..., CharLM]) -> None:
    lm = charlm.load(trained)
    size = f"{lm.config.num_parameters:,} parameters, {lm.tokenizer.vocab_size} symbols"
    assert repr(lm) == f"<CharLM: LSTM 1x16, {size}, trained on 'tiny'>"
    assert repr(make_lm(CharTokenizer("ab"))).endswith(" parameters, 2 symbols>")


def test_a_foreign_corpus_name_cannot_steer_the_terminal(make_lm: Callable[..., CharLM]) -> None:
    lm = make_lm(CharTokenizer("ab"))
    lm.provenance["corpus"] = "\x1b[31m" + "x" * 1000
    assert repr(lm).isprintable()
    assert len(repr(lm)) < 200
