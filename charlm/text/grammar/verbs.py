"""Italian verbs: the tenses in which a diary is told, for io, noi, third singular, third plural.

Regular forms are derived from the infinitive; each kind of irregular form has one table. A verb is
named by its infinitive; "-si" makes it reflexive (svegliarsi), a closing "!" asks for the auxiliary
essere with a verb that usually takes avere (passare!: "siamo passati da Lucca").
"""

from __future__ import annotations

from functools import cache

from charlm.text.grammar.words import agree

# The four persons of a diary and their columns in every table below.
PERSONS = ("io", "noi", "lei", "loro")
REFLEXIVE = {"io": "mi", "noi": "ci", "lei": "si", "loro": "si"}

# infinitive: participle, stem of the strong passato remoto (io vid-i, lei vid-e, loro vid-ero).
_STRONG_TABLE = """
accendere acceso acces, accogliere accolto accols, accorgere accorto accors, bere bevuto bevv,
chiedere chiesto chies, chiudere chiuso chius, conoscere conosciuto conobb, correre corso cors,
percorrere percorso percors, decidere deciso decis, dipingere dipinto dipins, dire detto diss,
discutere discusso discuss, dividere diviso divis, fare fatto fec, leggere letto less,
mettere messo mis, promettere promesso promis, permettere permesso permis, perdere perso pers,
piacere piaciuto piacqu, piangere pianto pians, prendere preso pres, proporre proposto propos,
raggiungere raggiunto raggiuns, ridere riso ris, rimanere rimasto rimas, rispondere risposto rispos,
riconoscere riconosciuto riconobb, sapere saputo sepp, scegliere scelto scels, scendere sceso sces,
scrivere scritto scriss, sorridere sorriso sorris, spegnere spento spens, spendere speso spes,
stringere stretto strins, succedere successo success, tenere tenuto tenn, vedere visto vid,
venire venuto venn, vivere vissuto viss, volere voluto voll, rompere rotto rupp, cadere caduto cadd,
trascorrere trascorso trascors, sorprendere sorpreso sorpres, nascere nato nacqu, rivedere rivisto
rivid, condividere condiviso condivis, commuovere commosso commoss, convincere convinto convins,
crescere cresciuto crebb, iscrivere iscritto iscriss, soccorrere soccorso soccors, stendere steso
stes, distrarre distratto distrass, ritenere ritenuto ritenn, trattenere trattenuto trattenn,
rimettere rimesso rimis, interrompere interrotto interrupp, risalire risalito -, offrire offerto -,
aprire aperto -, scoprire scoperto -, coprire coperto -, smettere smesso smis,
ammettere ammesso ammis
"""
# Verbs that fit no pattern: participle, then io, noi, lei, loro of the passato remoto.
_ODD = {
    "essere": ("stato", "fui", "fummo", "fu", "furono"),
    "avere": ("avuto", "ebbi", "avemmo", "ebbe", "ebbero"),
    "stare": ("stato", "stetti", "stemmo", "stette", "stettero"),
    "dare": ("dato", "diedi", "demmo", "diede", "diedero"),
    "dovere": ("dovuto", "dovetti", "dovemmo", "dovette", "dovettero"),
    "potere": ("potuto", "potei", "potemmo", "poté", "poterono"),
    "credere": ("creduto", "credetti", "credemmo", "credette", "credettero"),
    "vendere": ("venduto", "vendetti", "vendemmo", "vendette", "vendettero"),
    "assistere": ("assistito", "assistetti", "assistemmo", "assistette", "assistettero"),
    "sedere": ("seduto", "sedetti", "sedemmo", "sedette", "sedettero"),
}
# The stem of the imperfect and of noi, if the infinitive has lost it.
_BASE = {
    "fare": "fac",
    "dire": "dic",
    "bere": "bev",
    "proporre": "propon",
    "distrarre": "distra",
    "tradurre": "traduc",
}
_FUTURE = {
    "andare": "andr",
    "vedere": "vedr",
    "rivedere": "rivedr",
    "fare": "far",
    "essere": "sar",
    "avere": "avr",
    "venire": "verr",
    "tenere": "terr",
    "rimanere": "rimarr",
    "bere": "berr",
    "stare": "star",
    "dare": "dar",
    "dovere": "dovr",
    "potere": "potr",
    "volere": "vorr",
    "sapere": "sapr",
    "vivere": "vivr",
    "proporre": "proporr",
    "sedere": "sieder",
}
_ESSERE = {
    "andare",
    "partire",
    "ripartire",
    "arrivare",
    "tornare",
    "ritornare",
    "salire",
    "risalire",
    "scendere",
    "entrare",
    "uscire",
    "venire",
    "restare",
    "rimanere",
    "cadere",
    "essere",
    "stare",
    "piacere",
    "diventare",
    "bastare",
    "riuscire",
    "succedere",
    "capitare",
    "nascere",
    "crescere",
    "giungere",
    "sembrare",
    "scappare",
    "fuggire",
}
_ENDINGS = {
    "are": (("avo", "avamo", "ava", "avano"), ("ai", "ammo", "ò", "arono"), "ato"),
    "ere": (("evo", "evamo", "eva", "evano"), ("ei", "emmo", "é", "erono"), "uto"),
    "ire": (("ivo", "ivamo", "iva", "ivano"), ("ii", "immo", "ì", "irono"), "ito"),
}
_AUXILIARY = {
    "essere": (("sono", "siamo", "è", "sono"), ("ero", "eravamo", "era", "erano")),
    "avere": (("ho", "abbiamo", "ha", "hanno"), ("avevo", "avevamo", "aveva", "avevano")),
}


@cache
def _strong() -> dict[str, tuple[str, str]]:
    rows = (row.split() for row in " ".join(_STRONG_TABLE.split()).split(", "))
    return {infinitive: (participle, stem) for infinitive, participle, stem in rows}


def _parts(infinitive: str) -> tuple[str, str]:
    """Stem and class: ("vedere") is ("ved", "ere"); bere, dire, proporre conjugate as -ere."""
    base = _BASE.get(infinitive)
    return (base, "ere") if base else (infinitive[:-3], infinitive[-3:])


@cache
def participle(infinitive: str) -> str:
    """The past participle, masculine singular."""
    if infinitive in _ODD:
        return _ODD[infinitive][0]
    if infinitive in _strong():
        return _strong()[infinitive][0]
    stem, kind = _parts(infinitive)
    return stem + _ENDINGS[kind][2]


@cache
def remote(infinitive: str, person: str) -> str:
    """Passato remoto: "vidi", "vedemmo", "vide", "videro"."""
    column = PERSONS.index(person)
    if infinitive in _ODD:
        return _ODD[infinitive][1 + column]
    stem, kind = _parts(infinitive)
    strong = _strong().get(infinitive, ("", "-"))[1]
    if strong != "-" and person != "noi":
        return strong + {"io": "i", "lei": "e", "loro": "ero"}[person]
    return stem + _ENDINGS[kind][1][column]


@cache
def imperfect(infinitive: str, person: str) -> str:
    """Imperfetto: "vedevo", "vedevamo", "vedeva", "vedevano"."""
    column = PERSONS.index(person)
    if infinitive == "essere":
        return _AUXILIARY["essere"][1][column]
    stem, kind = _parts(infinitive)
    return stem + _ENDINGS[kind][0][column]


@cache
def future(infinitive: str, person: str) -> str:
    """Futuro semplice: "vedrò", "cercheremo", "mangerà"."""
    stem = _FUTURE.get(infinitive)
    if stem is None:
        root, kind = infinitive[:-3], infinitive[-3:]
        if kind == "are":
            # The sound of the stem stays: cercare, cercherò; mangiare, mangerò.
            if root[-1] in "cg":
                root += "h"
            elif root.endswith(("ci", "gi")):
                root = root[:-1]
        stem = root + ("ir" if kind == "ire" else "er")
    return stem + ("ò", "emo", "à", "anno")[PERSONS.index(person)]


@cache
def tell(verb: str, person: str, tag: str, tense: str, adverb: str = "") -> str:
    """A verb in one of the tenses of a story, with the reflexive pronoun if it has one.

    `tense` is "prossimo" (sono andata), "remoto" (andai), "imperfetto" (andavo), "trapassato" (ero
    andata), "futuro" (andrò) or "infinito" (andare, riposarmi). `tag` is the gender and number with
    which a participle after essere agrees. `adverb` follows the auxiliary of a compound tense
    ("abbiamo anche visto") and the verb of a simple one ("vedemmo anche").
    """
    takes_essere = verb.endswith("!")
    verb = verb.rstrip("!")
    pronoun = ""
    if verb.endswith("si"):
        verb, pronoun, takes_essere = verb[:-2] + "e", REFLEXIVE[person] + " ", True
    if tense == "infinito":
        return verb[:-1] + pronoun.strip() if pronoun else verb
    if tense in ("prossimo", "trapassato"):
        auxiliary = "essere" if takes_essere or verb in _ESSERE else "avere"
        form = _AUXILIARY[auxiliary][tense == "trapassato"][PERSONS.index(person)]
        done = participle(verb)
        told = agree(done, tag) if auxiliary == "essere" else done
        return f"{pronoun}{form} {adverb} {told}" if adverb else f"{pronoun}{form} {told}"
    conjugate = {"remoto": remote, "imperfetto": imperfect, "futuro": future}[tense]
    return pronoun + conjugate(verb, person) + (f" {adverb}" if adverb else "")
