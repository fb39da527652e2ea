"""Italian sentences in the present and the same in the imperfect; the corpus `imperfetto`.

`parlo con Marta` -> `parlavo con Marta`. Every finite verb of a sentence changes, nothing else
does: what surrounds the verbs has no tense and agrees with no subject. One form of the present
belongs to two persons, "sono" (io and loro), and never stands without its subject.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from charlm.text.generated.lines import Pair
from charlm.text.generated.present import PERSONS, both
from charlm.text.grammar import people
from charlm.text.grammar.chance import Rng, chance, pick
from charlm.text.grammar.words import euphonic, sentence_case, words

# verb: what can follow it; {x} is a person, {c} a town.
_TABLE = """
parlare: con {x}, di politica, piano, al telefono, in italiano, troppo
lavorare: in banca, fino a tardi, con {x}, in un ufficio, nei campi
abitare: a {c}, in campagna, con {x}, in centro, vicino alla stazione
mangiare: una mela, al ristorante, con {x}, pane e formaggio, poco, la pasta
cercare: le chiavi, {x}, un lavoro, una casa a {c}, un posto tranquillo
giocare: a carte, con {x}, in cortile, a tennis
pagare: il conto, l'affitto, per {x}, in contanti
studiare: la storia, con {x}, il russo, in biblioteca, per l'esame
cominciare: a capire, il lavoro, da capo, un romanzo
viaggiare: in treno, con {x}, di notte, per mesi
lasciare: la porta aperta, un biglietto, tutto in ordine, il cappotto a {c}
aspettare: {x}, l'autobus, alla fermata, un amico, la primavera
guardare: il mare, la televisione, dalla finestra, le stelle, {x}
ascoltare: la radio, {x}, la pioggia, il concerto
cantare: in coro, una canzone, con {x}, sotto la doccia
camminare: lungo il fiume, piano, con {x}, in montagna, fino al paese
comprare: il pane, un regalo per {x}, le scarpe, al mercato, il giornale
portare: il cane al parco, gli occhiali, un pacco a {x}, i fiori
trovare: un fungo, {x}, la strada, sempre un pretesto
chiamare: {x}, un medico, il cane
tornare: a casa, da {c}, con {x}, presto, in ufficio
arrivare: a {c}, in ritardo, con {x}, di notte
ricordare: tutto, {x}, il nome della via, quella sera
pensare: a {x}, al futuro, troppo, di partire
cucinare: per {x}, il pesce, ogni sera, la minestra
nuotare: nel lago, con {x}, in piscina
ballare: con {x}, il tango, fino all'alba
insegnare: matematica, a {c}, il tedesco
sognare: il mare, di volare, {x}
alzarsi: alle sei, tardi, con fatica
chiamarsi: allo stesso modo, così
svegliarsi: presto, alle sette, di malumore
fermarsi: a {c}, al bar, davanti alla chiesa
annoiarsi: a scuola, la domenica, in vacanza
sedersi: accanto a {x}, in prima fila, sul muretto
mettersi: a leggere, il cappello, in cammino
sentirsi: bene, male, a casa
vestirsi: in fretta, di nero
leggere: un romanzo, il giornale, a letto, le lettere di {x}, a voce alta
scrivere: una lettera, a {x}, un diario, poesie
prendere: il treno, un caffè, l'ombrello, la medicina
vedere: {x}, il mare, un'ombra, le montagne
vivere: a {c}, con {x}, in affitto, di poco
perdere: il treno, le chiavi, la pazienza
correre: nel parco, con {x}, verso il mare
chiedere: aiuto, un consiglio a {x}, il conto
rispondere: a {x}, di no, alle lettere
mettere: i piatti in tavola, da parte i soldi, il sale
credere: a {x}, ai sogni, di sapere tutto
vendere: la frutta, la casa, libri usati
chiudere: la finestra, il negozio, gli occhi
conoscere: {x}, la strada, tutti
ridere: di gusto, con {x}, per niente
accendere: il fuoco, la luce, la radio
dipingere: un ritratto, la barca, con {x}
dormire: poco, fino a tardi, sul divano, in tenda
partire: per {c}, con {x}, all'alba, in macchina
aprire: la finestra, il negozio, una lettera di {x}
sentire: un rumore, la musica, {x}
seguire: {x}, il sentiero, un corso a {c}
offrire: un caffè a {x}, il pranzo
servire: il vino, a tavola
soffrire: il caldo, in silenzio
capire: tutto, {x}, il francese, poco
finire: i compiti, il lavoro, tardi
preferire: il vino, restare a casa, il treno
pulire: la cucina, i vetri, il giardino
spedire: un pacco a {x}, le lettere
costruire: una barca, un muro, castelli di sabbia
restituire: il libro a {x}, i soldi
essere: a {c}, in ritardo, a casa, in vacanza, di buon umore, con {x}
avere: fame, un cane, molti amici, paura del buio, una casa al mare, freddo, ragione
fare: colazione, una passeggiata, il bagno nel lago, finta di niente, i compiti con {x}
dire: la verità, di sì, tutto a {x}, una bugia
bere: un caffè, il latte, vino rosso con {x}, poco
andare: al mercato, a {c}, a scuola a piedi, in montagna con {x}
venire: da {c}, a cena, in bicicletta, con {x}
stare: bene, a {c}, in silenzio, con {x}, in piedi
dare: una mano a {x}, da mangiare al gatto, lezioni di piano
dovere: partire, studiare, tornare a {c}, aspettare {x}, lavorare
potere: entrare, restare con {x}, uscire, dormire qui
volere: un gelato, partire, vedere {x}, restare a {c}
sapere: nuotare, la poesia a memoria, tutto, il nome della via
uscire: con {x}, di casa alle otto, dal lavoro, la sera
tenere: il gatto in braccio, i soldi nel cassetto, alla famiglia
rimanere: a {c}, in silenzio, a cena, con {x}
salire: le scale, sul treno, in collina con {x}
scegliere: il vino, sempre lo stesso tavolo, {x}
raccogliere: le olive, funghi con {x}, l'uva
proporre: una gita, un gioco a {x}
morire: di fame, dal ridere, di noia
tradurre: un romanzo, dal tedesco, una lettera di {x}
"""
_TIMES = (
    "ogni giorno, la domenica, d'estate, di solito, a volte, ogni tanto, il lunedì, prima di cena, "
    "dopo pranzo, la sera, in inverno, a quest'ora, da settimane, come sempre"
)
# What happens without anybody; the verb, in braces, is in the third person.
_WITHOUT_SUBJECT = (
    "{piovere}, {nevicare}, {tirare} vento, {fare} caldo, {fare} freddo, {essere} tardi, {essere} "
    "domenica, {essere} quasi buio, {cominciare} a piovere, {mancare} la luce, mi {piacere} il "
    "mare, ti {piacere} il silenzio, ci {piacere} la montagna, non {bastare} il tempo, c'{essere} "
    "il sole, c'{essere} la nebbia, c'{essere} troppo rumore, non c'{essere} nessuno"
)
_KIN = "mia sorella, mio fratello, mia madre, mio padre, mia zia, mio nonno, mia cugina"
_GROUPS = "i miei genitori, i miei amici, le mie sorelle, gli zii, i vicini, loro, tutti"
_JOINTS = (" mentre ", ", ma ", " perché ", ", e intanto ", " quando ")
NEEDS_SUBJECT = ("io", "loro")
"""The persons of which the present of essere is the same: "sono"."""


@cache
def verbs() -> dict[str, tuple[str, ...]]:
    """The verbs of the corpus, and what can follow each."""
    rows = (row.partition(": ") for row in _TABLE.strip().splitlines())
    return {verb: words(rest) for verb, _, rest in rows}


def _somebody(rng: Rng) -> str:
    if chance(rng, 0.2):
        return pick(rng, words(_KIN))
    return people.first_name(rng, pick(rng, ("m", "f")))


def _subject(rng: Rng, person: str, needed: bool) -> str:
    """A subject with its gap, or nothing: the ending of an Italian verb says the person."""
    if person in ("lei", "loro") and (needed or chance(rng, 0.7)):
        if person == "lei":
            return (pick(rng, ("lui", "lei")) if chance(rng, 0.15) else _somebody(rng)) + " "
        if chance(rng, 0.5):
            return pick(rng, words(_GROUPS)) + " "
        return f"{_somebody(rng)} e {_somebody(rng)} "
    if person not in ("lei", "loro") and (needed or chance(rng, 0.12)):
        return person + " "
    return ""


def _clause(rng: Rng) -> Pair:
    """Somebody does something: in the present and in the imperfect."""
    person, verb = pick(rng, PERSONS), pick(rng, tuple(verbs()))
    subject = _subject(rng, person, verb == "essere" and person in NEEDS_SUBJECT)
    if chance(rng, 0.12):
        subject += "non "
    rest = pick(rng, verbs()[verb])
    if "{" in rest:
        rest = rest.format(x=_somebody(rng), c=pick(rng, people.homes()))
    now, then = both(verb, person)
    return f"{subject}{now} {rest}", f"{subject}{then} {rest}"


def _event(rng: Rng) -> Pair:
    """Something happens: "piove", "pioveva"."""
    template = pick(rng, words(_WITHOUT_SUBJECT))
    (infinitive,) = re.findall(r"\{(.+)\}", template)
    now, then = both(infinitive, "lei")
    before, after = template.split(f"{{{infinitive}}}")
    return before + now + after, before + then + after


def imperfetto(rng: Rng) -> Iterator[Pair]:
    """Endless pairs: one or two clauses in the present, and the same in the imperfect."""
    while True:
        now, then = _clause(rng)
        form = rng.random()
        if form < 0.2:
            time = pick(rng, words(_TIMES))
            if chance(rng, 0.5):
                now, then = f"{time} {now}", f"{time} {then}"
            else:
                now, then = f"{now} {time}", f"{then} {time}"
        elif form < 0.55:
            other_now, other_then = (_event if chance(rng, 0.5) else _clause)(rng)
            if chance(rng, 0.4):
                now, then = f"quando {other_now}, {now}", f"quando {other_then}, {then}"
            else:
                joint = pick(rng, _JOINTS)
                now, then = now + joint + other_now, then + joint + other_then
        now, then = euphonic(now), euphonic(then)
        if chance(rng, 0.4):
            now, then = sentence_case(now) + ".", sentence_case(then) + "."
        yield now, then
