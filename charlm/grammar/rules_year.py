"""Templates of single sentences about a journey that state a year, and of some that do not.

{capo} is the clause with the verb, {coda} what may follow it, {anno} the year asked about. The
subject is io, noi or somebody named; "prima" marks scenes told by io or noi.
"""

from __future__ import annotations

YEAR: dict[str, tuple[str, ...]] = {
    "inizio": (
        "nel {anno} {capo} {coda}.", "nel {anno}, {coda_sì}, {capo}.",
        "{nel_mese} del {anno} {capo} {coda}.", "nel lontano {anno} {capo} {coda}.",
        "{in_stagione} del {anno} {capo} {coda}.", "era il {anno} quando {capo} {coda}.",
        "correva l'anno {anno} quando {capo} {coda}.", "{fu} nel {anno} che {capo} {coda}.",
        "durante il {anno} {capo} {coda}.", "all'inizio del {anno} {capo} {coda}.",
        "verso la fine del {anno} {capo} {coda}.", "{il_giorno} {mese} {anno} {capo} {coda}.",
        "a {mese} del {anno} {capo} {coda}.", "già nel {anno} {capo} {coda}.",
        "{anno}: {capo} {coda}.", "del {anno} ricordo soprattutto che {capo} {coda}.",
        "l'anno era il {anno}: {capo} {coda}.", "prima della fine del {anno} {capo} {coda}.",
        "{mese} {anno}: {capo} {coda}.", "il {anno} fu l'anno in cui {capo} {coda}.",
    ),
    "dentro": (
        "{capo} nel {anno} {coda_sì}.", "{capo}, nel {anno}, {coda_sì}.",
        "{capo} {in_stagione} del {anno} {coda_sì}.", "{capo} a {mese} del {anno} {coda_sì}.",
        "{capo}, ed era il {anno}, {coda_sì}.", "{capo}, {il_giorno} {mese} {anno}, {coda_sì}.",
        "{capo} durante il {anno}, {coda_sì}.", "ricordo che nel {anno} {capo} {coda_sì}.",
        "se non sbaglio, nel {anno} {capo} {coda_sì}.",
        "{g=contento} di partire, nel {anno} {capo} {coda_sì}.",
        "dopo anni di attesa, {in_stagione} del {anno} {capo} {coda_sì}.",
        "{amica} racconta sempre che nel {anno} {capo} {coda_sì}.",
        "con {con_chi}, nel {anno}, {capo} {perché}.", "{perché} nel {anno} {capo} {coda_sì}.",
        "{capo} {coda_sì} nel {anno}, {nonostante}.",
    ),
    "fine": (
        "{capo} {coda} nel {anno}.", "{capo} {coda}, nel {anno}.", "{capo} {coda}: era il {anno}.",
        "{capo} {coda} {in_stagione} del {anno}.", "{capo} {coda} a {mese} del {anno}.",
        "{capo} {coda}, {il_giorno} {mese} {anno}.", "{capo} {coda}; correva l'anno {anno}.",
        "{capo} {coda} verso la fine del {anno}.", "{capo} {coda}, all'inizio del {anno}.",
        "{capo} {coda} durante il {anno}.", "{capo} {coda}, mi pare nel {anno}.",
        "{capo} {coda}, ed era già il {anno}.", "{capo} {coda}, credo, nel {anno}.",
        "quando {capo} {coda} correva l'anno {anno}.", "{perché} {capo}, ed era il {anno}.",
    ),
    "senza_anno": (
        "{capo} {coda}.", "{capo} {coda_sì}.", "{capo} con {con_chi}, {perché}.",
        "{capo} con {un.oggetto!} {p=comprato} per {prezzo}.",
        "{capo} e {dopo}.", "{capo}, e lì vicino {ce.vedere!} del {vecchio}.",
        "{capo} insieme a {amica}, nata nel {nato}.",
        "{capo} con una guida stampata nel {vecchio}.", "{in_stagione} {capo} {coda_sì}.",
        "a {mese} {capo} {coda_sì}.", "tanti anni fa {capo} {coda_sì}.",
    ),
    "fu": ("(prossimo) è stato", "(remoto) fu"),
    "in_stagione": (
        "(inverno) nell'inverno", "(primavera) nella primavera", "(estate) nell'estate",
        "(autunno) nell'autunno",
    ),
    "capo": (
        "{chi} {g:andare} {a.meta}", "{chi} {g:andare} {a.meta} {via_mezzo}",
        "{chi} {g:andare} {a.meta}", "{chi} {g:tornare} {a.meta}", "{chi} {g:partire} {per.meta}",
        "{chi} {g:arrivare} {a.meta} {via_mezzo}", "{chi} {g:visitare} {il.meta}",
        "{chi} {g:vedere} {il.meta} per la prima volta", "{chi} {g:fare} un viaggio {a.meta}",
        "{chi} {g:passare} {durata} {a.meta}", "{chi} {g:trascorrere} {durata} {a.meta}",
        "{chi} {g:vivere} per {durata} {a.meta}", "{chi} {g:fare} le vacanze {a.meta}",
        "{chi} {g:lavorare} per {durata} {a.meta}", "{chi} {g:scoprire} {il.meta} quasi per caso",
        "{chi} {g:capitare} {a.meta} per sbaglio", "{chi} {g:rimanere} {durata} {a.meta}",
        "{chi} {g:tornare} {da.meta} {via_mezzo}", "{chi} {g:scrivere} un diario {a.meta}",
        "{chi} {g:prendere} in affitto una casa {a.meta}", "{chi} {g:girare} {il.meta} a piedi",
        "{chi} {g:riuscire} finalmente a vedere {il.meta}",
        "(m) {chi} {g:salire} {a.meta} fino a {metri} metri",
    ),
    "coda": (
        "", "", "", "con {con_chi}", "con {con_chi}", "con {con_chi}, {perché}", "{perché}",
        "con {prezzo} in tasca", "con {un.oggetto} e {un.oggetto!}", "{nonostante}",
        "senza {senza}", "con una guida di nome {nome}", "e {dopo}", "spendendo soltanto {prezzo}",
    ),
    "coda_sì": (
        "con {con_chi}", "con {con_chi}", "con {con_chi}, {perché}", "{perché}", "{perché}",
        "con {prezzo} in tasca", "con {un.oggetto} e {un.oggetto!}", "{nonostante}",
        "senza {senza}", "con una guida di nome {nome}", "spendendo soltanto {prezzo}",
        "con {amico}, nato nel {nato}",
    ),
    "con_chi": (
        "{amica}", "{amico}", "{amica} e {amico}", "[due|tre] amici di {casa_di}",
        "[due|tre] amiche di {casa_di}", "alcuni colleghi", "un'amica di {casa_di}",
        "un amico di {casa_di}", "una comitiva di {num.6-40} persone", "la famiglia {cognome}",
        "(prima) mia sorella {amica}", "(prima) mio fratello {amico}", "(prima) mia madre",
        "(prima) mio padre", "(prima) i miei genitori", "(prima) mia zia {amica}",
        "(prima) il mio amico {amico}", "(prima) la mia amica {amica}", "(prima) mio cugino",
    ),
    "perché": (
        "per [studiare|lavorare|riposare|imparare la lingua|cambiare aria|dipingere]",
        "per [vedere {il.vedere}|comprare {un.merce}|assaggiare {il.cibo!}|fotografare "
        "{il.natura}]",
        "per il matrimonio di {nome}", "per un congresso di [botanica|medicina|storia|geologia]",
        "per amore di {nome}", "per una scommessa", "per curiosità", "per cercare lavoro",
        "per [ritrovare|salutare|incontrare] {nome}",
    ),
    "nonostante": (
        "nonostante la febbre", "nonostante la pioggia", "nonostante lo sciopero dei treni",
        "nonostante il prezzo del biglietto, {prezzo}", "nonostante i consigli di {amico}",
        "nonostante il parere di {amica}", "nonostante la paura di volare",
    ),
    "senza": (
        "una guida", "prenotare niente", "dirlo a nessuno", "un soldo", "conoscere la lingua",
        "fretta", "{nudo.oggetto!} né {nudo.oggetto!}", "salutare {amica}", "bagagli",
    ),
    "dopo": (
        "{g:dormire} nella stanza {stanza} {di.casa!}", "{g:mangiare} {un.cibo} da {nome}",
        "{g:comprare} {un.merce} per {prezzo}", "{g:conoscere} {un.gente}, {nome}",
        "{g:vedere} {il.vedere}", "{g:perdere} {il.oggetto!}", "{g:camminare} fino {a.natura}",
        "{g:leggere} {num.3-30} libri", "{g:fotografare} {un.animale} {su.natura!}",
    ),
    "durata": (
        "{cifra.2-9} giorni", "una settimana", "due settimane", "un mese", "{cifra.2-6} mesi",
        "{cifra.3-6} settimane", "quasi un mese", "{num.11-28} giorni", "qualche giorno",
    ),
    "via_t": (
        "in treno", "con il treno {treno}", "con il treno delle {orario}", "con il treno di notte",
    ),
    "via_p": ("in aereo", "con il volo {treno}", "con il volo delle {orario}"),
    "via_n": ("in nave", "in traghetto", "con il traghetto delle {orario}", "in barca a vela"),
    "via_c": ("in macchina", "in moto", "in camper", "in autostop", "con la macchina di {amico}"),
    "via_b": ("in corriera", "in autobus", "con la corriera delle {orario}"),
}  # fmt: skip
