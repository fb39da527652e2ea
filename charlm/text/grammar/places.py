"""Destinations: countries and their towns, each with its Italian prepositions.

A line of the table: name | article | preposition | culture | climate | how to arrive | how to move
about | currency | first year | towns. A culture may have an accent for names ("europa-fr").
Prepositions: "in" (in Nepal), "a" (a Cuba), "in+", "a+", "su+" with the article (negli Stati Uniti,
alle Maldive, sul Lago di Garda). Climate: m mediterranean, t temperate, n nordic, a alpine, h
Himalayan, e tropical, d desert, s southern temperate. Means: t train, b bus, n boat, c car, p
plane. Behind each town's "/": s sea, l lake, f river, m mountains, d desert, g large. A "^" marks a
town whose name has its article (Il Cairo: al Cairo).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from charlm.text.grammar.chance import Rng, pick
from charlm.text.grammar.words import articulated, glued

_TABLE = """
Sicilia|la|in|italia|m|ntcp|tbc|lire|0|Palermo/sg, Catania/sg, Siracusa/s, Noto, Agrigento, Trapani/s, Taormina/sm, Cefalù/s, Erice/m, Ragusa, Modica, Sciacca/s, Enna/m
Sardegna|la|in|italia|m|np|tbc|lire|0|Cagliari/sg, Alghero/s, Bosa/sf, Nuoro/m, Oristano, Orgosolo/m, Sassari, Olbia/s
Toscana|la|in|italia|t|tbc|tbc|lire|0|Firenze/gf, Siena, Lucca, Pisa/f, Arezzo, Volterra, Cortona, Pienza, Livorno/s, San Gimignano, Pistoia, Barga/m
Umbria|la|in|italia|t|tbc|tbc|lire|0|Perugia/g, Assisi/m, Spoleto/m, Orvieto, Gubbio/m, Norcia/m, Todi, Spello
Puglia|la|in|italia|m|tbc|tbc|lire|0|Bari/sg, Lecce, Otranto/s, Ostuni, Gallipoli/s, Trani/s, Vieste/s, Locorotondo, Monopoli/s
Liguria|la|in|italia|m|tbc|tbcn|lire|0|Genova/sg, Camogli/s, Lerici/s, Sanremo/s, Finale Ligure/s, Dolceacqua/fm, Chiavari/s, ^La Spezia/s
Calabria|la|in|italia|m|tbc|tbc|lire|0|Tropea/s, Scilla/s, Cosenza/m, Gerace/m, Reggio Calabria/s, Stilo/m
Campania|la|in|italia|m|tbc|tbcn|lire|0|Napoli/sg, Salerno/s, Amalfi/s, Positano/s, Sorrento/s, Benevento, Pompei, Agropoli/s
Basilicata|la|in|italia|m|tbc|bc|lire|0|Matera, Maratea/sm, Melfi, Castelmezzano/m, Venosa
Piemonte|il|in|italia|t|tbc|tbc|lire|0|Torino/gfm, Alba, Cuneo/m, Orta/l, Stresa/l, Saluzzo/m, Susa/m, Barolo
Valle d'Aosta|la|in|italia|a|tbc|bc|lire|0|Aosta/m, Cogne/m, Courmayeur/m, Gressoney/m
Friuli|il|in|italia|t|tbc|tbc|lire|0|Udine, Cividale/f, Gorizia/f, Tarvisio/m, Grado/s, Spilimbergo/f
Veneto|il|in|italia|t|tbc|tbcn|lire|0|Verona/fg, Padova, Vicenza, Chioggia/s, Asolo, Bassano/f, Belluno/m, Treviso/f
Lombardia|la|in|italia|t|tbc|tbc|lire|0|Mantova/l, Bergamo, Cremona/f, Pavia/f, Bormio/m, Chiavenna/m, Como/lm
Marche|le|in+|italia|t|tbc|tbc|lire|0|Urbino, Ancona/sg, Ascoli, Recanati, Fano/s, Numana/s
Abruzzo|l'|in|italia|a|tbc|tbc|lire|0|^L'Aquila/m, Sulmona/m, Scanno/lm, Pescasseroli/m, Vasto/s
Molise|il|in|italia|m|tbc|tbc|lire|0|Termoli/s, Agnone/m, Campobasso, Isernia/m
Lago di Garda|il|su+|italia|t|bc|bnc|lire|0|Riva/lm, Malcesine/lm, Sirmione/l, Salò/l, Limone/lm, Torri/l
Lago Maggiore|il|su+|italia|t|tbc|bnt|lire|0|Cannobio/lm, Verbania/lm, Arona/l, Luino/l
Dolomiti|le|su+|italia|a|bc|bc|lire|0|Cortina/m, Ortisei/m, Canazei/m, Dobbiaco/ml, Corvara/m, Moena/m
Cinque Terre|le|a+|italia|m|t|tn|lire|0|Vernazza/s, Corniglia/s, Manarola/s, Riomaggiore/s, Monterosso/s
Costiera Amalfitana|la|su+|italia|m|bcn|bn|lire|0|Ravello/sm, Praiano/s, Cetara/s, Minori/s
isola d'Elba|l'|a+|italia|m|n|bnc|lire|0|Portoferraio/s, Marciana/sm, Porto Azzurro/s, Capoliveri/s
isole Eolie|le|a+|italia|m|n|n|lire|0|Lipari/s, Malfa/s, Stromboli/sm, Santa Marina/s
isole Egadi|le|a+|italia|m|n|n|lire|0|Favignana/s, Levanzo/s, Marettimo/sm
Procida||a|italia|m|n|nb|lire|0|Corricella/s, Chiaiolella/s
Ischia||a|italia|m|n|nb|lire|0|Forio/s, Lacco Ameno/s, Sant'Angelo/s
Pantelleria||a|italia|m|np|bc|lire|0|Gadir/s, Scauri/s, Khamma/s
Corsica|la|in|europa-fr|m|n|tbc|franchi|0|Bastia/s, Ajaccio/s, Corte/m, Calvi/s, Bonifacio/s, Sartène/m
Provenza|la|in|europa-fr|m|tc|tbc|franchi|0|Arles/f, Avignone/f, Aix, Marsiglia/sg, Gordes/m, Apt
Bretagna|la|in|europa-fr|t|tc|tbc|franchi|0|Saint-Malo/s, Quimper/f, Brest/s, Rennes/g, Vannes/s, Roscoff/s
Normandia|la|in|europa-fr|t|tc|tbc|franchi|0|Rouen/f, Honfleur/s, Dieppe/s, Étretat/s, Caen, Fécamp/s
Borgogna|la|in|europa-fr|t|tc|tbc|franchi|0|Digione/g, Beaune, Autun, Vézelay, Cluny
Alsazia|l'|in|europa-fr|t|tc|tbc|franchi|0|Strasburgo/gf, Colmar, Riquewihr, Obernai
Spagna|la|in|europa-ib|m|ptc|tbc|pesetas|0|Madrid/g, Toledo/f, Salamanca/f, Segovia, Saragozza/fg, Cuenca/m, Burgos, Valencia/sg
Andalusia|l'|in|europa-ib|m|ptc|tbc|pesetas|0|Siviglia/fg, Granada/m, Cordova/f, Cadice/s, Ronda/m, Tarifa/s, Úbeda
Galizia|la|in|europa-ib|t|ptc|tbc|pesetas|0|Santiago, Pontevedra/s, Lugo, ^La Coruña/sg, Muros/s
Portogallo|il|in|europa-ib|m|ptc|tbc|escudos|0|Lisbona/gfs, Porto/gfs, Coimbra/f, Évora, Sintra/m, Lagos/s, Nazaré/s, Braga
Azzorre|le|a+|europa-ib|t|p|nbc|escudos|0|Ponta Delgada/s, Angra/s, Horta/s, Furnas/l
Madera||a|europa-ib|m|p|bc|escudos|0|Funchal/s, Machico/s, Câmara de Lobos/s, Santana/m
Germania|la|in|europa-de|t|ptc|tbc|marchi|0|Berlino/gf, Lubecca/s, Dresda/fg, Bamberga/f, Friburgo/m, Heidelberg/f, Tubinga/f, Amburgo/gs
Baviera|la|in|europa-de|a|tbc|tbc|marchi|0|Monaco/g, Ratisbona/f, Füssen/ml, Lindau/l, Passavia/f, Mittenwald/m
Austria|l'|in|europa-de|a|tbc|tbc|scellini|0|Vienna/gf, Salisburgo/fm, Graz/f, Innsbruck/mf, Hallstatt/lm, Linz/f
Tirolo|il|in|europa-de|a|tbc|tbc|scellini|0|Kufstein/mf, Hall/m, Lienz/m, Landeck/m
Svizzera|la|in|europa-de|a|tbc|tbcn|franchi svizzeri|0|Berna/f, Lucerna/lm, Lugano/lm, Coira/m, Basilea/fg, Losanna/l, Zermatt/m, Sion/m
Engadina|l'|in|europa-de|a|tbc|tbc|franchi svizzeri|0|Scuol/m, Zuoz/m, Sils/lm, Guarda/m
Belgio|il|in|europa-fr|t|ptc|tbc|franchi belgi|0|Bruges, Gand/f, Bruxelles/g, Anversa/fsg, Ostenda/s, Lovanio
Paesi Bassi|i|in+|europa-nl|t|ptc|tbc|fiorini|0|Amsterdam/gs, Delft, Utrecht, Haarlem, ^L'Aia/sg, Leida, Groninga
Inghilterra|l'|in|europa-en|t|ptc|tbc|sterline|0|Londra/gf, York/f, Bath/f, Oxford/f, Brighton/s, Durham/f, Whitby/s, Penzance/s
Scozia|la|in|nord-en|n|ptc|tbcn|sterline|0|Edimburgo/gs, Inverness/f, Oban/s, Stirling, Ullapool/sm, Portree/sm, Dundee/s
Galles|il|in|nord-en|t|tc|tbc|sterline|0|Cardiff/gs, Conwy/s, Tenby/s, Harlech/s, Brecon/m, Aberystwyth/s
Irlanda|l'|in|nord-en|n|pnc|tbc|sterline irlandesi|0|Dublino/gs, Galway/s, Cork/s, Kilkenny/f, Dingle/s, Sligo/s, Westport/s
Islanda|l'|in|nord|n|pn|bc|corone|0|Reykjavík/s, Akureyri/sm, Húsavík/s, Vík/s, Ísafjörður/sm, Seyðisfjörður/sm
Norvegia|la|in|nord|n|pnc|tbcn|corone|0|Oslo/gs, Bergen/sm, Tromsø/sm, Ålesund/s, Bodø/s, Flåm/sm, Stavanger/s
Lofoten|le|a+|nord|n|pn|nbc|corone|0|Svolvær/sm, Henningsvær/sm, Reine/sm, Å/sm
Svezia|la|in|nord|n|ptc|tbcn|corone|0|Stoccolma/gs, Uppsala/f, Göteborg/sg, Malmö/s, Kalmar/s, Lund, Visby/s
Danimarca|la|in|nord|t|ptc|tbcn|corone|0|Copenaghen/gs, Aarhus/s, Ribe, Odense, Helsingør/s, Skagen/s
Finlandia|la|in|nord|n|pn|tbcn|marchi finlandesi|0|Helsinki/gs, Turku/sf, Porvoo/f, Savonlinna/l, Kuopio/l, Rovaniemi/f
Lapponia|la|in|nord|n|pc|bc|corone|0|Kiruna/m, Inari/l, Jokkmokk, Karasjok/f
Estonia|l'|in|nord|n|pn|tbc|corone|1991|Tallinn/gs, Tartu/f, Pärnu/s, Haapsalu/s, Viljandi/l
Lettonia|la|in|nord|n|p|tbc|lats|1991|Riga/gfs, Cēsis, Kuldīga/f, Liepāja/s
Lituania|la|in|nord|n|p|tbc|litas|1990|Vilnius/gf, Kaunas/f, Nida/s, Trakai/l
Polonia|la|in|est|t|ptc|tbc|zloty|0|Cracovia/gf, Varsavia/gf, Danzica/sg, Breslavia/fg, Toruń/f, Lublino, Zakopane/m
Boemia|la|in|est|t|tc|tbc|corone|0|Praga/gf, Pilsen, Telč, Karlovy Vary/f, Tábor, Krumlov/f
Slovacchia|la|in|est|t|tc|tbc|corone|1993|Bratislava/gf, Levoča, Bardejov, Košice, Poprad/m
Ungheria|l'|in|est|t|ptc|tbc|fiorini|0|Budapest/gf, Eger, Pécs, Szeged/f, Sopron, Tihany/l
Romania|la|in|est|t|ptc|tbc|lei|0|Bucarest/g, Brașov/m, Sibiu/m, Sighișoara, Cluj, Suceava, Timișoara/g
Bulgaria|la|in|est|t|ptc|tbc|lev|0|Sofia/gm, Plovdiv/f, Veliko Tarnovo/f, Melnik/m, Nesebar/s, Koprivštica/m
Slovenia|la|in|est|a|tbc|tbc|talleri|1991|Lubiana/f, Pirano/s, Bled/lm, Maribor/f, Ptuj/f, Bohinj/lm
Croazia|la|in|est|m|ncb|bcn|kune|1994|Zagabria/g, Spalato/s, Zara/s, Rovigno/s, Ragusa di Dalmazia/s, Sebenico/s
Dalmazia|la|in|est|m|nc|bcn|dinari|0|Traù/s, Curzola/s, Lesina/s, Macarsca/sm
Bosnia|la|in|est|t|cb|tbc|marchi|1996|Sarajevo/mf, Mostar/f, Jajce/f, Travnik/m, Višegrad/f
Montenegro|il|in|est|m|cn|bc|marchi|1997|Cattaro/sm, Perasto/sm, Cettigne/m, Antivari/s
Albania|l'|in|est|m|npc|bc|lek|1992|Tirana/g, Berat/f, Argirocastro/m, Saranda/s, Scutari/lm, Korça/m
Macedonia|la|in|est|t|cb|bc|dinari|0|Ocrida/lm, Skopje/gf, Bitola/m, Kratovo/m
Grecia|la|in|est-gr|m|pnc|tbcn|dracme|0|Atene/g, Salonicco/sg, Nauplia/s, Delfi/m, Monemvasia/s, Giannina/lm, Kalambaka/m
Creta||a|est-gr|m|pn|bcn|dracme|0|Candia/s, La Canea/s, Retimo/s, Siteia/s, Paleochora/s
Rodi||a|est-gr|m|pn|bcn|dracme|0|Lindo/s, Kamiros/s, Archangelos
Cicladi|le|in+|est-gr|m|n|nb|dracme|0|Naxos/s, Milo/s, Sifno/s, Paro/s, Amorgo/s, Folegandro/s
Corfù||a|est-gr|m|np|bcn|dracme|0|Paleokastritsa/s, Kassiopi/s, Lefkimmi/s
Cipro||a|est-gr|m|pn|bc|sterline cipriote|0|Pafo/s, Larnaca/s, Nicosia/g, Lefkara/m
Malta||a|europa-en|m|pn|bn|lire maltesi|0|^La Valletta/s, Medina, Marsaxlokk/s, Rabat
Turchia|la|in|arabo|t|pnc|tbcn|lire turche|0|Istanbul/gs, Ankara/g, Konya, Smirne/sg, Mardin/m, Kars/m, Safranbolu/m, Trebisonda/s
Cappadocia|la|in|arabo|t|p|bc|lire turche|0|Göreme, Ürgüp, Avanos/f, Uçhisar/m
Georgia|la|in|est|a|p|tbc|lari|1995|Tbilisi/gf, Kutaisi/f, Batumi/s, Mestia/m, Telavi/m, Sighnaghi/m
Armenia|l'|in|est|a|p|tbc|dram|1994|Erevan/g, Gyumri, Dilijan/m, Goris/m, Sevan/lm
Marocco|il|in|arabo|m|pn|tbc|dirham|1957|Fez/g, Marrakech/g, Essaouira/s, Tangeri/sg, Chefchaouen/m, Meknès, Zagora/d, Merzouga/d, Tafraout/m
Tunisia|la|in|arabo|m|pn|tbc|dinari|1958|Tunisi/gs, Kairouan, Tozeur/d, Mahdia/s, Douz/d, Biserta/s, Matmata/d
Egitto|l'|in|arabo|d|pn|tbcn|lire egiziane|0|^Il Cairo/gf, Alessandria/sg, Luxor/f, Assuan/f, Siwa/d, Esna/f
Giordania|la|in|arabo|d|p|bc|dinari|0|Amman/g, Petra/md, Aqaba/s, Madaba, Karak/m, Wadi Musa/md
Libano|il|in|arabo|m|p|bc|lire libanesi|0|Beirut/gs, Biblo/s, Tripoli/s, Zahle/m, Tiro/s
Oman|l'|in|arabo|d|p|bc|rial|1972|Mascate/s, Nizwa/d, Sur/s, Salalah/s, Ibra/d
Yemen|lo|in+|arabo|d|p|bc|rial|1972|Sana'a/gm, Shibam/d, Aden/s, Ta'izz/m
Iran|l'|in|arabo|d|p|tbc|rial|0|Isfahan/gf, Shiraz/g, Yazd/d, Tabriz/m, Kashan/d, Teheran/gm
Uzbekistan|l'|in|arabo|d|p|tbc|sum|1994|Samarcanda/g, Bukhara/d, Khiva/d, Tashkent/g
Nepal|il|in|himalaya|h|p|bc|rupie|0|Katmandu/mg, Pokhara/lm, Bhaktapur/m, Patan/m, Namche/m, Jomsom/m, Bandipur/m, Tansen/m
Tibet|il|in|himalaya|h|p|bc|yuan|1985|Lhasa/mg, Shigatse/m, Gyantse/m, Sakya/m, Tingri/m
Ladakh|il|in|himalaya|h|p|bc|rupie|1975|Leh/m, Alchi/mf, Kargil/mf, Diskit/md
Bhutan|il|in|himalaya|h|p|bc|ngultrum|1975|Thimphu/m, Paro/mf, Punakha/mf, Trongsa/m
Sikkim|il|in|himalaya|h|p|bc|rupie|1976|Gangtok/m, Pelling/m, Rumtek/m
India|l'|in|india|e|p|tbc|rupie|0|Delhi/gf, Calcutta/gf, Benares/gf, Jaipur/gd, Udaipur/l, Madurai/g, Mysore/g, Hampi/f, Bundi/m
Rajasthan|il|in|india|d|p|tbc|rupie|0|Jodhpur/dg, Jaisalmer/d, Pushkar/ld, Bikaner/d
Kerala|il|in|india|e|p|tbcn|rupie|0|Cochin/s, Alleppey/sf, Munnar/m, Kollam/s
Sri Lanka|lo|in|india|e|p|tbc|rupie|1973|Kandy/lm, Galle/s, Colombo/gs, Ella/m, Jaffna/s, Haputale/m
Thailandia|la|in|sudest|e|p|tbcn|baht|0|Bangkok/gf, Chiang Mai/m, Ayutthaya/f, Sukhothai, Nan/fm, Trang/s
Birmania|la|in|sudest|e|p|tbcn|kyat|0|Rangoon/gf, Mandalay/fg, Bagan/f, Hsipaw/m, Moulmein/s
Laos|il|in|sudest|e|p|bn|kip|1990|Luang Prabang/f, Vientiane/fg, Paksé/f, Muang Ngoi/fm
Vietnam|il|in|sudest-vn|e|p|tbcn|dong|1990|Hanoi/gf, Hué/f, Hoi An/sf, Saigon/gf, Sapa/m, Dalat/lm
Cambogia|la|in|sudest|e|p|bn|riel|1994|Phnom Penh/gf, Battambang/f, Kampot/sf, Siem Reap
Malesia|la|in|sudest-my|e|p|tbcn|ringgit|1968|Malacca/s, Penang/s, Kuala Lumpur/g, Ipoh/m, Kuching/f
Indonesia|l'|in|sudest-my|e|p|bcn|rupie|0|Makassar/sg, Rantepao/m, Padang/s, Medan/g, Manado/s
Bali||a|sudest-my|e|p|bcn|rupie|0|Ubud/m, Amed/s, Lovina/s, Sidemen/m
Giava||a|sudest-my|e|p|tbc|rupie|0|Yogyakarta/g, Solo, Bandung/mg, Malang/m
Filippine|le|in+|sudest-my|e|p|bcn|pesos|0|Manila/gs, Vigan/s, Banaue/m, Sagada/m, Coron/s, Dumaguete/s
Giappone|il|in|oriente-jp|t|p|tbcn|yen|0|Kyoto/gf, Tokyo/gs, Kanazawa/s, Nara, Takayama/mf, Hiroshima/gs, Nagasaki/s, Matsumoto/m
Hokkaido|l'|in|oriente-jp|n|p|tbc|yen|0|Sapporo/g, Otaru/s, Hakodate/s, Wakkanai/s
Corea|la|in|oriente-kr|t|p|tbc|won|0|Seul/gf, Busan/sg, Gyeongju, Jeonju, Andong/f
Cina|la|in|oriente-cn|t|p|tbcn|yuan|1979|Pechino/g, Xi'an/g, Suzhou, Dali/lm, Lijiang/m, Guilin/fm, Pingyao, Datong
Taiwan||a|oriente-cn|e|p|tbc|dollari|0|Taipei/g, Tainan/s, Hualien/s, Jiufen/sm
Mongolia|la|in|oriente-mn|d|p|bc|tugrik|1992|Ulan Bator/gf, Tsetserleg/m, Dalanzadgad/d, Hatgal/lm
Siberia|la|in|est|n|p|tb|rubli|0|Irkutsk/f, Listvjanka/l, Tomsk/f, Tobolsk/f, Ulan-Udè/f
Russia|la|in|est|n|p|tbn|rubli|0|San Pietroburgo/gf, Suzdal/f, Mosca/gf, Novgorod/f, Pskov/f, Kazan/fg
Senegal|il|in|africa|e|p|bcn|franchi|1961|Dakar/gs, Saint-Louis/fs, Ziguinchor/f, Podor/f
Mali|il|in|africa|d|p|bcn|franchi|1965|Bamako/gf, Djenné/f, Mopti/f, Bandiagara/m
Capo Verde||a|africa|m|p|nbc|escudos|0|Mindelo/s, Tarrafal/s, Ponta do Sol/sm
Ghana|il|in|africa|e|p|bc|cedi|1958|Accra/gs, Kumasi/g, Elmina/s, Tamale
Etiopia|l'|in|africa|h|p|bc|birr|0|Addis Abeba/gm, Lalibela/m, Gondar/m, Axum/m, Harar/m, Bahar Dar/lf
Kenya|il|in|africa|e|p|tbc|scellini|1964|Nairobi/g, Lamu/s, Malindi/s, Naivasha/l, Nyeri/m
Tanzania|la|in|africa|e|p|tbcn|scellini|1965|Arusha/m, Bagamoyo/s, Moshi/m, Iringa/m
Zanzibar||a|africa|e|pn|bn|scellini|0|Stone Town/s, Nungwi/s, Makunduchi/s
Madagascar|il|in|africa|e|p|bcn|franchi|1961|Antananarivo/gm, Antsirabe/m, Morondava/s, Fianarantsoa/m, Diego Suarez/s
Namibia|la|in|africa|d|p|c|dollari|1993|Windhoek/g, Lüderitz/sd, Swakopmund/sd, Outjo/d
Sudafrica|il|in|africa|s|p|tbc|rand|1962|Città del Capo/gs, Stellenbosch/m, Knysna/s, Durban/sg
Mauritius||a|africa|e|p|bc|rupie|0|Port Louis/s, Mahébourg/s, Souillac/s
Seychelles|le|a+|africa|e|p|nb|rupie|0|Victoria/s, La Digue/s, Baie Lazare/s
Maldive|le|a+|india|e|p|n|dollari|1974|Malé/s, Thulusdhoo/s, Fulidhoo/s
Messico|il|in|latino|e|p|bc|pesos|0|Oaxaca/m, Puebla/g, Mérida/g, Guanajuato/m, San Cristóbal/m, Veracruz/s, Pátzcuaro/l
Guatemala|il|in|latino|e|p|bcn|quetzal|0|Antigua/m, Chichicastenango/m, Flores/l, Livingston/sf, Panajachel/lm
Costa Rica|la|in|latino|e|p|bc|colones|0|Cartago/m, Limón/s, Sámara/s, Orosi/m
Nicaragua|il|in|latino|e|p|bcn|cordobas|0|León, Granada/l, Matagalpa/m, Bluefields/s
Cuba||a|latino|e|p|tbc|pesos|0|^L'Avana/gs, Trinidad/m, Santiago/sg, Baracoa/s, Camagüey, Remedios
Giamaica|la|in|latino|e|p|bc|dollari|1970|Port Antonio/s, Kingston/gs, Black River/sf
Colombia|la|in|latino|e|p|bc|pesos|0|Cartagena/s, Bogotá/gm, Mompox/f, Popayán/m, Barichara/m
Ecuador|l'|in|latino|e|p|bc|sucre|0|Quito/gm, Cuenca/m, Otavalo/m, Loja/m
Galapagos|le|a+|latino|e|p|n|dollari|1970|Puerto Ayora/s, Puerto Villamil/s
Perù|il|in|latino|h|p|tbc|soles|0|Cuzco/mg, Arequipa/mg, Puno/lm, Huaraz/m, Ayacucho/m
Bolivia|la|in|latino|h|p|bc|bolivianos|0|^La Paz/gm, Sucre/m, Potosí/m, Copacabana/lm, Uyuni/d
Cile|il|in|latino|s|p|bcn|pesos|0|Valparaíso/s, Santiago/gm, Valdivia/f, Castro/s, Puerto Montt/s
Patagonia|la|in|latino|s|p|bc|pesos|0|Ushuaia/sm, Calafate/lm, Esquel/m, Punta Arenas/s
Argentina|l'|in|latino|s|p|tbc|pesos|0|Buenos Aires/gf, Salta/m, Mendoza/m, Rosario/fg, Tilcara/m, Cafayate/m
Uruguay|l'|in|latino|s|p|bc|pesos|0|Montevideo/gs, Colonia/f, Rocha, La Paloma/s
Brasile|il|in|latino|e|p|bcn|cruzeiros|0|Salvador/gs, Olinda/s, Ouro Preto/m, Paraty/s, Belém/fg, Manaus/fg, Recife/gs
Stati Uniti|gli|in+|america|t|p|tbc|dollari|0|Boston/gs, New Orleans/fg, Chicago/gl, Santa Fe/m, San Francisco/gs, Savannah/sf, Portland/f
California|la|in|america|m|p|bc|dollari|0|Monterey/s, San Diego/sg, Mendocino/s, Bishop/m
Canada|il|in|america|n|p|tbc|dollari|0|Québec/fg, Montréal/gf, Halifax/s, Victoria/s, Lunenburg/s, Banff/m
Alaska|l'|in|america|n|p|bcn|dollari|1960|Juneau/sm, Sitka/sm, Homer/sm, Haines/sm
Hawaii|le|a+|america|e|p|bc|dollari|1960|Hilo/s, Lahaina/s, Hanalei/sm
Australia|l'|in|oceania|s|p|tbc|dollari|1967|Sydney/gs, Hobart/sm, Fremantle/s, Adelaide/gs, Cairns/s, Ballarat
Tasmania|la|in|oceania|s|p|bc|dollari|1967|Strahan/s, Launceston/f, Stanley/s
Nuova Zelanda|la|in|oceania|s|p|tbcn|dollari|1968|Wellington/gs, Dunedin/s, Nelson/s, Wanaka/lm, Akaroa/s
Polinesia|la|in|oceania|e|p|n|franchi|0|Papeete/s, Uturoa/s, Fare/s
Figi|le|a+|oceania|e|p|nb|dollari|1970|Suva/s, Levuka/s, Savusavu/s
"""  # noqa: E501


@dataclass(frozen=True)
class Place:
    """A place and its prepositions. `article` is empty for a name without one (Roma, Cuba)."""

    name: str
    article: str
    preposition: str
    tags: str = ""

    def the(self) -> str:
        """As an object: "il Nepal", "Roma", "le Maldive"."""
        return glued(self.article, self.name) if self.article else self.name

    def at(self) -> str:
        """Where one is or goes: "in Nepal", "a Roma", "negli Stati Uniti", "alle Maldive"."""
        if self.preposition.endswith("+"):
            return self.after(self.preposition[:-1])
        return f"{self.preposition} {self.name}"

    def after(self, preposition: str) -> str:
        """After di, a, da, in, su, con, per, tra: "del Nepal", "da Roma", "per le Maldive"."""
        if not self.article:
            return f"{preposition} {self.name}"
        return glued(articulated(preposition, self.article), self.name)


@dataclass(frozen=True)
class Land(Place):
    """A country, region or island, and the facts that the stories need."""

    culture: str = ""
    accent: str = ""
    climate: str = ""
    arrival: str = ""
    local: str = ""
    money: str = ""
    since: int = 0
    towns: tuple[Place, ...] = ()


def _town(item: str) -> Place:
    name, _, tags = item.strip().partition("/")
    if not name.startswith("^"):
        return Place(name, "", "a", tags)
    # "L'Aquila" is one word, "Il Cairo" two; in both, the article comes first.
    bare = name[1:]
    article, name = ("l'", bare[2:]) if bare.startswith("L'") else bare.split(" ", 1)
    return Place(name, article.lower(), "a+", tags)


@cache
def lands() -> tuple[Land, ...]:
    """All countries of the table, in its order."""
    found = []
    for line in _TABLE.strip().splitlines():
        name, article, prep, culture, climate, arrival, local, money, since, towns = line.split("|")
        found.append(
            Land(
                name,
                article,
                prep,
                "",
                culture.split("-")[0],
                culture,
                climate,
                arrival,
                local,
                money,
                int(since),
                tuple(_town(item) for item in towns.split(",")),
            )
        )
    return tuple(found)


def land_in(rng: Rng, year: int) -> Land:
    """A country that had that name in that year; one time in three it is in Italy."""
    at_home = rng.random() < 0.3
    while True:
        land = pick(rng, lands())
        if land.since <= year and (land.culture == "italia") == at_home:
            return land


# Currencies that the euro replaced, and when. Only European countries had them: see money_of.
_UNTIL = {
    "lire": 2002,
    "pesetas": 2002,
    "escudos": 2002,
    "marchi": 2002,
    "scellini": 2002,
    "franchi": 2002,
    "franchi belgi": 2002,
    "sterline irlandesi": 2002,
    "marchi finlandesi": 2002,
    "dracme": 2002,
    "talleri": 2007,
    "sterline cipriote": 2008,
    "lire maltesi": 2008,
    "lats": 2014,
    "litas": 2015,
    "kune": 2023,
}
# Countries whose currency changed in other years than that of the same name elsewhere.
_CHANGES = {
    "Paesi Bassi": (2002, "euro"),
    "Estonia": (2011, "euro"),
    "Slovacchia": (2009, "euro"),
    "Montenegro": (2002, "euro"),
    "Bosnia": (9999, ""),
    "Dalmazia": (2023, "euro"),
    "Macedonia": (1992, "denari"),
    "Ecuador": (2000, "dollari"),
    "Brasile": (1994, "reais"),
}


def money_of(land: Land, year: int) -> str:
    """The currency of that country in that year, in the plural."""
    if land.name in _CHANGES:
        since, successor = _CHANGES[land.name]
        return successor if year >= since else land.money
    if land.culture in ("italia", "europa", "nord", "est") and year >= _UNTIL.get(land.money, 9999):
        return "euro"
    return land.money
