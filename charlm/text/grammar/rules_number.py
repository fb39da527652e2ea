"""Templates with a four-digit number that is not a year: a room, a price, a crowd, a train.

{quattro} is that number. It is drawn from the same values as years, so that only the words beside
it tell what it counts. Each kind has phrases of two forms: "nota" can be joined to a sentence by a
comma, "unito" continues a clause. ``NEW_KINDS`` are left out of training, to test what a reader
makes of a kind that it has never seen.
"""

from __future__ import annotations

_FORMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # kind: (nota, unito)
    "stanza": (
        (
            "[camera|stanza] {quattro}",
            "[camera|stanza] numero {quattro}",
            "la [camera|stanza] era la {quattro}",
            "ci diedero la [camera |stanza |]{quattro}",
        ),
        ("nella [camera|stanza] {quattro}", "nella [camera|stanza] numero {quattro}"),
    ),
    "cabina": (
        ("cabina {quattro}", "avevamo la cabina {quattro}"),
        ("nella cabina {quattro}", "in cabina {quattro}"),
    ),
    "lire": (
        (
            "{quattro} lire",
            "{quattro} lire [a notte|a testa|in tutto|al giorno]",
            "[il biglietto|la pensione|il pranzo|la corriera] costava {quattro} lire",
            "L. {quattro}",
        ),
        ("con {quattro} lire in tasca", "per {quattro} lire", "spendendo {quattro} lire"),
    ),
    "euro": (
        ("{quattro} euro", "{quattro} euro [a testa|in due|tutto compreso]", "€ {quattro}"),
        ("con {quattro} euro", "per {quattro} euro", "spendendo {quattro} euro"),
    ),
    "dollari": (
        ("{quattro} dollari", "avevo {quattro} dollari", "un conto di {quattro} dollari"),
        ("con {quattro} dollari", "per {quattro} dollari"),
    ),
    "monete": (
        (
            "{quattro} [franchi|marchi|dracme|pesetas|scellini]",
            "cambiai {quattro} [franchi|marchi|dracme|pesetas]",
        ),
        ("con {quattro} [franchi|marchi|dracme|pesetas]", "per {quattro} [franchi|marchi|rupie]"),
    ),
    "folla": (
        (
            "una folla di {quattro} persone",
            "c'erano {quattro} persone",
            "eravamo in {quattro}",
            "{quattro} [persone|spettatori] in piazza",
            "una piazza con {quattro} persone",
        ),
        (
            "con una folla di {quattro} persone",
            "in mezzo a {quattro} persone",
            "insieme a [altre |]{quattro} persone",
        ),
    ),
    "pellegrini": (
        ("{quattro} pellegrini", "c'erano {quattro} pellegrini", "i pellegrini erano {quattro}"),
        ("con [altri |]{quattro} pellegrini", "tra {quattro} pellegrini"),
    ),
    "soldati": (
        ("{quattro} soldati", "una caserma di {quattro} soldati", "i soldati erano {quattro}"),
        ("con [altri |]{quattro} soldati", "tra {quattro} soldati"),
    ),
    "emigranti": (
        ("{quattro} emigranti", "{quattro} emigranti a bordo", "gli emigranti erano {quattro}"),
        ("con [altri |]{quattro} emigranti", "insieme a {quattro} emigranti"),
    ),
    "passeggeri": (
        ("{quattro} passeggeri", "la nave portava {quattro} passeggeri"),
        ("su una nave da {quattro} passeggeri", "con [altri |]{quattro} passeggeri"),
    ),
    "studenti": (
        ("{quattro} studenti", "una scuola con {quattro} studenti"),
        ("con [altri |]{quattro} studenti", "con una scuola di {quattro} studenti"),
    ),
    "iscritti": (
        ("{quattro} [iscritti|concorrenti]", "ultimo di {quattro} [iscritti|concorrenti]"),
        ("per una gara con {quattro} [iscritti|concorrenti]", "con {quattro} iscritti"),
    ),
    "abitanti": (
        ("{quattro} abitanti", "un paese di {quattro} abitanti", "gli abitanti sono {quattro}"),
        ("in un paese di {quattro} abitanti",),
    ),
    "profughi": (
        ("{quattro} profughi", "ospitavano {quattro} profughi"),
        ("con {quattro} profughi", "per aiutare {quattro} profughi"),
    ),
    "civico": (
        (
            "via {cognome} {quattro}",
            "al civico {quattro}",
            "[abitavamo|stavamo] al [numero |civico |]{quattro} di via {cognome}",
            "viale {cognome} n. {quattro}",
        ),
        ("in via {cognome} {quattro}", "al [numero|civico] {quattro} di via {cognome}"),
    ),
    "treno": (
        (
            "treno {quattro}",
            "il treno era il {quattro}",
            "[regionale|espresso|rapido|diretto] {quattro}",
        ),
        ("con il treno {quattro}", "con [il regionale|l'espresso|il rapido] {quattro}"),
    ),
    "vagone": (
        ("[vagone|carrozza] {quattro}", "posto nella carrozza {quattro}"),
        ("[nel vagone|nella carrozza|sul vagone] {quattro}",),
    ),
    "volo": (
        ("volo {quattro}", "volo [AZ|LH|FR|AF] {quattro}", "il volo era il {quattro}"),
        ("con il volo {quattro}", "con il volo [AZ|LH|FR|AF] {quattro}"),
    ),
    "quota": (
        (
            "a {quattro} metri",
            "quota {quattro}",
            "{quattro} [m s.l.m.|metri di quota|metri di dislivello|m]",
            "il rifugio è a {quattro} metri",
        ),
        ("a {quattro} metri di quota", "a quota {quattro}", "fino a {quattro} metri"),
    ),
    "chilometri": (
        ("{quattro} [km|chilometri]", "il contachilometri segnava {quattro}"),
        ("dopo {quattro} [km|chilometri]", "per {quattro} [km|chilometri]"),
    ),
    "pagina": (
        ("[pagina|pag.|p.] {quattro}", "ero a pagina {quattro}", "un libro di {quattro} pagine"),
        ("con la guida aperta a pagina {quattro}", "con un romanzo di {quattro} pagine"),
    ),
    "gradini": (
        (
            "{quattro} [gradini|scalini]",
            "la torre ha {quattro} [gradini|scalini]",
            "i gradini sono {quattro}",
        ),
        ("salendo {quattro} [gradini|scalini]", "dopo {quattro} [gradini|scalini]"),
    ),
    "codice": (
        ("[codice|prenotazione|pin] {quattro}", "il codice era {quattro}"),
        ("con [il codice|la prenotazione|il pin] {quattro}",),
    ),
    "password": (
        ("[la password|la combinazione] era {quattro}", "password {quattro}"),
        ("con un lucchetto che si apriva con {quattro}", "con la password {quattro}"),
    ),
    "tessera": (
        ("tessera [n. |numero |]{quattro}", "avevo la tessera {quattro}"),
        ("con la tessera [n. |numero |]{quattro}",),
    ),
    "biglietto": (
        ("biglietto [n. |numero |]{quattro}", "il biglietto era il {quattro}"),
        ("con il biglietto [n. |numero |]{quattro}",),
    ),
    "scontrino": (
        ("[scontrino|ricevuta] [n. |]{quattro}",),
        ("con [lo scontrino|la ricevuta] {quattro} in tasca",),
    ),
    "pettorale": (
        ("pettorale {quattro}", "avevo il pettorale {quattro}", "il mio pettorale: {quattro}"),
        ("con il pettorale {quattro}",),
    ),
    "targa": (
        ("targa [MI|TO|BO|GE|NA|PA] {quattro}", "la targa era {quattro}"),
        ("con una macchina targata [MI|TO|BO|GE|NA|PA] {quattro}",),
    ),
    "motore": (
        (
            "una [Fiat|Alfa|Lancia|Guzzi] {quattro}",
            "cilindrata {quattro}",
            "avevamo la {quattro} della Fiat",
        ),
        ("con una [Fiat|Alfa|Lancia|Guzzi] {quattro}", "con un motore {quattro}"),
    ),
    "sentiero": (
        ("sentiero {quattro}", "segnavia {quattro}", "il sentiero è il {quattro}"),
        ("lungo il sentiero {quattro}", "per il sentiero {quattro}"),
    ),
    "fotografie": (
        ("{quattro} [foto|fotografie|scatti]", "ho scattato {quattro} foto"),
        ("scattando {quattro} [foto|fotografie]", "e tornai con {quattro} foto"),
    ),
    "cartoline": (
        ("{quattro} [cartoline|lettere]", "ho scritto {quattro} cartoline"),
        ("con {quattro} [cartoline|lettere] da spedire",),
    ),
    "litri": (
        ("{quattro} litri di [benzina|acqua|vino]", "consumati {quattro} litri"),
        ("con {quattro} litri di [benzina|acqua|gasolio]",),
    ),
    "chili": (
        ("{quattro} [chili|kg]", "un carico di {quattro} [chili|kg]", "portata {quattro} kg"),
        ("con {quattro} [chili|kg] di [bagagli|riso|libri|farina]",),
    ),
    "alberi": (
        ("{quattro} [ulivi|alberi|cipressi|palme]", "un bosco di {quattro} alberi"),
        ("tra {quattro} [ulivi|alberi|cipressi|palme]",),
    ),
    "isole": (
        ("{quattro} [isole|isolotti|scogli]", "l'arcipelago conta {quattro} isole"),
        ("tra {quattro} [isole|isolotti|scogli]",),
    ),
    "templi": (
        ("{quattro} [templi|pagode|chiese|statue]", "dicono che i templi siano {quattro}"),
        ("per vedere {quattro} [templi|pagode|chiese|statue]",),
    ),
    "posti": (
        ("un [teatro|campeggio|cinema] da {quattro} posti", "{quattro} posti a sedere"),
        ("in un [campeggio|albergo|villaggio] da {quattro} posti",),
    ),
    "età": (
        ("una quercia di {quattro} anni", "[la chiesa|il ponte|il mosaico] ha {quattro} anni"),
        ("sotto una quercia di {quattro} anni", "per vedere un mosaico di {quattro} anni"),
    ),
    "durate": (
        ("{quattro} [ore|minuti|giorni|secondi]", "ci vollero {quattro} [ore|minuti]"),
        ("dopo {quattro} [ore|minuti|giorni]",),
    ),
    "case": (
        ("un paese di {quattro} case", "le case saranno {quattro}", "{quattro} case in tutto"),
        ("in un borgo di {quattro} case",),
    ),
    "pezzi": (
        ("un puzzle da {quattro} pezzi", "{quattro} pezzi"),
        ("con un puzzle da {quattro} pezzi",),
    ),
    "libri": (
        ("{quattro} [libri|volumi|manoscritti]", "la biblioteca ha {quattro} volumi"),
        ("per una biblioteca di {quattro} [libri|volumi]",),
    ),
    "interno": (
        ("[interno|centralino] {quattro}", "chiamare l'interno {quattro}"),
        ("chiamando l'interno {quattro}",),
    ),
    # Only for tests.
    "linea": (
        ("linea {quattro}", "autobus della linea {quattro}", "la linea era la {quattro}"),
        ("con la linea {quattro}", "con l'autobus della linea {quattro}"),
    ),
    "operai": (
        ("{quattro} operai", "la fabbrica aveva {quattro} operai"),
        ("con [altri |]{quattro} operai", "per una fabbrica di {quattro} operai"),
    ),
    "bottiglie": (
        ("{quattro} bottiglie", "una cantina di {quattro} bottiglie"),
        ("con {quattro} bottiglie", "per comprare {quattro} bottiglie"),
    ),
    "elettori": (
        (
            "{quattro} [elettori|voti]",
            "votarono {quattro} elettori",
            "il sindaco ebbe {quattro} voti",
        ),
        ("in un comune di {quattro} elettori", "dopo aver preso {quattro} voti"),
    ),
    "cap": (
        ("CAP {quattro}", "il CAP era {quattro}", "codice postale {quattro}"),
        ("al CAP {quattro}", "con una lettera per il CAP {quattro}"),
    ),
    "telefono": (
        ("il telefono finisce per {quattro}", "telefono che termina in {quattro}"),
        ("con un cellulare che finisce per {quattro}",),
    ),
    "pecore": (
        ("{quattro} [pecore|capre|mucche]", "un gregge di {quattro} pecore"),
        ("con un gregge di {quattro} pecore", "tra {quattro} [pecore|capre|mucche]"),
    ),
    "calorie": (
        ("{quattro} calorie", "un pranzo da {quattro} calorie"),
        ("per un pranzo da {quattro} calorie", "dopo {quattro} calorie di [cena|pranzo]"),
    ),
    "frequenza": (
        ("radio sui {quattro} kHz", "si prendeva sui {quattro} kHz", "frequenza {quattro}"),
        ("con la radio sui {quattro} kHz", "ascoltando la frequenza {quattro}"),
    ),
    "armadietto": (
        ("armadietto {quattro}", "[lo zaino|la borsa] nell'armadietto {quattro}"),
        ("lasciando tutto nell'armadietto {quattro}",),
    ),
    "monaci": (
        ("{quattro} monaci", "un monastero con {quattro} monaci", "i monaci erano {quattro}"),
        ("con {quattro} monaci", "in un monastero di {quattro} monaci"),
    ),
    "matricola": (
        ("matricola {quattro}", "la matricola era {quattro}", "ero la matricola {quattro}"),
        ("con il numero di matricola {quattro}", "da matricola {quattro}"),
    ),
}

NEW_KINDS = (
    "linea",
    "operai",
    "bottiglie",
    "elettori",
    "cap",
    "telefono",
    "pecore",
    "calorie",
    "frequenza",
    "armadietto",
    "monaci",
    "matricola",
)
KINDS = tuple(kind for kind in _FORMS if kind not in NEW_KINDS)

NUMBER: dict[str, tuple[str, ...]] = {
    "quattro_cifre": (
        "{detta}, {nota}{punto}",
        "{detta}, {nota}{punto}",
        "{detta}; {nota}{punto}",
        "{detta}: {nota}{punto}",
        "{detta}. {nota}{punto}",
        "{detta} ({nota}){punto}",
        "{detta} - {nota}{punto}",
        "{detta}, {resto}, {nota}{punto}",
        "{detta}, {nota}, {resto}{punto}",
        "{memoria} {detta}, {nota}{punto}",
        "{capo} {quand} {unito}{punto}",
        "{capo} {quand} {unito}{punto}",
        "{capo} {quand}, {unito}{punto}",
        "{quand} {capo} {unito}{punto}",
        "{quand} {capo} {unito}{punto}",
        "{quand}, {unito}, {capo}{punto}",
        "{anno}, {nota}: {capo}{punto}",
        "{anno}: {capo} {unito}{punto}",
        "{anno}. {nota}, {capo}{punto}",
        "{anno} - {dove}, {nota}{punto}",
        "{dove} {data_sola}, {nota}{punto}",
        "{dove}, {data_sola}: {nota}{punto}",
        "{giro} {quand}, {nota}{punto}",
        "{nota}, {detta}{punto}",
        "{nota}, {detta}{punto}",
        "{nota}; {detta}{punto}",
        "{nota}: {detta}{punto}",
        "{nota}. {detta}{punto}",
        "({nota}) {detta}{punto}",
        "{nota} - {detta}{punto}",
        "{nota}, {resto}, {detta}{punto}",
        "{resto}, {nota}, {detta}{punto}",
        "{memoria} {nota}: {detta}{punto}",
        "{capo} {unito} {quand}{punto}",
        "{capo} {unito} {quand}{punto}",
        "{capo} {unito}, {quand}{punto}",
        "{capo}, {nota}, {quand}{punto}",
        "{capo}, {nota}: era il {anno}{punto}",
        "{unito} {capo} {quand}{punto}",
        "{unito}, {capo} {quand}{punto}",
        "{dove}, {nota}, {data_sola}{punto}",
        "{dove} ({nota}), {data_sola}{punto}",
        "{nota}, {dove} {data_sola}{punto}",
        "{nota}, {giro} {quand}{punto}",
    ),
    **{f"nota_{kind}": notes for kind, (notes, _) in _FORMS.items()},
    **{f"unito_{kind}": joined for kind, (_, joined) in _FORMS.items()},
}
