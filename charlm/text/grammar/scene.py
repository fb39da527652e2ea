"""The scene of a story: who travels, where, when, in which weather; it chooses every word.

A scene is chosen at random once per diary entry (or per single sentence) and fills the slots of the
templates. Whatever must stay the same within an entry (gender, number, tense, town, companions,
lodging, weather) is decided here, so an entry is consistent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from charlm.text.grammar import calendar, lexicon, people
from charlm.text.grammar.chance import Rng, below, between, chance, pick
from charlm.text.grammar.places import Land, Place, land_in, money_of
from charlm.text.grammar.rules import RULES
from charlm.text.grammar.template import Template, expand, parse
from charlm.text.grammar.verbs import tell
from charlm.text.grammar.words import Noun, agree, beautiful, euphonic, sentence_case, words

# Marks the digits of the year that a sentence is asked about, until its place is known.
MARK = "\x01"
# Marks a year of another role, if the scene is told with such marks.
OTHER = "\x02"
# Marks the end of a person's name, and twice the end of a word inside it, if the scene is told
# with such marks.
NAME = "\x03"

_SIGNS = {"~": "imperfetto", "^": "trapassato", ">": "futuro", "_": "infinito"}
_MEANS = {"t": "treno", "b": "bus", "n": "barca", "c": "auto"}
# The words and rules that name a person, among other words.
_PERSONS = frozenset(
    words("compagni, gli, chi, nome, nomef, nomem, amica, amico, cognome, storico")
)
_CAPITALIZED = re.compile(rf"\b[^\W\d_a-z][\w-]+(?: [^\W\d_a-z][\w-]+)*(?![\w{NAME}-])")
# How much one unit of a money roughly buys: an order of magnitude for a meal or a small purchase.
_PRICES = {
    "lire": (300, 9),
    "pesetas": (100, 9),
    "yen": (100, 30),
    "won": (1000, 12),
    "dong": (5000, 20),
    "rupie": (10, 50),
    "kyat": (50, 20),
    "pesos": (5, 30),
    "dracme": (50, 30),
    "escudos": (50, 20),
    "kip": (1000, 20),
    "rubli": (5, 40),
    "baht": (5, 30),
    "franchi": (1, 60),
    "riel": (500, 20),
    "sum": (100, 30),
    "lire turche": (5, 50),
    "cruzeiros": (5, 50),
    "tugrik": (500, 20),
    "fiorini": (5, 30),
    "scellini": (10, 30),
    "yuan": (2, 40),
    "corone": (5, 30),
    "birr": (2, 40),
}


@dataclass
class Scene:
    """Who, where, when. Build one with `new_scene`; change it only through its methods."""

    rng: Rng
    year: int
    month: int
    day: int
    land: Land
    town: Place
    near: Place
    weather: str
    person: str  # io or noi: the group that travels
    tag: str  # gender and number of that group
    me: str  # "ms" or "fs": the one who writes
    companion: people.Companion | None
    tense: str  # "prossimo" or "remoto"
    lodging: Noun
    room: int
    flags: frozenset[str]
    last: str = "ms"  # gender and number of the noun named last
    part: str = "mattina"
    introduced: bool = False
    subject: str = ""  # of a single sentence: a name, or empty if the verb says it
    goal: str = "qui"  # of a single sentence: its town (qui) or its land (paese)
    marking: bool = False  # whether years of other roles are marked as well
    naming: bool = False  # whether names of persons are marked
    kind: str = ""  # of a single sentence: what its four-digit number counts
    used: set[str] = field(default_factory=set)
    recent: list[str] = field(default_factory=list)

    def another(self, year: int) -> str:
        """A year that is not the one of the story."""
        return f"{OTHER if self.marking else ''}{year}"

    # --- rules ---------------------------------------------------------------------------------

    def rule(self, name: str) -> str:
        """The text of a template of that rule which fits the scene, avoiding those just used."""
        options = RULES[name]
        spare: Template | None = None
        for _ in range(60):
            source = pick(self.rng, options)
            template = parse(source)
            if not template.fits(self.flags):
                continue
            spare = template
            if source not in self.used or len(source) < 40:
                self.used.add(source)
                break
        if spare is None:
            spare = next(t for t in map(parse, options) if t.fits(self.flags))
        return expand(spare.nodes, self)

    def word(self, name: str) -> str:
        """A word of the scene, or otherwise a template of the rule with that name."""
        known = _WORDS.get(name)
        text = known(self) if known else self.rule(name)
        return _named(text) if self.naming and name in _PERSONS else text

    # --- verbs and adjectives ------------------------------------------------------------------

    def verb(self, who: str, sign: str, verb: str) -> str:
        """A verb in its tense, or (sign "=") an adjective, agreeing with g, n or p."""
        if who == "g":
            person, tag = self.person, self.tag
        elif who == "n":
            person, tag = "io", self.me
        elif who in "st":
            person, tag = ("lei" if who == "s" else "loro"), "ms"
        else:
            person, tag = ("loro" if self.last[1] == "p" else "lei"), self.last
        if sign == "=":
            return agree(verb, tag)
        verb, _, adverb = verb.partition(",")
        return tell(verb, person, tag, _SIGNS.get(sign, self.tense), adverb)

    # --- nouns and places ----------------------------------------------------------------------

    def noun(self, determiner: str, name: str) -> str:
        """A noun of a category, or a place of the scene, with its determiner."""
        if determiner in ("num", "cifra"):
            low, _, high = name.partition("-")
            number = between(self.rng, int(low), int(high))
            return str(number) if determiner == "num" else calendar.spelled(number)
        place = self.place(name)
        if place is not None:
            if determiner == "a":
                return place.at()
            return place.the() if determiner == "il" else place.after(determiner)
        noun = self.thing(name)
        self.last = noun.tag
        if determiner == "un":
            return noun.a()
        if determiner == "il":
            return noun.the()
        if determiner == "ce":
            return f"c'{'era' if noun.tag[1] == 's' else 'erano'} {noun.a()}"
        return noun.text if determiner == "nudo" else noun.after(determiner)

    def place(self, name: str) -> Place | None:
        """The town (qui), the land (paese), the village nearby (vicino), another town (altrove)."""
        if name == "meta":
            name = self.goal
        if name == "qui":
            return self.town
        if name == "paese":
            return self.land
        if name == "vicino":
            return self.near
        if name == "altrove":
            others = [town for town in self.land.towns if town is not self.town]
            return pick(self.rng, others) if others else self.near
        if name == "lontano":
            far = land_in(self.rng, self.year - 30)
            return far if far is not self.land else self.near
        return None

    def thing(self, name: str) -> Noun:
        """A noun of the category, often with an adjective before or after it."""
        kind = name.rstrip("!")
        if kind == "casa":
            kind, noun = "alloggio", self.lodging
        else:
            pool = (
                lexicon.landscape(self.town.tags)
                if kind == "natura"
                else lexicon.category(kind, self.land.culture)
            )
            noun = pick(self.rng, pool)
            for _ in range(8):
                if noun.text not in self.recent:
                    break
                noun = pick(self.rng, pool)
            self.recent.append(noun.text)
        if name.endswith("!"):
            return noun
        before, after = lexicon.adjectives(kind)
        text, form = noun.text, self.rng.random()
        dressed = text
        if before and form < 0.25:
            adjective = pick(self.rng, before)
            dressed = f"{agree(adjective, noun.tag)} {text}"
            if adjective == "bello":
                dressed = beautiful(noun.tag, text)
            # "vecchio vecchio pescatore" would mean something else.
            if dressed.split()[0] == text.split()[0] or text.startswith(("vecch", "bel")):
                dressed = text
        elif after and form < 0.7 and " con " not in text:
            adjective = agree(pick(self.rng, after), noun.tag)
            if "{" in adjective:
                adjective = expand(parse(adjective).nodes, self)
            # "il mercato coperto coperto d'edera" says a word twice.
            dressed = text if adjective.split()[0] in text.split() else f"{text} {adjective}"
        return Noun(dressed, noun.tag)


def _named(text: str) -> str:
    """The text with its names marked; "un amico di Parma" has none."""
    towns = people.homes()

    def mark(match: re.Match[str]) -> str:
        if match[0] in towns or match[0] == "Papa":
            return match[0]
        return match[0].replace(" ", 2 * NAME + " ") + NAME

    return _CAPITALIZED.sub(mark, text)


_LOOSE = re.compile(r" (?=[.,;:!?])|(?<=«) ")


def finish(text: str) -> str:
    """A capital at the start, "ad" and "ed" where they belong, single spaces."""
    return sentence_case(euphonic(_LOOSE.sub("", " ".join(text.split()))))


def _price(scene: Scene) -> str:
    money = money_of(scene.land, scene.year)
    unit, most = _PRICES.get(money, (1, 40))
    if money == "lire":
        # Italian prices rose about a hundredfold between the fifties and the euro.
        unit = 50 if scene.year < 1970 else 250 if scene.year < 1982 else 500
        most = 40
    amount = unit * between(scene.rng, 2, most)
    return f"{calendar.thousands(amount)} {money}"


def _companion(scene: Scene) -> str:
    if scene.companion is None:
        return "nessuno"
    scene.last = scene.companion.tag
    if scene.introduced:
        return scene.companion.then
    scene.introduced = True
    return scene.companion.first


def _again(scene: Scene) -> str:
    if scene.companion is None:
        return "nessuno"
    scene.last = scene.companion.tag
    return scene.companion.then


def _name(scene: Scene, gender: str) -> str:
    scene.last = gender + "s"
    return people.local_name(scene.rng, scene.land.accent, gender)


def _name_tag(scene: Scene, tag: str) -> str:
    """Set the gender and number that {p:...} agrees with from here on; no text."""
    scene.last = tag
    return ""


def _means(scene: Scene) -> str:
    """The transport there: "in autobus", "con il treno delle 7.40"."""
    means = [m for m in scene.land.local if m != "n" or set(scene.town.tags) & set("slf")]
    if not means:
        means = ["c"]
    return scene.rule("mezzo_" + _MEANS[pick(scene.rng, means)])


def _four_digits(scene: Scene) -> str:
    """A number that could be a year: half of them are as recent, a fifth is of any four digits."""
    form = scene.rng.random()
    if form < 0.5:
        return str(between(scene.rng, 1900, 2029))
    return str(between(scene.rng, 1000, 2099 if form < 0.8 else 9999))


def _village(scene: Scene) -> str:
    return people.made_up_town(scene.rng, scene.land.accent)


_WORDS: dict[str, Callable[[Scene], str]] = {
    "mi": lambda s: "mi" if s.person == "io" else "ci",
    "me": lambda s: "me" if s.person == "io" else "noi",
    "mio": lambda s: "mio" if s.person == "io" else "nostro",
    "mia": lambda s: "mia" if s.person == "io" else "nostra",
    "miei": lambda s: "miei" if s.person == "io" else "nostri",
    "anno": lambda s: MARK + str(s.year),
    "nel_mese": lambda s: Noun(calendar.MONTHS[s.month - 1], "ms").after("in"),
    "mese": lambda s: calendar.MONTHS[s.month - 1],
    "giorno": lambda s: calendar.day_name(s.day),
    "gg": lambda s: f"{s.day:02d}",
    "mm": lambda s: f"{s.month:02d}",
    "data": lambda s: f"{calendar.day_name(s.day)} {calendar.MONTHS[s.month - 1]}",
    "stagione": lambda s: calendar.season(s.month),
    "compagni": _companion,
    "gli": _again,
    "nomef": lambda s: _name(s, "f"),
    "nomem": lambda s: _name(s, "m"),
    "nome": lambda s: _name(s, pick(s.rng, ("m", "f"))),
    "amica": lambda s: people.first_name(s.rng, "f"),
    "amico": lambda s: people.first_name(s.rng, "m"),
    "cognome": lambda s: people.surname(s.rng),
    "casa_di": lambda s: pick(s.rng, people.homes()),
    "borgo": _village,
    "mezzo": _means,
    "prezzo": _price,
    "metri": lambda s: str(between(s.rng, 610, 3890 if s.land.climate in "ah" else 1990)),
    "stanza": lambda s: str(s.room),
    "treno": lambda s: str(between(s.rng, 103, 2999)),
    "vecchio": lambda s: s.another(between(s.rng, 1480, s.year - 21)),
    "nato": lambda s: s.another(s.year - between(s.rng, 17, 64)),
    "altro_anno": lambda s: s.another(s.year - between(s.rng, 1, 45)),
    "anno_poi": lambda s: s.another(s.year + between(s.rng, 1, 19)),
    "dove": lambda s: (s.town if s.goal == "qui" else s.land).name,
    "ora": lambda s: calendar.hour(s.rng, s.part),
    "orario": lambda s: f"{between(s.rng, 5, 21)}.{5 * between(s.rng, 1, 11):02d}",
    "vicino": lambda s: s.near.name,
    # Nobody here travelled for pleasure during the war.
    "anno_prima": lambda s: s.another(s.year - between(s.rng, 1, max(1, min(24, s.year - 1946)))),
    "dieci_prima": lambda s: s.another(s.year - between(s.rng, 2, 38)),
    "nonno": lambda s: s.another(s.year - between(s.rng, 62, 99)),
    "mese_poi": lambda s: calendar.MONTHS[(s.month + between(s.rng, 0, 4)) % 12],
    "prezzo_q": lambda s: sentence_case(_price(s)),
    "ms": lambda s: _name_tag(s, "ms"),
    "fs": lambda s: _name_tag(s, "fs"),
    "quando": lambda s: s.rule("tempo_" + s.part),
    "chi": lambda s: s.subject,
    "via_mezzo": lambda s: s.rule("via_" + pick(s.rng, s.land.arrival)),
    "il_giorno": lambda s: ("l'" if s.day in (8, 11) else "il ") + calendar.day_name(s.day),
    "strada": lambda s: s.rule("via"),
    "quattro": _four_digits,
    "nota": lambda s: s.rule("nota_" + s.kind),
    "unito": lambda s: s.rule("unito_" + s.kind),
}


def new_scene(rng: Rng, year: int, land: Land | None = None, alone: float = 0.35) -> Scene:
    """Draw a scene of that year. `alone` is the chance that nobody comes along."""
    land = land if land is not None else land_in(rng, year)
    town = pick(rng, land.towns)
    month = between(rng, 1, 12)
    day = between(rng, 1, calendar.days_in(month, year))
    weather = pick(rng, calendar.weathers(land.climate, month))
    me = pick(rng, ("ms", "fs"))
    companion = None if chance(rng, alone) else people.companion(rng)
    tag = me
    if companion is not None:
        tag = "fp" if me == "fs" and companion.tag[0] == "f" else "mp"
    lodging = pick(rng, lexicon.category("alloggio", land.culture))
    scene = Scene(
        rng=rng,
        year=year,
        month=month,
        day=day,
        land=land,
        town=town,
        near=Place(people.made_up_town(rng, land.accent), "", "a"),
        weather=weather,
        person="io" if companion is None else "noi",
        tag=tag,
        me=me,
        companion=companion,
        tense="prossimo" if chance(rng, 0.65) else "remoto",
        lodging=lodging,
        room=between(rng, 2, 49) + 100 * below(rng, 5),
        flags=frozenset(),
    )
    flags = {*town.tags, weather, scene.tense, calendar.season(month)}
    flags |= {_MEANS[m] for m in land.local if m != "n" or set(town.tags) & set("slf")}
    flags.add("solo" if companion is None else "insieme")
    flags.add("italia" if land.culture == "italia" else "estero")
    if companion is not None:
        flags.add("uno" if companion.tag[1] == "s" else "molti")
    fine = calendar.season(month) == "estate" and weather in ("sun", "heat")
    if land.climate == "e" or fine:
        flags.add("caldo")
    scene.flags = frozenset(flags)
    return scene
