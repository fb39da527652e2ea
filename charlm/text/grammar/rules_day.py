"""Templates of the day: times, transport, weather, arrival, lodging, sights, excursions.

For the notation see template.py. Every sentence must hold for io and noi, for women and men, in
passato prossimo and in passato remoto; a sentence that holds only for some has flags.
"""

from __future__ import annotations

DAY: dict[str, tuple[str, ...]] = {
    # ----- adverbs of time ---------------------------------------------------------------------
    "tempo_mattina": (
        "{ora}",
        "{ora}",
        "di buon mattino",
        "la mattina presto",
        "subito dopo colazione",
        "a metà mattina",
        "prima che aprissero i negozi",
        "dopo [un caffè|una colazione in piedi]",
        "finita la colazione",
        "in mattinata",
        "appena {g=sveglio}",
        "dopo una notte [agitata|tranquilla|troppo breve|piena di sogni]",
    ),
    "tempo_tarda": (
        "in tarda mattinata",
        "posate le valigie",
        "senza nemmeno disfare le valigie",
        "prima di pranzo",
        "dopo [un caffè|un bicchiere d'acqua|una doccia]",
        "verso le undici",
        "lasciati i bagagli",
        "dopo un'ora di riposo",
        "cambiate le scarpe",
    ),
    "tempo_mezzogiorno": (
        "{ora}",
        "a mezzogiorno",
        "per pranzo",
        "verso mezzogiorno",
        "all'ora di pranzo",
        "a mezzogiorno e mezzo",
        "dopo tanto camminare",
        "a metà giornata",
    ),
    "tempo_pomeriggio": (
        "{ora} del pomeriggio",
        "dopo pranzo",
        "nel pomeriggio",
        "nel primo pomeriggio",
        "dopo [un breve riposo|una lunga siesta|un'ora di sonno]",
        "a metà pomeriggio",
        "nel tardo pomeriggio",
    ),
    "tempo_sera": (
        "{ora} di sera",
        "la sera",
        "al tramonto",
        "prima di cena",
        "a notte fatta",
        "verso sera",
        "a lampioni accesi",
        "calato il buio",
        "in serata",
    ),
    "poi": (
        "poi",
        "più tardi",
        "dopo un po'",
        "intanto",
        "nel frattempo",
        "dopo mezz'ora",
        "poco dopo",
        "alla fine",
        "a un certo punto",
        "subito dopo",
        "senza pensarci troppo",
        "un po' per caso",
    ),
    "attesa": (
        "{cifra.2-6} ore",
        "mezz'ora",
        "tre quarti d'ora",
        "quasi un'ora",
        "un'ora e mezza",
        "{num.21-55} minuti",
        "una buona mezz'ora",
        "più di un'ora",
        "due ore abbondanti",
    ),
    "cammino": (
        "per {attesa}",
        "per {num.3-19} chilometri",
        "senza fretta",
        "a passo svelto",
        "in silenzio",
        "senza una meta precisa",
        "[chiacchierando|canticchiando|guardando in su]",
        "piano piano",
        "con gli occhi aperti",
        "fino ad avere male ai piedi",
    ),
    # ----- transport at the destination -----------------------------------------------------------
    "mezzo_treno": (
        "in treno",
        "con il treno delle {orario}",
        "con un treno locale",
        "con il treno {treno}",
        "con un treno [lentissimo|pieno di soldati|di tre vagoni|in ritardo di {num.12-95} minuti]",
    ),
    "mezzo_bus": (
        "in autobus",
        "in corriera",
        "con la corriera delle {orario}",
        "con l'autobus numero {num.2-78}",
        "con una corriera [scassata|strapiena|verde e gialla|guidata da {nomem}]",
    ),
    "mezzo_barca": (
        "in barca",
        "con il traghetto",
        "con il battello delle {orario}",
        "con la barca di un [pescatore|barcaiolo|ragazzo] del posto",
        "con un battello [lentissimo|bianco|carico di merci]",
    ),
    "mezzo_auto": (
        "in macchina",
        "in taxi",
        "con un'auto a noleggio",
        "con un passaggio di {nome}",
        "con la macchina di {nome}, [vecchia di {num.11-32} anni|piena di sacchi|senza freni]",
    ),
    "via": (
        "una strada [polverosa|in salita|stretta|alberata|che non finiva mai|piena di buche]",
        "un viale [alberato|lungo e diritto|deserto]",
        "un vicolo [buio|in discesa|stretto]",
        "una scalinata di {num.48-390} gradini",
        "un muro [lunghissimo|coperto di scritte]",
        "un sentiero [ripido|fangoso|tra i campi|segnato male]",
        "una pista [sassosa|appena visibile]",
    ),
    # ----- weather: one kind for a whole entry -----------------------------------------------
    "cielo": (
        "(sun) Il cielo era [limpido|sereno|di un azzurro intenso] e [{il.natura} brillava|si "
        "vedeva bene {il.natura}|l'aria profumava di {nudo.odore}].",
        "(sun) C'era un bel sole [{su.natura}|sui tetti|già dal mattino] e [{g~camminare} "
        "volentieri|{il.natura} {p~sembrare} {p=vicino}|nessuno aveva fretta].",
        "(sun) Una giornata [splendida|limpida|luminosa]: {g~avere} voglia di [camminare|vedere "
        "tutto|perdere tempo|stare al sole], e [{il.natura} era a due passi|non c'era una nuvola].",
        "(heat) Faceva un caldo [terribile|soffocante|da non credere], {num.33-41} gradi "
        "all'ombra, [ma {g:uscire} lo stesso|e {g:bere} litri di acqua|e {il.natura} tremava nella "
        "luce].",
        "(heat) L'aria era [immobile|pesante|rovente]: [{il.animale} dormiva all'ombra|le strade "
        "{di.qui} erano vuote|{g~cercare} l'ombra dei muri] [e nessuno aveva fretta|e {nome} si "
        "faceva vento con un giornale|e non si muoveva una foglia].",
        "(heat) Con {num.34-42} gradi [perfino {il.animale} cercava riparo|{g:fare} due passi e "
        "{g:tornare} indietro|anche leggere era una fatica], [ma verso sera|e solo di notte] "
        "l'aria "
        "si faceva più [dolce|leggera].",
        "(rain) Pioveva [dall'alba|forte|piano|a dirotto|da due giorni] e [{il.natura} non si "
        "vedeva più|le strade {di.qui} luccicavano|{g~avere} le scarpe bagnate].",
        "(rain) La pioggia [non smetteva|batteva sui vetri|veniva di traverso], [così {g:aspettare}"
        " {attesa} sotto un portico|eppure {g:uscire} lo stesso, con l'ombrello di {nome}].",
        "(rain) Sotto la pioggia {il.natura} {p~sembrare} [più {p=scuro}|ancora più {p=bello}|un "
        "disegno a matita], e [{g:rimanere} a guardare {attesa}|nessuno {p~passare!}|l'aria "
        "odorava "
        "di {nudo.odore}].",
        "(wind) Tirava un vento [freddo|tiepido|fastidioso|fortissimo] che [sollevava la polvere|"
        "scuoteva le insegne {di.qui}|portava odore di {nudo.odore}|spazzava {il.natura}].",
        "(wind) {ms}Il vento {p:portare} via {il.oggetto!} di {nome}, e [{g:ridere} "
        "{quanto_ridere}|l'aria era piena di {nudo.odore}].",
        "(wind) {g:camminare} controvento [{cammino}|fino {a.natura}|tenendo stretta la giacca], "
        "sotto nuvole [veloci|bianche|sfilacciate].",
        "(fog) La nebbia [nascondeva|copriva|inghiottiva] {il.natura} [fin dal mattino|e "
        "{il.vedere}], e [si sentiva soltanto {un.suono}|{g:perdere} la strada due volte].",
        "(fog) {il.vedere} {p~apparire} e {p~sparire} nella nebbia [come in un sogno|a ogni passo|"
        "senza rumore].",
        "(cold) Faceva [freddo|un freddo secco|un freddo cane], [con {num.2-12} gradi sotto "
        "zero|il "
        "fiato si vedeva], e {g:entrare} {in.vedere!} per scaldar{mi} [un poco|le mani].",
        "(cold) Con quel freddo [le finestre {di.qui} erano tutte chiuse|{g:bere} {un.bere!} in un "
        "minuto|{il.natura} era senza un'anima], ma {g~avere} [due maglie|i guanti di {nome}|la "
        "sciarpa fino agli occhi].",
        "(snow) Nevicava [piano|fitto|dalla sera prima] e [{il.natura} era {p=bianco}|i rumori "
        "{di.qui} erano spenti|{g~lasciare} impronte profonde].",
        "(snow) C'erano {num.11-70} centimetri di neve [davanti alla porta|sui tetti|{su.natura}], "
        "e [gli autobus erano fermi|le scuole erano chiuse|{g:camminare} in mezzo alla strada].",
        "(storm) {ms}Un temporale [violento|improvviso] {mi} {p:sorprendere} [vicino {a.natura}|"
        "{ora}|a metà strada], e {g:trovare} riparo [{in.vedere}|sotto una tettoia|da {nome}].",
        "(storm) Si sentiva tuonare [dalla parte {di.vicino}|lontano|sopra {il.natura}], e "
        "[{il.animale} tremava|nelle case {di.qui} mancava la luce|l'aria odorava di "
        "{nudo.odore}].",
        "(cloud) Il cielo era [coperto|grigio|basso|color cenere], ma [non pioveva, e {il.natura} "
        "{p~essere} {p=bello} lo stesso|la luce {su.natura} era buona per le fotografie].",
        "(cloud) Nuvole [basse|lente|grigie] passavano {su.natura}, e [{g~guardare} in su ogni "
        "momento|nessuno sapeva dire se avrebbe piovuto|{un.suono} si sentiva da lontano].",
    ),
    # ----- arriving and lodging ----------------------------------------------------------------
    "arrivo": (
        "(solo) {g:arrivare} {a.qui} {mezzo}[, dopo {attesa} di viaggio| {ora}|, con {attesa} di "
        "ritardo], e {g:cercare} subito [un letto|{un.bere!}|una mappa|{il.vedere!}].",
        "(insieme) {g:arrivare} {a.qui} con {compagni} {mezzo}[, dopo {attesa} di curve| {ora}], "
        "[{g=stanco} e {g=affamato}|{g=stanco} ma {g=contento}|con {num.3-7} valigie].",
        "(insieme) {g:partire} [presto |]da {borgo} con {compagni} e {g:arrivare} "
        "{a.qui} {mezzo}[ {ora}|, dopo {attesa}].",
        "(insieme) Con {compagni} {g:lasciare} {borgo} [all'alba|di notte|a malincuore], e {ora} "
        "{g~essere} già {a.qui}.",
        "{ms}Il viaggio da {borgo} {p:durare!} {attesa}, [ma|e] dal finestrino {g:vedere} "
        "{un.natura} e {un.vedere}.",
        "(prossimo) Ecco{mi} {a.qui}, finalmente: {num.60-480} chilometri {mezzo}[, con una sosta "
        "a "
        "{borgo}|, quasi tutti di notte|].",
        "(solo) {g:lasciare} {borgo} [all'alba|di notte|senza rimpianti|a malincuore] e {ora} "
        "{g~essere} già {a.qui}, [con la valigia piena di libri|{g=stanco} {g=morto}|in piazza].",
        "(solo) {g:arrivare} {a.qui} da {g=solo}, {mezzo}, con {un.oggetto} e {num.2-9} libri "
        "[nella borsa|nello zaino|da leggere].",
        "La prima impressione {di.qui}: {un.vedere}, {un.natura} e un odore di {nudo.odore} e di "
        "{nudo.odore} [dappertutto|nell'aria|per le strade].",
    ),
    "alloggio": (
        "{g:trovare} posto in {un.casa}, stanza {stanza}, con {un.stanza_cosa} e {un.stanza_cosa}"
        "[, per {prezzo} a notte|].",
        "{g:scegliere} {un.casa}, a due passi {da.vedere!}, al numero {num.2-118} di [via|piazza] "
        "{via_nome}.",
        "{g:prendere} una camera in {un.casa}: {un.stanza_cosa}, {un.stanza_cosa} e la vista "
        "{su.natura}.",
    ),
    "dettaglio": (
        "La stanza {stanza} dà {su.natura} e ha {un.stanza_cosa} che {mi} ricorda {la_casa}.",
        "Dalla finestra si [vede|vedeva] {il.natura} e, [più in là|in fondo|dietro], {il.vedere}.",
        "Il padrone, {nomem}, {mi} {p:dare} la stanza {stanza}, quella con {il.stanza_cosa}, "
        "[senza volere la caparra|per {prezzo}|al terzo piano].",
        "{nomef}, la padrona {di.casa!}, [offre|regala a tutti"
        "|prepara] {un.cibo!} [a colazione|la sera].",
    ),
    "via_nome": ("(italia) {cognome}", "(estero) {borgo}"),
    "la_casa": (
        "la casa di {amica} a {casa_di}",
        "la camera [di nonna|di zia] {amica}",
        "la vecchia casa di via {cognome}",
        "il collegio di {casa_di}",
        "la soffitta di {amico}",
    ),
    # ----- seeing, walking -----------------------------------------------------------------------
    "visita": (
        "{quando} {g:visitare} {il.vedere!}, [{p=costruito}|{p=cominciato}|{p=finito}] nel "
        "{vecchio}.",
        "{quando} {g:andare} a vedere {il.vedere}, che {nome} {mi} aveva [consigliato|descritto "
        "per "
        "{attesa}].",
        "{quando} {g:andare} a vedere {il.vedere}, [a {num.2-9} chilometri {da.qui}|in fondo a "
        "{strada}|e lì vicino {il.vedere}].",
        "{quando} {g:entrare} {in.vedere} e {g:rimanere} {attesa} [in silenzio|in un angolo a "
        "disegnare|senza dire una parola|a guardare {un.gente!}].",
        "{quando} {g:salire} [su una torre|su una terrazza|fino in cima]: da lassù si "
        "vedevano i tetti {di.qui} e, [più lontano|in fondo|verso {vicino}], {il.natura}.",
        "{quando} {g:passare!} davanti {a.vedere!}, [ancora {p=chiuso}|{p=pieno} di gente|più "
        "{p=bello} che sulle cartoline].",
        "{quando} {g:cercare} {il.vedere} per {attesa}, e {g:trovare} invece {un.vedere} di cui la "
        "guida non [parla|dice niente|fa parola].",
        "(insieme) {quando} {gli} {p:volere} vedere {il.vedere}; io {n:preferire} {il.natura}.",
        "{quando} {g:fare} il giro {di.vedere!} con una guida, {nome}, che {p~parlare} [in "
        "fretta|a "
        "bassa voce|un italiano perfetto|con le mani] e {p~conoscere} ogni pietra.",
    ),
    "guarda": (
        "Il custode, {nomem}, {mi} {p:mostrare} {un.stanza_cosa} del {vecchio}[ e {un.merce}|, "
        "orgoglioso come un padre|].",
        "[Cosa curiosa|Una sorpresa|Da ricordare]: {un.vedere} accanto a {un.vedere}, [come se "
        "niente fosse|e in mezzo {un.animale}].",
        "{g:fotografare} {il.vedere} e {un.bestiola} che {p~dormire} [al sole|su un gradino|sotto "
        "un "
        "carro|tra due vasi].",
        "{poi} {g:camminare} {cammino} lungo {strada}, fino {a.natura}.",
        "{poi} {g:camminare} {cammino}, [tra {il.vedere} e {il.natura}|dietro {a.vedere}|dalle "
        "parti {di.vedere}].",
        "{poi} {g:seguire} {strada}, dove {un.bestiola} e {un.bestiola} [dormivano|si guardavano|"
        "litigavano|facevano compagnia a un vecchio].",
        "{poi} {g:sedersi} su [un muretto|una panchina|un gradino] [davanti {a.vedere}|di fronte "
        "{a.natura}] e {g:mangiare} [un'arancia|del pane|due biscotti|una mela].",
        "Su un muro qualcuno aveva scritto [«{nomef} ama {nomem}»|«{nomem}, torna»|il nome {nome} "
        "e "
        "una data, {vecchio}], e ci {g:pensare} per {attesa}.",
        "Dentro c'era un odore di {nudo.odore} e di {nudo.odore}, [e si sentiva {un.suono}|come "
        "{in_casa}].",
        "Una targa ricordava [che nel {vecchio} qui dormì un re|la piena del {vecchio}|l'incendio "
        "del {vecchio} e i suoi {num.3-90} morti|un poeta, {nomem}, nato nel {vecchio}].",
        "{ms}{g:fare} {num.3-36} fotografie {a.vedere} e una sola, [mossa|bellissima|di nascosto], "
        "{a.gente}.",
        "(s) Dal porto partiva un battello per {vicino}, e {g:guardare} [{un.gente}|i gabbiani|le "
        "reti e {un.animale}] per {attesa}.",
        "(s,caldo,!storm,!rain) {g:fare} il bagno per {attesa}: l'acqua era [limpida|tiepida|fresca"
        "|verde] e [si vedevano i pesci|non c'era nessuno|{un.animale} {mi} guardava dalla riva].",
        "(l) Il lago era [immobile|grigio|azzurro|increspato], e una barca [verde|bianca|vuota] "
        "aspettava vicino {a.natura}.",
        "(f) {g:attraversare} il fiume su un ponte [del {vecchio}|di {num.40-300} metri|di legno], "
        "e [di là|sull'altra sponda] {ce.vedere}.",
        "(m) A {metri} metri l'aria era [sottile|fina|pungente] e {g:camminare} {cammino} fino "
        "{a.natura}.",
        "(m) {g:salire} fino a {metri} metri, dove [c'era un rifugio del {vecchio}|pascolavano "
        "{num.5-60} pecore|il silenzio era assoluto], e {g:camminare} {cammino}.",
        "(d) Oltre le ultime case cominciava il deserto: {un.natura}, {un.natura} e [poi niente|"
        "{un.animale} in cammino].",
        "(g) Il traffico era [spaventoso|assordante|indescrivibile]: per arrivare {a.vedere} {g:"
        "impiegare} {attesa}.",
    ),
    "in_casa": ("in casa di zia {amica}", "a scuola a {casa_di}", "nella bottega di zio {amico}"),
    "giudizio": (
        "{a.qui} si sta bene: {un.suono} [la mattina|di notte], {il.natura} a due passi e {un.bere}"
        " a ogni ora.",
        "Non so dire che cosa {mi} piaccia {di.qui}: forse {il.natura}, forse l'odore di "
        "{nudo.odore}.",
        "{ms}L'odore di {nudo.odore} {mi} {p:piacere} più di tutto, più ancora {di.vedere}.",
        "Di {borgo} ricordo poco; {di.qui} voglio ricordare {il.natura} e l'odore di {nudo.odore}.",
        "Tra {il.vedere} e {il.natura}, [sceglierei il verde|non saprei scegliere|vince "
        "{un.bere}].",
        "[Pochi posti|Pochi luoghi] {mi} hanno messo [tanta allegria|tanta pace|tanta voglia di "
        "tornare]: {un.natura}, {un.suono} [a ogni ora|di notte|sotto casa] e nessuna fretta.",
    ),
    # ----- an excursion --------------------------------------------------------------------------
    "gita": (
        "{quando} {g:andare} {mezzo} {a.vicino}, [un paese|un villaggio] di {num.80-2400} abitanti "
        "a {num.6-48} chilometri {da.qui}.",
        "{quando} {g:fare} una gita {a.vicino}: {attesa} {mezzo}, poi {num.2-9} chilometri a piedi "
        "lungo {strada}.",
        "{quando} {nome} {mi} {p:portare} {a.vicino}, dove [è {p=nato} nel {nato}|{p~avere} una "
        "casa|si trova {il.vedere}].",
        "(insieme) {quando} {gli} {p:proporre} una gita {a.vicino}, [e {g:partire} subito|e dopo "
        "{attesa} {g~essere} in strada].",
    ),
    "gita_poi": (
        "{a.vicino} {ce.vedere} e poco altro, ma {g:rimanere} [{attesa}|fino a sera|più del "
        "previsto].",
        "(m) {il.vicino} [sta|si trova] a {metri} metri, e [d'inverno|quando piove] [ci vivono in "
        "{num.30-90}|la strada è chiusa].",
        "Il maestro {di.vicino}, un certo {certo}, {ms}{mi} {p:salutare} [come vecchi amici|dalla "
        "finestra|due volte].",
        "{g:tornare} {da.vicino} a piedi, {cammino}, con {un.animale} [dietro|davanti|che {mi} "
        "{p~seguire}].",
        "La festa {di.vicino} era [cominciata da poco|finita da {attesa}]: si sentiva {un.suono}, "
        "e "
        "{un.gente} ballava [senza nessuno|con {un.gente!}].",
        "{a.vicino} [tutti conoscono|nessuno conosceva] {nome}, {un.gente} che {mi} aveva scritto "
        "nel {dieci_prima}.",
    ),
    "certo": ("(italia) {cognome}", "(estero) {nomem}"),
}
