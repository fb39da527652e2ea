"""Present and imperfect of Italian verbs against forms written by hand."""

from __future__ import annotations

import re

from charlm.text import catalogue
from charlm.text.generated.imperfetto import NEEDS_SUBJECT, verbs
from charlm.text.generated.present import PERSONS, both, present

# present, imperfect: as a grammar book prints them.
BY_HAND = """
parlo parlavo, cerchi cercavi, mangi mangiavi, mangiamo mangiavamo, paghiamo pagavamo, studi
studiavi, lascia lasciava, comincio cominciavo, insegniamo insegnavamo, giocate giocavate,
camminano camminavano, trovo trovavo, leggo leggevo, leggono leggevano, scrivete scrivevate,
prende prendeva, credi credevi, conosciamo conoscevamo, dormo dormivo, dormite dormivate, partono
partivano, apri aprivi, finisco finivo, finiamo finivamo, capisci capivi, puliscono pulivano,
preferite preferivate, sei eri, è era, siamo eravamo, siete eravate, ho avevo, hai avevi, ha
aveva, abbiamo avevamo, hanno avevano, faccio facevo, fa faceva, fate facevate, fanno facevano,
dico dicevo, dice diceva, dicono dicevano, bevo bevevo, bevi bevevi, beviamo bevevamo, vado
andavo, va andava, vanno andavano, vengo venivo, viene veniva, sto stavo, stanno stavano, do davo,
dà dava, diamo davamo, devo dovevo, deve doveva, dobbiamo dovevamo, posso potevo, può poteva,
voglio volevo, vuoi volevi, vogliono volevano, so sapevo, sa sapeva, sappiamo sapevamo, esco
uscivo, esce usciva, usciamo uscivamo, tengo tenevo, tiene teneva, rimango rimanevo, rimangono
rimanevano, salgo salivo, salite salivate, scelgo sceglievo, scegli sceglievi, scelgono
sceglievano, raccolgo raccoglievo, propongo proponevo, proponiamo proponevamo, traduco traducevo,
traducono traducevano, muoio morivo, muore moriva, mi alzo mi alzavo, ti svegli ti svegliavi, si
siede si sedeva, ci fermiamo ci fermavamo, vi annoiate vi annoiavate, si vestono si vestivano
"""


def forms() -> dict[str, set[str]]:
    """Every present in the corpus, and the imperfects that it can stand for."""
    found: dict[str, set[str]] = {}
    for verb in verbs():
        for person in PERSONS:
            now, then = both(verb, person)
            found.setdefault(now, set()).add(then)
    return found


def test_forms_against_a_list_written_by_hand() -> None:
    rows = [row.split(" ") for row in " ".join(BY_HAND.split()).split(", ")]
    expected = {" ".join(row[: len(row) // 2]): " ".join(row[len(row) // 2 :]) for row in rows}
    assert len(expected) >= 80
    known = forms()
    assert {now: known[now] for now in expected} == {n: {then} for n, then in expected.items()}


def test_one_present_has_one_imperfect_except_sono() -> None:
    several = {now: then for now, then in forms().items() if len(then) > 1}
    assert several == {"sono": {"ero", "erano"}}
    assert {person for person in PERSONS if present("essere", person) == "sono"} == {*NEEDS_SUBJECT}


def test_sono_never_stands_without_its_subject() -> None:
    text = catalogue.make_labelled("imperfetto", 20_000)
    before = set()
    for line in text.splitlines():
        source, target = line.split("\t")
        for match in re.finditer(r"(?:(\S+) )?(?:non )?\b[Ss]ono\b", source):
            imperfect = re.findall(r"\b(?:ero|erano)\b", target)
            assert match[1] is not None, source
            before.add(match[1].lower())
            if match[1].lower() == "io":
                assert "ero" in imperfect
            else:
                assert "erano" in imperfect
    assert {"io", "loro"} <= before
    # A name, or the end of a group of people; never a clause that ends.
    assert not before & {"quando", "mentre", "ma", "perché", "intanto", "sera", "domenica"}


def test_every_verb_changes_and_nothing_else_does() -> None:
    known = forms()
    single = {now.split()[-1]: {t.split()[-1] for t in then} for now, then in known.items()}
    for now, then in (("piove", "pioveva"), ("nevica", "nevicava"), ("tira", "tirava")):
        single[now] = {then}
    single |= {"manca": {"mancava"}, "piace": {"piaceva"}, "basta": {"bastava"}, "c'è": {"c'era"}}
    seen = set()
    for line in catalogue.make_labelled("imperfetto", 20_000).splitlines():
        source, target = line.split("\t")
        changed = 0
        for old, new in zip(source.split(), target.split(), strict=True):
            if old == new:
                continue
            verb, imperfect = old.strip(",.").lower(), new.strip(",.").lower()
            assert imperfect in single[verb], line
            assert old[0].isupper() == new[0].isupper()
            seen.add(verb)
            changed += 1
        clauses = 1 + len(re.findall(r"\b(?:[Qq]uando|mentre|ma|perché|intanto)\b", source))
        assert changed == clauses, line
    assert len(seen) > 0.95 * len(single)


def test_sentences_are_of_the_kind_that_was_asked_for() -> None:
    lines = dict(
        line.split("\t") for line in catalogue.make_labelled("imperfetto", 20_000).splitlines()
    )
    shapes = [re.compile(p) for p in (r"^[a-z]\w+ \w+", r"^[A-Z].*\.$", r"^quando .*, ", r"\bnon ")]
    for shape in shapes:
        assert sum(bool(shape.search(text)) for text in lines) > 500
