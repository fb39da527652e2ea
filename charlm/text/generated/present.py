"""The Italian verb in the present and in the imperfect, in all six persons.

The grammar of the diary (`charlm.text.grammar.verbs`) has the imperfect of io, noi, lei and loro;
those of tu and voi follow from them.
"""

from __future__ import annotations

from functools import cache

from charlm.text.grammar import verbs
from charlm.text.grammar.words import words

PERSONS = ("io", "tu", "lei", "noi", "voi", "loro")

_REGULAR = {
    "are": words("o, i, a, iamo, ate, ano"),
    "ere": words("o, i, e, iamo, ete, ono"),
    "ire": words("o, i, e, iamo, ite, ono"),
    "isco": words("isco, isci, isce, iamo, ite, iscono"),
}
_IRREGULAR_TABLE = """
essere sono sei è siamo siete sono
avere ho hai ha abbiamo avete hanno
fare faccio fai fa facciamo fate fanno
dire dico dici dice diciamo dite dicono
bere bevo bevi beve beviamo bevete bevono
andare vado vai va andiamo andate vanno
venire vengo vieni viene veniamo venite vengono
stare sto stai sta stiamo state stanno
dare do dai dà diamo date danno
dovere devo devi deve dobbiamo dovete devono
potere posso puoi può possiamo potete possono
volere voglio vuoi vuole vogliamo volete vogliono
sapere so sai sa sappiamo sapete sanno
uscire esco esci esce usciamo uscite escono
tenere tengo tieni tiene teniamo tenete tengono
rimanere rimango rimani rimane rimaniamo rimanete rimangono
salire salgo sali sale saliamo salite salgono
scegliere scelgo scegli sceglie scegliamo scegliete scelgono
sedere siedo siedi siede sediamo sedete siedono
raccogliere raccolgo raccogli raccoglie raccogliamo raccogliete raccolgono
proporre propongo proponi propone proponiamo proponete propongono
tradurre traduco traduci traduce traduciamo traducete traducono
morire muoio muori muore moriamo morite muoiono
piacere piaccio piaci piace piacciamo piacete piacciono
"""
_INCHOATIVE = frozenset(words("capire, finire, preferire, pulire, spedire, costruire, restituire"))
"""The verbs in -ire with -isc-: finisco, but finiamo."""
_REFLEXIVE = ("mi", "ti", "si", "ci", "vi", "si")


@cache
def _irregular() -> dict[str, list[str]]:
    rows = (row.split() for row in _IRREGULAR_TABLE.strip().splitlines())
    return {infinitive: forms for infinitive, *forms in rows}


@cache
def present(infinitive: str, person: str) -> str:
    """The present of a verb that is not reflexive: "cerchi", "mangiamo", "finisce", "vado"."""
    column = PERSONS.index(person)
    if infinitive in _irregular():
        return _irregular()[infinitive][column]
    stem, kind = infinitive[:-3], infinitive[-3:]
    if infinitive in _INCHOATIVE:
        kind = "isco"
    ending = _REGULAR[kind][column]
    if kind == "are" and ending[0] == "i":
        # The sound of the stem stays, and no i is doubled: cerchi, mangi, studiamo.
        if stem[-1] in "cg":
            stem += "h"
        elif stem[-1] == "i":
            stem = stem[:-1]
    return stem + ending


@cache
def imperfect(infinitive: str, person: str) -> str:
    """The imperfect of a verb that is not reflexive: "cercavi", "facevamo", "eravate"."""
    if person == "tu":
        return verbs.imperfect(infinitive, "io")[:-1] + "i"
    if person == "voi":
        return verbs.imperfect(infinitive, "noi").removesuffix("mo") + "te"
    return verbs.imperfect(infinitive, person)


def both(infinitive: str, person: str) -> tuple[str, str]:
    """Present and imperfect, with the pronoun of a reflexive verb (alzarsi).

    >>> both("alzarsi", "tu"), both("bere", "loro")
    (('ti alzi', 'ti alzavi'), ('bevono', 'bevevano'))
    """
    pronoun = ""
    if infinitive.endswith("si"):
        infinitive = infinitive[:-2] + "e"
        pronoun = _REFLEXIVE[PERSONS.index(person)] + " "
    return pronoun + present(infinitive, person), pronoun + imperfect(infinitive, person)
