"""Travellers and the people they meet: companions, names, and invented names of places and people.

Invented names are built from syllables, so that a model of characters cannot memorize them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from charlm.text.grammar.chance import Rng, chance, pick
from charlm.text.grammar.words import Noun, words

WOMEN = """Ada, Agnese, Alessia, Alice, Amalia, Anna, Antonella, Barbara, Beatrice, Bianca, Bruna,
Camilla, Carla, Caterina, Cecilia, Chiara, Claudia, Cristina, Daniela, Donata, Elena, Elisa, Emma,
Erica, Ester, Eva, Federica, Flavia, Franca, Francesca, Gabriella, Giada, Gianna, Gilda, Giorgia,
Giovanna, Giulia, Giuseppina, Grazia, Ida, Ilaria, Ines, Irene, Isabella, Laura, Letizia, Lia,
Licia, Lina, Livia, Lorenza, Loretta, Lucia, Luisa, Maddalena, Mara, Margherita, Maria, Marina,
Marta, Martina, Matilde, Miriam, Nadia, Nicoletta, Nina, Nora, Olga, Ornella, Paola, Patrizia,
Piera, Rita, Rosa, Rosanna, Rossella, Sabina, Sara, Serena, Silvia, Simona, Sofia, Stefania, Teresa,
Tina, Tiziana, Valentina, Valeria, Vera, Virginia, Viola, Vittoria, Zaira"""
MEN = """Achille, Adriano, Alberto, Aldo, Alessandro, Alfredo, Amedeo, Andrea, Angelo, Antonio,
Arturo, Attilio, Augusto, Bruno, Carlo, Cesare, Claudio, Corrado, Cosimo, Dario, Davide, Diego,
Dino, Domenico, Edoardo, Elio, Emanuele, Emilio, Enrico, Enzo, Ettore, Eugenio, Fabio, Fausto,
Federico, Felice, Filippo, Fabrizio, Franco, Fulvio, Gabriele, Gaetano, Giacomo, Gianni, Gino,
Giorgio, Giovanni, Giulio, Giuseppe, Guido, Ivano, Lamberto, Leo, Lorenzo, Luca, Luciano, Luigi,
Marcello, Marco, Mario, Martino, Massimo, Matteo, Mauro, Michele, Nicola, Nino, Oreste, Osvaldo,
Paolo, Piero, Pietro, Raffaele, Remo, Renato, Riccardo, Roberto, Rocco, Ruggero, Salvatore, Sandro,
Sergio, Silvio, Simone, Stefano, Tommaso, Tullio, Ugo, Umberto, Valerio, Vincenzo, Vito, Vittorio"""
HOMES = """Torino, Bergamo, Lecce, Trieste, Modena, Genova, Ferrara, Bari, Pisa, Cremona, Novara,
Udine, Parma, Bologna, Rimini, Pescara, Cosenza, Messina, Sassari, Trento, Varese, Ivrea, Faenza"""

# culture: men | women met there, in Italian or in the usual spelling
_LOCAL = """
europa-fr: Pierre, Étienne, Julien, Armand, Lucien, Marcel | Claire, Margot, Solange, Odile, Yvette
europa-ib: Joaquim, Rafael, Álvaro, Tomás, Manuel, Jaime | Inês, Pilar, Consuelo, Amparo, Dolores
europa-de: Hans, Thomas, Ulrich, Dieter, Konrad, Jürgen | Greta, Ingrid, Ursula, Heidi, Liesl, Anke
europa-nl: Willem, Joost, Pieter, Maarten, Henk, Bram | Annelies, Saskia, Marijke, Femke, Griet
europa-en: Arthur, Edwin, George, Harold, Philip, Nigel | Edith, Mabel, Rosemary, Harriet, Joan
nord-en: Eoin, Alistair, Callum, Gareth, Fergus, Declan | Maeve, Brigid, Fiona, Nora, Gwen, Ailsa
est-gr: Nikos, Yorgos, Stavros, Kostas, Spiros, Manolis | Eleni, Katina, Despina, Anthí, Kalliope
oriente-jp: Haruo, Kenji, Takeshi, Hiroshi, Shigeru, Jun | Keiko, Haruka, Yuki, Sachiko, Noriko
oriente-cn: Wei, Jianguo, Li, Chen, Zhiming, Bo | Mei, Xiulan, Lan, Yun, Hong, Ling
oriente-kr: Min-ho, Sung, Dong-su, Young, Tae | Ji-woo, Eun, Soo, Min-ji, Hana
oriente-mn: Bat, Ganbold, Temur, Dorj, Bold | Oyun, Sarnai, Tuya, Altan, Naran
sudest-vn: Minh, Tuan, Hai, Duc, Long | Linh, Hoa, Thuy, Lan, Mai
sudest-my: Ketut, Bayani, Wayan, Hamid, Budi, Agus | Sari, Dewi, Siti, Nur, Indah, Luningning
nord: Lars, Sven, Einar, Magnus, Eoin, Olav, Juhani | Astrid, Sigrid, Kaisa, Maeve, Solveig, Helga
est: Pavel, Nikola, Andrei, Stefan, Viktor, Goran, Miro | Irina, Milena, Ivana, Zofia, Vera, Anka
arabo: Yusuf, Karim, Hassan, Idris, Omar, Rashid, Tariq | Fatima, Leila, Samira, Zeynep, Amina
himalaya: Tenzin, Pasang, Dorje, Karma, Nima, Rinchen | Dolma, Pema, Yangchen, Sonam, Maya
india: Ravi, Suresh, Anand, Mohan, Gopal, Nimal | Lakshmi, Meera, Kamala, Priya, Sunita
sudest: Somchai, Thant, Boun, Sarit, Kyaw, Vichai | Mali, Khin, Chantha, Noy, Sumalee, Aye
africa: Kofi, Juma, Ousmane, Tesfaye, Mamadou, Rivo | Awa, Amara, Tsehay, Zawadi, Fara, Neema
latino: Mateo, Joaquín, Raúl, Ramiro, Benito, Thiago | Rosario, Luz, Marisol, Yolanda, Inés
america: Walter, Frank, Earl, Dennis, Jack, Roy | Nancy, Betty, Carol, Doris, Peggy, June
oceania: Trevor, Colin, Tane, Graham, Manu, Bruce | Moana, Heather, Mere, Joyce, Tiare
"""
_SYLLABLES = {
    "europa-fr": (
        "Ar Bel Cour Dor Fal Gran Lan Mer Mont Nor Pal Quer Val Vau",
        "a be de e le ma ri",
        "bourg court gny lieu mont nac ron ville vre ssac",
    ),
    "europa-ib": (
        "Al Bar Ca Cor Es Fuen Gra Li Man Mon Pa Sal Tor Val Vi",
        "ba da de la ma re ri ta",
        "beira dejo dilla gosa nada nes rén sela verde zar",
    ),
    "europa-de": (
        "Alten Berg Birken Esch Falken Grün Hohen Linden Neu Ober Stein Unter Wald",
        "",
        "bach berg brunn burg dorf feld hausen heim kirchen see stadt tal",
    ),
    "europa-nl": (
        "Bre Doe Gel Haar Hoorn Meer Noor Oost Ween Zand Zut",
        "den der le men ten",
        "beek berg dam dijk horst hout kerk veen wijk",
    ),
    "europa-en": (
        "Ash Brad Chip Dun El Fen Hart Kings Lang Marl Nor Stan Thorn Wick",
        "a er ing",
        "bourne bridge combe cote don ford ham ley stead ton wick",
    ),
    "nord-en": (
        "Bal Ard Inver Glen Kil Dun Strath Aber Pen Tor Loch",
        "a lo mo na ro",
        "brae cairn dale gan gorm loan more nish rick vaig",
    ),
    "est-gr": (
        "Aga Ana Kala Ka Lefko Mavro Meso Neo Paleo Pano Psili",
        "ka li mo ro sti",
        "chori gia kastro mata nisi polis ria rrachi vouni",
    ),
    "nord": (
        "Bjer Dal Eid Fal Grim Hol Kal Lin Mos Nor Rauk Skar Sol Tor Und Ves",
        "a e el ing u ska",
        "berg by fors gård havn holm sund vik stad ness",
    ),
    "est": (
        "Bel Bra Cer Dra Gor Kal Lju Mir Nov Ost Pod Rad Slav Tre Vel Zla",
        "a e ni o ro sti",
        "bor dol evo grad ica na nik ova polje vac",
    ),
    "arabo": (
        "Ain Bab Dar El- Had Kal Mar Qas Ras Sid Tam Um Zag Beni-",
        "a ba ha i ma ra ze",
        "ben der far gar ja kech mun ran rir zid",
    ),
    "himalaya": (
        "Cho Dhar Gang Jom Lam Lob Nam Pem Rin Shya Tang Thang Tsar",
        "a bo che de go ma ra",
        "bu che dzong ga kar ling pa ri tse tok",
    ),
    "india": (
        "Ana Chan Dhan Gan Kal Kum Mad Nal Pal Ram Sun Tiru Var",
        "a da ga ma na ri va",
        "dera gar halli kot nagar pur puram ra tota vadi",
    ),
    "sudest": (
        "Bang Chan Da Ka Lam Mae Muang Nam Pak Phu Sam Tan Wang",
        "a bo la ma ng ri",
        "buri dong ga hai kan lai nam rai tang tok",
    ),
    "oriente": (
        "Aki Chi Fuku Haru Ina Kawa Mina Naga Oku Shira Taka Yana",
        "de ga ma no ri ta",
        "hama ji kawa mura no oka saki shima yama zan",
    ),
    "africa": (
        "Am Ba Dji Fa Ga Ki Lo Ma Nya Ou Sa Ta Wa Zi",
        "ba do ga ka li ma ndo ra so",
        "ba dougou koro la mba ndi nga ra we zi",
    ),
    "latino": (
        "Al Can Cha Gua Hua Ja Lla Mara Oro Pa Qui Ta Tun Ya",
        "ca da la ma na ri ta",
        "bamba cán gua huaco lpa mayo nilla ra tlán ya",
    ),
    "america": (
        "Ash Black Cedar Clear Fair Green Hart Maple Oak Red Silver West",
        "",
        "bridge brook creek dale field ford grove port ton ville water",
    ),
    "oceania": (
        "Ara Wai Kai Mana Nga Ota Pua Rua Taka Uru Whan",
        "a ka ma ra re ti",
        "hape kau moana nui pai rua tea vai wai",
    ),
}
_ITALIAN = (
    "Bal Bar Bel Bor Bru Cal Cam Car Cer Cor Dor Fal Fon Ga Gra Lan Lo Lu Mal Mar Mel Mon Mor Nar "
    "Or Pal Per Pra Ra Ro Ru Sal Sar Ser Sor Ta Tol Tor Tra Val Var Ver Vil Vol Zer",
    "ba be bi ca da di do fa la le li ma me mi mo na ne ni ra re ri ro ta te ti to va ve vi",
    "ano ate asco bello dina ello eno etto gara iano ina lina nova ola one ora rano sina te tino "
    "to vano zano zone ndo nza rra",
)
_HEADS = """Castel, Monte, Borgo, Rocca, Villa, Torre, Pieve, Colle, Ponte, Poggio, Serra, Valle"""
# The first four only after a name in -a.
_TAILS = """Alta, Bassa, Vecchia, Nuova, di Sopra, di Sotto, al Monte, sul Colle, in Valle"""
_SAINTS = """San Bavero, San Donnino, Santa Tiberia, San Gualdo, Sant'Orso, Sant'Elmo, San Zeno,
Santa Fiorana, San Lumino, Sant'Agna, San Prospero, San Tedaldo, Santa Ginestra, San Maurolico"""


@dataclass(frozen=True)
class Companion:
    """Whom one travels with. `first` names them, `then` names them again; both without "con"."""

    first: str
    then: str
    tag: str


@cache
def _syllables(culture: str) -> tuple[tuple[str, ...], ...]:
    # An accent without syllables of its own ("oriente-jp") sounds like its culture.
    key = culture if culture in _SYLLABLES else culture.split("-")[0]
    table = _ITALIAN if culture == "italia" else _SYLLABLES[key]
    return tuple(tuple(part.split()) for part in table)


def made_up_town(rng: Rng, culture: str) -> str:
    """An invented village that sounds like the region; never with an article."""
    starts, middles, ends = _syllables(culture)
    name = pick(rng, starts)
    if middles and not name.endswith("-") and chance(rng, 0.6):
        name += pick(rng, middles)
    tail = pick(rng, ends)
    if name[-1] in "aeiou" and tail[0] in "aeiouá":
        name = name[:-1]
    elif culture == "italia" and not {name[-1], *tail[:2]} & set("aeiou"):
        name += "a"
    name += tail.capitalize() if name.endswith("-") else tail
    if culture != "italia":
        return name
    form = rng.random()
    if form < 0.25:
        return f"{pick(rng, words(_HEADS))} {name}"
    if form < 0.40:
        return f"{name} {pick(rng, words(_TAILS)[0 if name.endswith('a') else 4 :])}"
    if form < 0.50:
        return pick(rng, words(_SAINTS)) + pick(rng, ("", " al Monte", " in Valle", " a Mare"))
    return name


def surname(rng: Rng) -> str:
    """An Italian-sounding surname, nearly always an invented one."""
    starts, _, _ = _syllables("italia")
    ends = ("etti", "ini", "ardi", "oni", "ati", "elli", "ucci", "aro", "esi", "anti", "igo")
    middle = pick(rng, ("b", "c", "d", "l", "m", "n", "r", "s", "t", "v", "nd", "rt", "st", "zz"))
    start = pick(rng, starts)
    # "Bal" + "ndini" would not be Italian: a second consonant only after a vowel.
    if start[-1] not in "aeiou" and len(middle) > 1:
        middle = middle[-1]
    if start[-1] == middle[0]:
        middle = "t" if middle[0] != "t" else "d"
    return start + middle + pick(rng, ends)


def first_name(rng: Rng, gender: str) -> str:
    """An Italian first name for "m" or "f"."""
    return pick(rng, words(WOMEN if gender == "f" else MEN))


def homes() -> tuple[str, ...]:
    """The Italian towns that people come from."""
    return words(HOMES)


@cache
def _local_names() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    rows = (" ".join(part.split()) for part in _LOCAL.replace("\n ", " ").strip().splitlines())
    table = {}
    for row in rows:
        culture, _, names = row.partition(": ")
        men, _, women = names.partition(" | ")
        table[culture] = (words(men), words(women))
    return table


def local_name(rng: Rng, culture: str, gender: str) -> str:
    """A first name that is common there."""
    if culture == "italia":
        return first_name(rng, gender)
    return pick(rng, _local_names()[culture][gender == "f"])


_KIN = (
    Noun("mia sorella", "fs"),
    Noun("mio fratello", "ms"),
    Noun("mia madre", "fs"),
    Noun("mio padre", "ms"),
    Noun("i miei genitori", "mp"),
    Noun("mia cugina", "fs"),
    Noun("mio cugino", "ms"),
    Noun("mia nonna", "fs"),
    Noun("mio nonno", "ms"),
    Noun("mia zia", "fs"),
    Noun("mio zio", "ms"),
    Noun("le mie sorelle", "fp"),
    Noun("i miei fratelli", "mp"),
    Noun("i miei cugini", "mp"),
    Noun("le mie cugine", "fp"),
    Noun("i miei zii", "mp"),
    Noun("mia figlia", "fs"),
    Noun("mio figlio", "ms"),
)
_FRIENDS = {
    "ms": ("amico", "collega", "compagno di scuola", "vecchio amico", "vicino di casa"),
    "fs": ("amica", "collega", "compagna di scuola", "vecchia amica", "vicina di casa"),
    "mp": ("amici", "colleghi", "compagni di università", "vecchi amici"),
    "fp": ("amiche", "colleghe", "compagne di università", "vecchie amiche"),
}


def companion(rng: Rng) -> Companion:
    """A companion: family, friends from a town, or two names."""
    form = rng.random()
    if form < 0.35:
        kin = pick(rng, _KIN)
        single = kin.tag in ("ms", "fs")
        named = single and kin.text.split()[1] not in ("madre", "padre") and chance(rng, 0.5)
        name = f" {first_name(rng, kin.tag[0])}" if named else ""
        return Companion(kin.text + name, kin.text, kin.tag)
    if form < 0.6:
        gender = pick(rng, ("m", "f"))
        name = first_name(rng, gender)
        return Companion(name, name, gender + "s")
    if form < 0.72:
        one, two = pick(rng, (("m", "m"), ("m", "f"), ("f", "f"), ("f", "f")))
        names = first_name(rng, one), first_name(rng, two)
        if names[0] == names[1]:
            return Companion(names[0], names[0], one + "s")
        both = f"{names[0]} e {names[1]}"
        return Companion(both, both, ("f" if one == two == "f" else "m") + "p")
    tag = pick(rng, ("ms", "fs", "mp", "fp"))
    friend = pick(rng, _FRIENDS[tag])
    home = pick(rng, words(HOMES))
    if tag in ("mp", "fp"):
        article = {"fp": "le", "mp": "gli" if friend[0] == "a" else "i"}[tag]
        count = pick(rng, ("due", "tre", "quattro"))
        return Companion(f"{count} {friend} di {home}", f"{article} {friend}", tag)
    noun = Noun(friend, tag)
    mine = "il mio" if tag == "ms" else "la mia"
    name = first_name(rng, tag[0])
    if chance(rng, 0.4):
        return Companion(f"{noun.a()} di {home}", f"{mine} {friend}", tag)
    return Companion(f"{mine} {friend} {name}", name, tag)
