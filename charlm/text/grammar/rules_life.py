"""Templates of events: meals, meetings, talk, purchases, mishaps, evenings, memories."""

from __future__ import annotations

LIFE: dict[str, tuple[str, ...]] = {
    # ----- eating and drinking -------------------------------------------------------------------
    "pasto": (
        "{quando} {g:mangiare} {un.cibo} e {un.cibo} [in una trattoria|in un'osteria|a un banco] "
        "vicino {a.vedere!}[, per {prezzo}|].",
        "{quando} {g:fermarsi} in un'osteria [senza nome|con {num.3-9} tavoli|di {nomef}] e "
        "{g:ordinare} {un.cibo}.",
        "(insieme) {quando} io {n:prendere} {un.cibo}, {gli} {un.cibo}; [per tutti {un.bere}|il "
        "conto era di {prezzo}].",
        "{quando} {nomef} {mi} {p:preparare} {un.cibo} e {un.cibo}: [mai mangiato niente di simile|"
        "{mi} {s:guardare} mangiare senza parlare].",
        "{quando} {g:comprare} {un.cibo!} e {un.bere!} al mercato e {g:mangiare} [su un gradino|"
        "davanti {a.natura}|in piedi|sotto un albero].",
        "{quando} {g:pranzare} [da {nome}|dal cognato di {nome}|{a.casa!}]: {un.cibo}, poi "
        "{un.cibo} e {un.bere}.",
        "(sera) {g:cenare} tardi, con {un.cibo} e {un.bere}.",
    ),
    "sapore": (
        "Da bere {un.bere}, [che {n:bere} d'un fiato|che sapeva di {nudo.odore}|{p=servito} in un "
        "bicchiere scheggiato].",
        "{il.cibo!} {p~essere} [troppo {p=piccante}|{p=squisito}|un po' {p=salato}|proprio come "
        "{in_casa_c}], {il.bere!} [meno|no|anche].",
        "Per {il.cibo!}, {mi} {s:spiegare} {nome}, ci vogliono [{num.3-12} spezie|aglio e pazienza|"
        "{num.2-9} ore|il burro di {vicino} e molto tempo|buone mani].",
        "Al tavolo accanto {un.gente} e {un.gente} [discutevano di politica|giocavano a carte|"
        "mangiavano la stessa cosa|ridevano a ogni parola].",
        "{un.bestiola} [aspettava|passava|dormiva] sotto il tavolo, e {n:regalare} alla bestia "
        "[la crosta|un pezzo di pane|quel che restava].",
        "Il conto: {prezzo}[, {un.bere!} {p=compreso}|; {nomem} non {mi} {p:fare} sconti|, "
        "scritto a matita sulla tovaglia].",
        "La ricetta, scritta da {nomef} su un foglio, [comincia con|chiede] {num.2-8} uova e "
        "finisce "
        "con {un.bere!}.",
        "Tanti anni fa, a {casa_di}, zia {amica} {fs}{p~preparare} {un.cibo!} quasi {p=uguale}: "
        "[era "
        "il "
        "{nato}|ora capisco che le {p~riuscire} male|per un momento {n:tornare} a scuola].",
        "{un.bere} e [due chiacchiere con|una partita a carte con|un brindisi a] {nome} per "
        "finire[, e {g:rimanere} {attesa} a tavola|, senza guardare l'ora].",
    ),
    "in_casa_c": ("in casa di zia {amica}", "a {casa_di}", "lo fa {amica}"),
    # ----- meeting people ----------------------------------------------------------------------
    "incontro": (
        "{quando} [al caffè|alla fermata|sulla panchina accanto] {g:conoscere} {un.gente}, {nome}, "
        "che {mi} {p:raccontare} [{racconto}|la sua vita in {num.10-40} minuti].",
        "{quando} [davanti {a.vedere}|vicino {a.natura}] {un.gente} {mi} {p:chiedere} [una "
        "sigaretta|l'ora|notizie dell'Italia], poi {mi} {p:offrire} {un.bere}.",
        "{quando} {g:rivedere} {il.gente!} del giorno prima, {nome}, che {mi} {p:parlare} "
        "{di.vedere} e {di.natura}.",
        "{quando} [per strada|in un negozio|{in.vedere}] {g:fare} amicizia con {un.gente}, che "
        "{p~essere} {p=nato} nel {nato} [{a.vicino}|{a.altrove}].",
        "{quando} {un.gente} {mi} {p:accompagnare} fino {a.vedere}, [senza voler niente in cambio|"
        "parlando sempre|e lungo la strada {mi} {p:raccontare} {racconto}].",
    ),
    "racconto": (
        "che {il.vedere} {p:bruciare} nel {vecchio}",
        "la storia {di.vedere}",
        "di quando {p~lavorare} a {casa_di}",
        "di una figlia emigrata {a.lontano}",
        "di un fratello partito per {borgo} e mai tornato",
        "che da giovane {p~suonare} nelle feste",
        "di una notte passata {su.natura}",
        "che il nonno {ms}{p~avere} {num.4-12} figli e un mulo",
        "dell'inverno del {nato}",
        "di un tesoro sepolto sotto {il.vedere}",
        "che sognava di vedere {il.lontano}",
        "di aver vissuto {num.3-25} anni {a.lontano}",
    ),
    "dialogo": (
        "{scambio}",
        "{scambio}",
        "{scambio}",
        "«{consiglio}», {mi} {s:dire} {nome}, [e aveva ragione|ridendo|con l'aria di chi sa|e "
        "{mi} {p:indicare} {il.natura}].",
        "«{consiglio}», {s:ripetere} {il.gente}[ per la terza volta| a voce bassa|, {p=serio}|].",
        "(uno) «{voglia}», {s:dire} {gli}. «[Anch'io|Io no|Come vuoi]», {n:rispondere}, [e "
        "{g:andare} {a.natura}|e {g:ridere} {quanto_ridere}|guardando {il.natura}].",
        "(molti) «{voglia_noi}», {t:dire} {gli}. «[Anch'io|Io no|Come volete]», {n:rispondere}, [e "
        "{g:andare} {a.natura}|e {g:ridere} {quanto_ridere}].",
    ),
    "scambio": (
        "«[Viaggia per lavoro|È qui da molto]?», {mi} {s:chiedere} {il.gente}. «[Per {il.natura!} "
        "e "
        "per {il.cibo!}|Da {num.2-30} giorni|Torno sempre, dal {dieci_prima}]», {n:rispondere}.",
        "(solo) «Viaggia da {g=solo}?», {mi} {s:chiedere} {il.gente}. «[Sì, come nel {dieci_prima}|"
        "Con {il.oggetto!} e un libro|Da {num.2-40} giorni]», {n:rispondere}.",
        "(insieme) «E di dove siete?», {mi} {s:chiedere} {il.gente}. «[Di {casa_di}|Io di {casa_di}"
        "|Di un paese vicino a {casa_di}]», {n:dire}, e {il.gente} {p:annuire}.",
        "«Quanto costa {un.merce!}?» «{prezzo_q}.» «E {un.merce!}?» «[{prezzo_q}|La metà, "
        "{di_mese}|Come a {borgo}|Dipende da {nome}]», {s:dire} {il.gente}.",
        "«È lontano {vicino}?», {g:chiedere} a {un.gente}. «[{num.2-40} minuti a piedi|Meno di "
        "{borgo}|Basta seguire {il.natura!}]», {s:dire}, indicando {il.vedere}.",
        "«È aperto oggi il museo di {via_nome}?» «[Dal {vecchio}|Finché c'è {nome}|Sì, ma non "
        "{di_mese}"
        "|Lo sa {nome}]», {s:rispondere} {un.gente}.",
        "(insieme) «Avete assaggiato {il.cibo!}?», {s:domandare} {nome}. «[Non ancora|Due volte|"
        "Sì, da {nome}]», {n:rispondere}, pensando {a.cibo}.",
        "(solo) «Ha assaggiato {il.cibo!}?», {mi} {s:domandare} {nome}. «[Non ancora|Due volte|"
        "Sì, da {nome}]», {n:rispondere}, pensando {a.cibo}.",
        "«È vero che in Italia si mangia [la pasta|il risotto|la polenta|la pizza] ogni giorno?», "
        "{s:chiedere} {nome}. «[A {casa_di} sì|Solo {di_mese}|Da zia {amica} sì]», {n:ammettere}.",
        "«Di chi è {il.animale}?», {g:domandare}. «[Di {nome}|Di tutti|Di nessuno, dal "
        "{dieci_prima}]», {s:rispondere} {il.gente}.",
    ),
    "quanto_ridere": ("fino alle lacrime", "per {num.2-9} minuti", "fino {a.natura}"),
    "voglia": (
        "Voglio [vedere {il.vedere!}|tornare {a.vicino}|dormire {attesa}|comprare {un.merce!}]",
        "Ho [fame|sete]: {un.cibo!}, {un.bere!} e sono a posto",
    ),
    "voglia_noi": (
        "Vogliamo [vedere {il.vedere!}|tornare {a.vicino}|dormire {attesa}|comprare {un.merce!}]",
        "Abbiamo [fame|sete]: {un.cibo!}, {un.bere!} e siamo a posto",
    ),
    "consiglio": (
        "Attenti {a.animale!}, [morde|è di {nome}|non è sempre di buon umore]",
        "Chi beve {il.bere!} {di.qui} torna sempre",
        "{il.vicino} è meglio {di.qui}",
        "Il segreto è [partire presto|non avere fretta|{un.bere!} prima di dormire]",
        "Non si può partire senza vedere {il.vedere!}",
        "Qui {un.cibo!} cura tutto",
        "Mai fidarsi [del cielo|degli orari|di chi ha fretta], {di_mese}",
        "{il.natura!} va [vista|guardata] all'alba, {di_mese}",
        "Nel {dieci_prima} qui non c'era [niente|nemmeno la luce|un solo turista]",
    ),
    "di_mese": ("a {mese}", "d'inverno", "di domenica", "con questo tempo", "dopo mezzogiorno"),
    # ----- buying ------------------------------------------------------------------------------
    "compere": (
        "{quando} {g:comprare} {un.merce} per {prezzo}[, dopo {attesa} di trattative|, da "
        "{un.gente}"
        "|; {n:sapere} poi che ne valeva la metà].",
        "{quando} al mercato {g:vedere} {un.merce}, {un.merce} e {un.animale} [in vendita|legato a "
        "una sedia|].",
        "{quando} {un.gente} {mi} {p:vendere} {un.merce} per {prezzo}, [giurando che era del "
        "{vecchio}|ridendo sotto i baffi|e {mi} {p:regalare} {un.merce!}].",
        "(insieme) {quando} {gli} {p:comprare} {un.merce} per {prezzo}; io [niente|solo "
        "{un.merce!}|"
        "{un.cibo!}].",
    ),
    "compere_poi": (
        "{un.merce} costava {prezzo}: {g:rinunciare}, e un poco {n:pentirsi}.",
        "Il venditore, {nomem}, sapeva dire in italiano «[grazie|bello bello|buon prezzo|ciao]» e "
        "«{casa_di}».",
        "{il.merce!} [è|sarà] per {amica}, {il.merce!} per {amico}, [il resto per me|e per zia "
        "{amica} una cartolina].",
        "Tra i banchi c'era odore di {nudo.odore}, di {nudo.odore} e di {nudo.odore}.",
        "{g:cambiare} {prezzo} in una banca [con {num.2-6} sportelli|dove nessuno aveva fretta"
        "|di via {via_nome}], e {g:aspettare} {attesa}.",
        "{g:spedire} {num.2-14} cartoline [con il francobollo di un uccello|a {casa_di}|agli amici "
        "di {casa_di}], una {a_zia}.",
    ),
    "a_zia": ("a zia {amica}", "a {amico}", "al professor {cognome}", "alla signora {cognome}"),
    # ----- mishaps -----------------------------------------------------------------------------
    "guaio": (
        "{quando} {n:accorgersi} di aver perso {il.oggetto}, forse [{in.vedere}|{su.natura}|"
        "{a.vicino}|in corriera].",
        "(bus) {quando} la corriera per {borgo} non {fs}{p:partire,mai}: [guasta|piena|in sciopero|"
        "senza autista], e {g:aspettare} {attesa}.",
        "(treno) {quando} il treno {treno} {ms}{p:partire} con {num.25-190} minuti di ritardo, e "
        "{g:aspettare} in stazione.",
        "{quando} {g:sbagliare} strada e {g:finire!} [{a.vicino}|davanti a {un.vedere}|in un "
        "cortile "
        "con {un.animale}].",
        "(insieme) {quando} {gli} {p:perdere} {il.oggetto}: {g:cercare} per {attesa} [dappertutto|"
        "{in.vedere!}|senza speranza].",
        "{quando} {n:svegliarsi} con [il mal di testa|il mal di denti|la febbre a {num.37-39}|la "
        "schiena a pezzi], colpa {di.cibo!} o {di.stanza_cosa}.",
        "{quando} {un.animale} {mi} {p:rubare} [il pane|mezzo panino|la merenda] [{su.natura}|"
        "davanti {a.vedere}|sotto gli occhi di {nome}].",
    ),
    "rimedio": (
        "Per fortuna {un.gente} {mi} {p:aiutare}, [e in cambio {g:offrire} {un.bere}|senza dire "
        "una "
        "parola|e {mi} {p:prestare} {un.oggetto!}].",
        "{g:chiedere} aiuto a {un.gente}: {p~conoscere} [{nome}|il capostazione|mezzo paese], e in "
        "{attesa} tutto era a posto.",
        "{nome} [dice|ripete] che {a.qui} [succede ogni giorno|capita solo agli stranieri|porta "
        "fortuna], e {mi} {p:offrire} {un.bere}.",
        "Pazienza: {g:comprare} {un.oggetto!} per {prezzo} e ci {g:ridere} sopra.",
        "{n:arrabbiarsi} per {attesa}, poi {g:vedere} {il.natura} e {fs}la rabbia {p:passare!}.",
    ),
    # ----- evening -----------------------------------------------------------------------------
    "sera": (
        "{quando} {g:rimanere} [sul balcone|in cortile|alla finestra|in terrazza] ad ascoltare "
        "{un.suono} e {un.suono}.",
        "{quando} {g:giocare} a carte con {un.gente} e {un.gente}: {g:perdere} {prezzo}[, "
        "{un.bere!}"
        " {p=compreso}|].",
        "{quando} {g:tornare} {a.casa!} [a piedi|{mezzo}|lungo {strada}], [{g=stanco} {g=morto}|"
        "{g=contento}|con le scarpe in mano|con odore di {nudo.odore} addosso].",
        "(insieme) {quando} {gli} {p:addormentarsi} subito; io {n:leggere} {num.12-140} pagine e "
        "{n:ascoltare} {un.suono}.",
        "{quando} {n:scrivere} [a {amica}|a {amico}|a {amica} e {amico}] una lettera di "
        "{num.2-9} pagine [sulla gente|sul cielo|sulle stranezze] {di.qui}.",
        "{quando} {nome} {mi} {p:cantare} una canzone del {nato}, [con {un.suono!} sotto|e {un."
        "gente!} batteva il tempo|senza ricordare le parole].",
    ),
    "pensiero": (
        "(prossimo) Domani {g>partire} per {borgo}, {mezzo}, [se il tempo tiene|se {nome} "
        "mantiene la parola|e {mi} dispiace già].",
        "(prossimo) Domani {g>vedere} {il.vedere} e, [con un po' di fortuna|se resta "
        "tempo|all'alba]"
        ", {il.natura}.",
        "(prossimo) [Non dimenticherò|Voglio ricordare]: {un.gente}, {un.suono}, l'odore di "
        "{nudo.odore}.",
        "Spese del giorno: {prezzo} per [mangiare|dormire|il viaggio], {prezzo} per {un.merce!}.",
        "Prima di dormire {n:pensare} a {amica}, a {casa_di}, [a "
        "{un.natura}|{a.vedere}|{a.gente}].",
        "(insieme) [Con {gli} si viaggia bene|Viaggiare con {gli} è un piacere]: [poche "
        "parole|molte"
        " risate], {un.bere!} e {un.cibo!} [ogni giorno|quando capita].",
        "[Chissà|Mi domando] se {amica} [capirebbe|amerebbe] {il.natura}, {il.suono}, {il.cibo!}.",
        "{num.4-28} chilometri a piedi, {num.2-9} caffè, {num.2-5} vesciche: [che giornata|si può "
        "fare meglio|{un.animale!} {mi} {p:insegnare} la calma].",
    ),
    # ----- memories: other years in the story --------------------------------------------------
    "ricordo": (
        "Nel {anno_prima} ero {n=stato} {a.lontano} con {amica}, e anche lì c'era {un.natura} "
        "[come questo|che somigliava a questo|da togliere il fiato].",
        "{a.lontano}, nel {anno_prima}, {g:trovare} [lo stesso vento|lo stesso odore di "
        "{nudo.odore}|la stessa luce|la stessa stanchezza] e {un.suono}.",
        "Dal {anno_prima}, quando {n^andare} {a.lontano} per la prima volta, non {n^vedere,mai} "
        "[tanta gente|tanta luce|tante stelle] [sopra {un.natura}|intorno a {un.vedere}].",
        "Mio nonno {amico}, nato nel {nonno}, diceva sempre che [viaggiare|camminare|partire] è "
        "[come {un.bere!}|meglio {di.bere!}|la cura di {num.3-9} malattie].",
        "La guida, stampata nel {anno_prima}, al posto {di.vedere} segna {un.vedere}.",
    ),
}
