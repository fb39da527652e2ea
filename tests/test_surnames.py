"""Names by country: the tables of Faker, read whole, cleaned by a rule, and what can be known."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from charlm.cli.corpus import command
from charlm.errors import CorpusError, RequestError
from charlm.text.generated import surnames

KINDS = ("surnames", "first-names")


def test_the_rule_that_cleans_names() -> None:
    given = (
        "Rossi|de Boer|'s Gravensande|O'Brien|Ó Briain|VI|Hans D.|kuhar|Bourgondië, van|Lucía |A"
    )
    given += (
        "|Alta  Gracia|N˜zamett˜n|Rossi|Jürgen|Jurgen2|d' Heripon|van 't Wel|Ulug‘bek|Anna-Maria"
    )
    kept = (
        "Rossi|de Boer|'s Gravensande|O'Brien|Ó Briain|Lucía|A|Alta Gracia|Jürgen|d' Heripon|"
        "van 't Wel|Ulug‘bek|Anna-Maria"
    )
    assert surnames.clean(given.split("|")) == sorted(kept.split("|"))


def test_the_best_accuracy_by_hand() -> None:
    pairs = [("Rossi", "Italian"), ("Martin", "French"), ("Martin", "English"), ("Wu", "Chinese")]
    assert surnames.best_accuracy(pairs) == 3 / 4
    # Twice in one table: then that label is the better answer.
    assert surnames.best_accuracy([*pairs, ("Martin", "English")]) == 4 / 5
    assert surnames.best_accuracy([("Rossi", "Italian")]) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_those_of_the_tables(kind: str) -> None:
    pytest.importorskip("faker")
    from faker import Faker

    pairs = surnames.names(kind)
    assert len(pairs) == len(set(pairs)) > 15_000
    assert pairs == surnames.names(kind)
    counts = Counter(label for _, label in pairs)
    assert len(counts) == 33 and min(counts.values()) >= 40
    assert list(counts) == sorted(counts)
    # What Faker itself invents, by its public methods, is in the corpus.
    found = set(pairs)
    for label, locale in (("Italian", "it_IT"), ("Finnish", "fi_FI"), ("Swedish", "sv_SE")):
        fake = Faker(locale)
        fake.seed_instance(1)
        draw = fake.last_name if kind == "surnames" else fake.first_name
        assert {(draw(), label) for _ in range(200)} <= found
    assert 0.5 < surnames.best_accuracy(pairs) < 1


def test_names_that_everybody_knows() -> None:
    pytest.importorskip("faker")
    found = set(surnames.names("surnames"))
    known = {("Rossi", "Italian"), ("Smith", "English"), ("Müller", "German"), ("Garcia", "X")}
    assert known - found == {("Garcia", "X")}
    assert {label for name, label in found if name == "Martin"} >= {"English", "French"}
    first = set(surnames.names("first-names"))
    assert {("Giovanni", "Italian"), ("Björn", "Swedish"), ("Guðrún", "Icelandic")} <= first


@pytest.mark.parametrize("kind", KINDS)
def test_every_table_is_the_locales_own(kind: str) -> None:
    """Faker falls back to English names; no label may be made of them."""
    pytest.importorskip("faker")
    english = {name for name, label in surnames.names(kind) if label == "English"}
    for label in {label for _, label in surnames.names(kind)} - {"English", "Irish"}:
        names = {name for name, other in surnames.names(kind) if other == label}
        assert len(names & english) < 0.5 * len(names), label


def test_without_faker_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def without(name: str, *args: Any) -> Any:
        if name.startswith("faker"):
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", without)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command, ["make", "surnames"])
    assert isinstance(result.exception, RequestError)
    assert str(result.exception) == (
        "a corpus of names needs faker, which is not installed: pip install -e '.[data]' "
        "(in the clone of charlm)"
    )
    assert list(tmp_path.iterdir()) == []
    # What needs no package works without it.
    assert CliRunner().invoke(command, ["make", "dates", "--lines", "3"]).exit_code == 0


def test_a_version_without_one_of_the_tables_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faker")
    for row in ("it_IT no_such_table", "xx_XX"):
        monkeypatch.setattr(surnames, "SURNAMES", {"Italian": row})
        with pytest.raises(CorpusError, match=r"Faker [\d.]+ has no table \w+ for \w+") as caught:
            surnames.names("surnames")
        assert "\n" not in str(caught.value)


def test_the_command_says_version_labels_and_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("faker")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command, ["make", "surnames"])
    assert result.exit_code == 0, result.output
    assert result.stdout == "corpora/surnames.tsv\n"
    assert surnames.faker_version() in result.stderr and "33 labels" in result.stderr
    data = Path("corpora/surnames.tsv").read_bytes()
    assert b"\r" not in data and data.endswith(b"\tZulu\n")
    assert "Rossi\tItalian" in data.decode("utf-8").splitlines()
