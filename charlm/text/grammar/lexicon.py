"""Sights, food, goods and people: nouns by culture, adjectives by kind.

Every noun has its tag (see words.py). A category is looked up first under the culture of the
land ("cibo" in Nepal is not "cibo" in Norway), then among the categories common to all.
"""

from __future__ import annotations

from functools import cache

from charlm.text.grammar.words import Noun, nouns, words

# culture: sights; food; drinks; goods
_CULTURES = {
    "italia": (
        "chiesa fs, cappella fs, torre campanaria fs, castello ms, convento ms, chiostro ms, "
        "loggia fs, palazzo ducale ms, porta medievale fs, fontana fs, teatro comunale ms, mura "
        "fp, "
        "battistero ms, cripta fs, pinacoteca fs, villa in rovina fs, mulino ms, abbazia fs",
        "piatto di tagliatelle ms, zuppa di farro fs, frittata di cipolle fs, minestra di ceci fs, "
        "risotto con i funghi ms, coniglio alla cacciatora ms, insalata di finocchi fs, parmigiana "
        "fs, ravioli di zucca mp, gnocchi al burro mp, baccalà con le patate ms, focaccia fs, "
        "pane e pecorino ms, crostata di albicocche fs, acciughe fritte fp, torta di nocciole fs, "
        "pasta e fagioli fs, arrosto di vitello ms, caponata fs, lasagne fp",
        "vino rosso ms, vino bianco ms, chinotto ms, caffè ms, bicchierino di amaro ms, birra fs, "
        "limonata fs, aranciata fs, spremuta d'arancia fs",
        "cesto di vimini ms, piatto di ceramica ms, vasetto di miele ms, stampa antica fs, "
        "coltello "
        "a serramanico ms, coperta di lana fs, bottiglia d'olio fs, formaggio stagionato ms",
    ),
    "europa": (
        "cattedrale fs, chiesa fs, castello ms, torre dell'orologio fs, mercato coperto ms, "
        "giardino botanico ms, museo ms, biblioteca fs, mulino a vento ms, fortezza fs, convento "
        "ms, ponte di pietra ms, cimitero ms, abbazia fs, municipio ms, teatro ms, birreria fs",
        "zuppa di cipolle fs, salsiccia con le patate fs, trota al burro fs, torta di mele fs, "
        "frittata con le erbe fs, stufato di manzo ms, formaggio di capra ms, minestra di porri "
        "fs, "
        "baccalà al forno ms, pane nero con il burro ms, cavolo con lo speck ms, cozze fp, "
        "crespelle al formaggio fp, insalata di patate fs, sardine alla griglia fp",
        "birra scura fs, sidro ms, vino bianco ms, caffellatte ms, cioccolata calda fs, tè ms, "
        "bicchiere di porto ms, acquavite fs",
        "piastrella dipinta fs, scatola di biscotti fs, libro usato ms, incisione fs, carta "
        "geografica fs, ombrello ms, tovaglia ricamata fs, orologio da tasca ms, cappello ms",
    ),
    "nord": (
        "chiesa di legno fs, faro ms, museo delle barche ms, fattoria fs, fortezza fs, biblioteca "
        "fs, cimitero di marinai ms, mercato del pesce ms, cappella fs, ponte sospeso ms, serra "
        "fs, "
        "casa dei pescatori fs, castello ms, osservatorio ms, rimessa di barche fs",
        "zuppa di pesce fs, aringhe in salamoia fp, salmone affumicato ms, agnello arrosto ms, "
        "pane di segale ms, polpette con i mirtilli fp, merluzzo bollito ms, torta al rabarbaro "
        "fs, "
        "stufato di renna ms, patate novelle fp, frittelle alla cannella fp, gamberetti mp",
        "birra chiara fs, caffè lungo ms, tè nero ms, acquavite fs, cioccolata calda fs, succo di "
        "mirtilli ms, bicchiere di whisky ms",
        "maglione di lana ms, guanti di lana mp, coperta a quadri fs, tazza di legno fs, coltello "
        "ms, candela fs, vasetto di marmellata ms, berretto ms, sciarpa fs",
    ),
    "est": (
        "monastero ms, chiesa fs, fortezza fs, orto botanico ms, palazzo del vescovo ms, "
        "torre fs, bazar coperto ms, ponte di pietra ms, sinagoga fs, cattedrale fs, fontana fs, "
        "teatro ms, cimitero ms, acquedotto ms, rovine fp, museo delle icone ms",
        "zuppa di barbabietole fs, peperoni ripieni mp, involtini di cavolo mp, insalata di "
        "cetrioli "
        "fs, spiedini di agnello mp, sfoglia di spinaci fs, formaggio fritto ms, ravioli di carne "
        "mp, torta di noci fs, pesce alla griglia ms, gulasch ms, fagioli al forno mp, yogurt ms",
        "grappa di prugne fs, vino della casa ms, caffè turco ms, birra fs, tè alla menta ms, "
        "sciroppo di visciole ms, acqua di fonte fs",
        "icona fs, tappeto ms, camicia ricamata fs, vasetto di miele ms, cucchiaio di legno ms, "
        "teiera di smalto fs, scialle ms, brocca di rame fs, uovo dipinto ms",
    ),
    "arabo": (
        "moschea fs, medersa fs, minareto ms, mercato delle spezie ms, fortezza di fango fs, "
        "mausoleo ms, bagno pubblico ms, caravanserraglio ms, conceria fs, porta monumentale fs, "
        "cisterna fs, giardino di melograni ms, cittadella fs, palazzo ms, mura fp, cortile ms",
        "cuscus con le verdure ms, spiedini di agnello mp, zuppa di lenticchie fs, purè di ceci "
        "ms, "
        "melanzane al forno fp, focaccia al sesamo fs, stufato di pollo e limoni ms, riso con lo "
        "zafferano ms, datteri mp, insalata di prezzemolo fs, frittelle di fave fp, dolci al miele "
        "mp, olive nere fp, polpette al cumino fp",
        "tè alla menta ms, caffè al cardamomo ms, succo di melograno ms, spremuta d'arancia fs, "
        "latte di mandorle ms, tè nero ms, karkadè ms",
        "tappeto ms, teiera di ottone fs, scatola intarsiata fs, sacchetto di spezie ms, lampada "
        "di rame fs, babbucce fp, bracciale d'argento ms, scialle ms, vassoio ms",
    ),
    "himalaya": (
        "monastero ms, tempio ms, stupa ms, muro di preghiera ms, ponte sospeso ms, mulino di "
        "preghiera ms, palazzo reale ms, eremo ms, chiesa rupestre fs, mercato ms, piazza del "
        "tempio fs, statua fs, grotta fs, fortezza fs, terrazza fs",
        "ravioli al vapore mp, riso e lenticchie ms, zuppa di tagliolini fs, patate al curry fp, "
        "orzo tostato ms, formaggio secco ms, pane fritto ms, stufato di verdure ms, zuppa d'orzo "
        "fs, uova strapazzate fp, spinaci in padella mp, mais abbrustolito ms",
        "tè al burro ms, tè con il latte ms, birra d'orzo fs, infuso di zenzero ms, latte caldo "
        "ms, "
        "tè nero ms, acqua bollita fs",
        "campana di bronzo fs, bandiera di preghiera fs, coperta di lana fs, ciotola di legno fs, "
        "collana di turchesi fs, berretto di lana ms, tamburo ms, incenso ms, rotolo dipinto ms",
    ),
    "india": (
        "tempio ms, moschea fs, palazzo in rovina ms, fortezza fs, mercato dei fiori ms, vasca "
        "sacra fs, stazione coloniale fs, mausoleo ms, osservatorio ms, giardino ms, portico ms, "
        "scalinata fs, museo ms, pozzo a gradini ms, bazar ms",
        "riso con il cocco ms, lenticchie speziate fp, curry di pesce ms, frittelle di cipolla fp, "
        "focaccia di ceci fs, cavolfiore al cumino ms, spinaci e formaggio mp, crespelle di riso "
        "fp, mango maturo ms, yogurt con i cetrioli ms, pollo alle mandorle ms, banane fritte fp",
        "tè con il latte ms, latte di cocco ms, succo di canna ms, yogurt dolce ms, caffè ms, "
        "limonata salata fs, acqua di cocco fs",
        "stoffa di seta fs, elefantino di sandalo ms, scialle ms, bracciali mp, sacchetto di pepe "
        "ms, statuetta fs, quaderno di carta fatta a mano ms, sandali mp, incenso ms",
    ),
    "sudest": (
        "tempio ms, pagoda fs, mercato galleggiante ms, palazzo di legno ms, statua del Buddha fs, "
        "risaia fs, villaggio di palafitte ms, cimitero coloniale ms, ponte di bambù ms, stazione "
        "fs, monastero ms, rovine fp, fabbrica di ombrelli fs, mercato notturno ms",
        "zuppa di tagliolini fs, riso fritto ms, pesce in foglia di banana ms, curry verde ms, "
        "spiedini con le arachidi mp, insalata di papaia fs, involtini di verdure mp, gamberi alla "
        "piastra mp, frittata con le ostriche fs, ananas ms, riso dolce con il mango ms, germogli "
        "di bambù mp",
        "tè verde ms, birra ghiacciata fs, latte di cocco ms, caffè freddo ms, succo di lime ms, "
        "liquore di riso ms, acqua di cocco fs",
        "ombrello di carta ms, stoffa tinta fs, maschera di legno fs, cesto di bambù ms, scatola "
        "laccata fs, amaca fs, marionetta fs, campanella fs, cappello di paglia ms",
    ),
    "oriente": (
        "tempio ms, santuario ms, pagoda fs, giardino di pietre ms, castello ms, mercato coperto "
        "ms, casa da tè fs, ponte rosso ms, bagno termale ms, teatro ms, cimitero ms, porta di "
        "legno fs, boschetto di bambù ms, torre del tamburo fs, museo ms",
        "zuppa di tagliolini fs, riso con l'anguilla ms, ravioli alla piastra mp, tofu fritto ms, "
        "pesce crudo ms, frittella di cavolo fs, montone bollito ms, verdure in salamoia fp, "
        "castagne arrosto fp, polpette di riso fp, brodo di alghe ms, melanzane piccanti fp",
        "tè verde ms, sakè ms, birra fs, tè al gelsomino ms, latte caldo ms, infuso d'orzo ms, "
        "liquore di prugne ms",
        "ventaglio ms, teiera di ghisa fs, pennello ms, scatola di lacca fs, stampa fs, ciotola "
        "fs, aquilone ms, bacchette fp, stoffa di seta fs, lanterna di carta fs",
    ),
    "africa": (
        "mercato ms, moschea fs, faro ms, fortezza fs, stazione ferroviaria fs, chiesa di legno "
        "fs, villaggio di pescatori ms, piantagione di caffè fs, mercato del bestiame ms, scuola "
        "fs, baobab ms, pozzo ms, officina di tamburi fs, casa coloniale fs, granaio ms",
        "riso con il pesce ms, stufato di arachidi ms, pollo allo zenzero ms, pesce alla brace ms, "
        "banane fritte fp, fagioli e mais mp, focaccia di miglio fs, spiedini di capra mp, zuppa "
        "di manioca fs, mango ms, frittelle di fagioli fp, uova sode fp, avocado ms",
        "caffè ms, tè allo zenzero ms, birra fs, succo di ibisco ms, acqua di cocco fs, succo di "
        "tamarindo ms, aranciata fs",
        "stoffa colorata fs, tamburo ms, maschera di legno fs, cesto di paglia ms, collana di "
        "semi fs, cucchiaio di legno ms, sandali di cuoio mp, statuetta di ebano fs",
    ),
    "latino": (
        "cattedrale fs, chiesa barocca fs, mercato ms, convento ms, piazza con i portici fs, "
        "piramide fs, forte spagnolo ms, casa coloniale fs, museo ms, acquedotto ms, fabbrica di "
        "sigari fs, cimitero ms, fontana fs, teatro ms, stazione abbandonata fs, rovine fp",
        "fagioli neri con il riso mp, zuppa di mais fs, tortillas ripiene fp, pollo in salsa di "
        "cacao ms, empanadas fp, pesce marinato ms, bistecca fs, banane fritte fp, patate alla "
        "brace fp, minestra di quinoa fs, papaia fs, crema di avocado fs, tamales mp",
        "caffè nero ms, rum ms, mate ms, birra fs, cioccolata calda fs, succo di guava ms, "
        "infuso di coca ms, latte di cocco ms",
        "amaca fs, poncho ms, chitarra fs, cappello di paglia ms, coperta a righe fs, maschera di "
        "cartapesta fs, flauto ms, borsa tessuta a mano fs, scatola di sigari fs",
    ),
    "america": (
        "stazione degli autobus fs, museo ms, ponte di ferro ms, fattoria fs, chiesa di legno fs, "
        "biblioteca fs, faro ms, cimitero ms, segheria fs, tavola calda fs, libreria dell'usato "
        "fs, grattacielo ms, parco ms, teatro ms, mercato del sabato ms",
        "zuppa di vongole fs, bistecca con le patate fs, torta di zucca fs, panino al tonno ms, "
        "frittelle con lo sciroppo fp, pannocchie al burro fp, salmone alla griglia ms, pollo "
        "fritto ms, stufato di fagioli ms, granchio ms, crostata di mirtilli fs",
        "caffè lungo ms, birra fs, frappè ms, limonata fs, tè freddo ms, sidro ms, whisky ms",
        "cappello ms, camicia a quadri fs, disco ms, coperta fs, cintura di cuoio fs, libro usato "
        "ms, stivali mp, armonica fs, barattolo di sciroppo ms",
    ),
    "oceania": (
        "faro ms, giardino botanico ms, museo ms, molo ms, chiesa di legno fs, fattoria fs, casa "
        "delle riunioni fs, vigneto ms, cimitero dei marinai ms, mercato ms, acquario ms, "
        "stazione ferroviaria fs, capanna fs",
        "pesce con le patate ms, agnello arrosto ms, torta salata fs, pesce crudo al lime ms, "
        "zuppa di zucca fs, patate dolci fp, ostriche fp, meringa con la frutta fs, focaccia al "
        "cocco fs, cozze verdi fp, ananas ms",
        "birra fs, tè con il latte ms, vino bianco ms, caffè ms, acqua di cocco fs, succo d'ananas "
        "ms",
        "conchiglia fs, cappello di paglia ms, coperta di lana fs, cesto intrecciato ms, collana "
        "di giada fs, canoa in miniatura fs, stoffa dipinta fs",
    ),
}
_FIELDS = ("vedere", "cibo", "bere", "merce")

# Landscape by the tag of the town; "" applies everywhere.
LANDSCAPES = {
    "s": "spiaggia fs, scogliera fs, baia fs, molo ms, faro ms, porticciolo ms, insenatura fs, "
    "promontorio ms, costa fs, grotta marina fs, lungomare ms",
    "l": "lago ms, riva fs, pontile ms, canneto ms, isolotto ms, insenatura fs",
    "f": "fiume ms, argine ms, riva fs, ponte ms, isolotto ms, cascata fs, ansa del fiume fs",
    "m": "valle fs, cima fs, passo ms, pascolo ms, cresta fs, gola fs, bosco ms, altopiano ms, "
    "torrente ms, sentiero ms, cascata fs, dirupo ms",
    "d": "duna fs, oasi fs, pozzo ms, altopiano ms, pista fs, distesa di pietre fs, palmeto ms",
    "": "collina fs, strada bianca fs, viale ms, belvedere ms, orto ms, frutteto ms, prato ms, "
    "sentiero ms, radura fs",
}

_COMMON = {
    "gente": """vecchio pescatore ms, maestra in pensione fs, ragazzo del bar ms, coppia di sposi
        fs, studentessa fs, camionista ms, venditore di biglietti ms, fotografa fs, suonatore di
        fisarmonica ms, farmacista ms, guardiano ms, bambina con le trecce fs, pittore ms, vedova
        fs, calzolaio ms, infermiera fs, sarto ms, professore di storia ms, bigliettaio ms,
        contadina fs, muratore ms, giornalaio ms, pensionato ms, ostessa fs, libraio ms, soldato in
        licenza ms, orologiaio ms, venditrice di fiori fs, tassista ms, geologa fs, barbiere ms,
        signora con il cane fs, ragazza in bicicletta fs, fornaio ms, postino ms, custode ms,
        musicista ms, coppia di anziani fs, cameriera fs, botanico ms, falegname ms, dentista ms,
        pastore ms, insegnante di musica fs, commerciante di stoffe ms, traduttrice fs, cuoco ms,
        viaggiatore svedese ms, signore con i baffi ms, architetto ms, lavandaia fs, poeta ms,
        vigile ms, ballerina fs, vecchia fs, pompiere ms, levatrice fs, capostazione ms""",
    "alloggio": """albergo ms, pensione fs, locanda fs, ostello ms, alberghetto ms, foresteria fs,
        hotel ms, casa per ferie fs""",
    "stanza_cosa": """finestra fs, scrivania fs, specchio ms, lampada fs, balcone ms, stufa fs,
        armadio ms, terrazzino ms, poltrona fs, letto ms, lavandino ms, materasso ms, vasca fs""",
    "oggetto": """ombrello ms, taccuino ms, macchina fotografica fs, cappello ms, sciarpa fs, carta
        geografica fs, valigia fs, borsa fs, giacca fs, borraccia fs, coltellino ms, libro ms,
        rullino ms, impermeabile ms, penna fs, paio di occhiali ms, orologio ms, asciugamano ms,
        zaino ms, vocabolario ms, torcia fs, maglione ms, pettine ms, biglietto di ritorno ms""",
    "animale": """gatto ms, cane ms, asino ms, gallo ms, capra fs, corvo ms, mulo ms, cavallo ms,
        oca fs, rondine fs, pipistrello ms, cagnolino ms, gatta fs""",
    "bestiola": """gatto ms, gatta fs, cane ms, cagnolino ms, gallina fs, cucciolo ms, gattino ms,
        cagnetta fs, gallo ms, tortora fs, passero ms, colomba fs""",
    "suono": """campana fs, radio fs, fisarmonica fs, voce fs, motore ms, grido ms,
        coro ms, pianoforte ms, tamburo ms, canto ms, sirena fs, martello ms, tromba fs""",
    "odore": """pane ms, legna bruciata fs, caffè ms, sapone ms, pioggia fs, polvere fs, fumo ms,
        spezie fp, frutta matura fs, erba tagliata fs, cuoio ms, cera fs, resina fs, carbone ms""",
}

# category: (before the noun, after the noun), comma-separated masculine singulars
_ADJECTIVES = {
    "vedere": (
        "antico, piccolo, grande, vecchio, celebre, magnifico, strano, imponente, modesto, solenne",
        "restaurato* da poco, chiuso* per lavori, quasi deserto*, mezzo crollato*, famoso, "
        "deserto, "
        "silenzioso, dimenticato, pieno* di gente, annerito* dal fumo, coperto* d'edera, in pietra "
        "chiara, nascosto, affollato, costruito* nel {vecchio}, del {vecchio}, freddo* e buio*",
    ),
    "natura": (
        "lungo, grande, piccolo, stretto, vasto",
        "silenzioso, selvaggio, deserto, verdissimo, lontano, ripido, poco frequentato*, "
        "solitario, "
        "battuto* dal vento, scuro, luminoso, senza nome, pieno* di luce, assolato, ombroso",
    ),
    "cibo": (
        "ottimo, eccellente, discreto, squisito, modesto, abbondante, semplice, buonissimo",
        "saporito, un po' salato*, fumante, squisito, troppo piccante*, insipido, delicato, "
        "genuino, "
        "cucinato* a fuoco lento, preparato* dalla padrona, indimenticabile, memorabile",
    ),
    "bere": (
        "ottimo, discreto, pessimo",
        "forte, amaro, dolcissimo, appena fatto*, servito* in fretta",
    ),
    "gente": (
        "giovane, simpatico, gentile, distinto, allegro, anziano, taciturno, timido",
        "dalla voce roca, dagli occhi chiari, vestito* di nero, molto gentile, di poche parole, "
        "curioso, sorridente, con un cappello di paglia, dalle mani enormi, con l'accento del "
        "nord, "
        "loquace, malinconico, senza fretta, piuttosto distratto*",
    ),
    "merce": (
        "piccolo, vecchio, semplice, bello",
        "di poco prezzo, venuto* da lontano, di buona fattura, scelto* con cura, visto* il giorno "
        "prima, avvolto* in un giornale, un po' rovinato*, ancora impolverato*",
    ),
    "alloggio": (
        "piccolo, modesto, vecchio, grazioso, tranquillo, elegante, semplice, minuscolo",
        "vicino* alla stazione, in fondo a un vicolo, a conduzione familiare, accogliente, "
        "rumoroso, "
        "pulitissimo, un po' umido*, economico, dalle imposte verdi, con un cortile, fuori mano, "
        "davanti al mercato, silenzioso, senza ascensore, consigliato* dalla guida",
    ),
    "stanza_cosa": (
        "grande, vecchio, minuscolo, enorme",
        "cigolante, rotto, antico, verniciato* di bianco, di ferro, che non si chiudeva",
    ),
    "oggetto": ("vecchio, piccolo", "nuovo, grigio, preferito, di scorta, regalato* da un'amica"),
    "animale": ("vecchio, grosso, piccolo", "nero, bianco, zoppo, randagio, addormentato, magro"),
    "bestiola": ("vecchio, grosso, piccolo", "nero, bianco, zoppo, affamato, magro, spelacchiato"),
    "suono": ("", "lontano, monotono, ostinato, triste, allegro, sconosciuto, roco"),
}


@cache
def category(name: str, culture: str) -> tuple[Noun, ...]:
    """The nouns of a category; those of the culture, if it has its own."""
    if name in _FIELDS:
        return nouns(_CULTURES[culture][_FIELDS.index(name)])
    return nouns(_COMMON[name])


@cache
def landscape(tags: str) -> tuple[Noun, ...]:
    """The landscape around a town with these tags."""
    return tuple(noun for tag in (*tags.replace("g", ""), "") for noun in nouns(LANDSCAPES[tag]))


@cache
def adjectives(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The adjectives of a category: those before and those after the noun."""
    before, after = _ADJECTIVES.get(name, ("", ""))
    return (words(before) if before else ()), (words(after) if after else ())
