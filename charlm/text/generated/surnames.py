"""Names by country, from the tables of the package Faker: the corpora `surnames`, `first-names`.

Faker (MIT licence) invents persons from tables of real names, one module for each locale. The
tables are read, not sampled, so one version of Faker gives one file. Only locales with tables of
their own in Latin letters are used, one for each country, and only if they have at least 40 names.
"""

from __future__ import annotations

import importlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import version

from charlm.errors import CorpusError, RequestError
from charlm.extras import how_to_install
from charlm.text.generated.lines import Pair

Tables = Mapping[str, str]
"""Label: the locale, and the names of its tables if they are not called as usual."""

SURNAMES: Tables = {
    "Azerbaijani": "az_AZ",
    "Chinese": "zh_CN last_romanized_names",
    "Croatian": "hr_HR",
    "Czech": "cs_CZ",
    "Danish": "da_DK",
    "Dutch": "nl_NL",
    "English": "en_GB",
    "Estonian": "et_EE last_names_est",
    "Finnish": "fi_FI",
    "French": "fr_FR",
    "German": "de_DE",
    "Ghanaian": "tw_GH",
    "Hungarian": "hu_HU",
    "Indian": "en_IN",
    "Indonesian": "id_ID",
    "Irish": "en_IE",
    "Italian": "it_IT",
    "Japanese": "ja_JP last_romanized_names",
    "Kenyan": "en_KE",
    "Latvian": "lv_LV",
    "Norwegian": "no_NO",
    "Polish": "pl_PL unisex_last_names male_last_names",
    "Portuguese": "pt_PT",
    "Romanian": "ro_RO",
    "Slovak": "sk_SK",
    "Slovenian": "sl_SI",
    "Spanish": "es_ES",
    "Swedish": "sv_SE",
    "Thai": "en_TH",
    "Turkish": "tr_TR",
    "Uzbek": "uz_UZ",
    "Yoruba": "yo_NG",
    "Zulu": "zu_ZA",
}
FIRST_NAMES: Tables = {
    "Azerbaijani": "az_AZ",
    "Croatian": "hr_HR",
    "Czech": "cs_CZ",
    "Danish": "da_DK",
    "Dutch": "nl_NL",
    "English": "en_GB",
    "Estonian": "et_EE first_names_est",
    "Finnish": "fi_FI",
    "French": "fr_FR",
    "German": "de_DE",
    "Hungarian": "hu_HU",
    "Icelandic": "is_IS",
    "Indian": "en_IN",
    "Indonesian": "id_ID",
    "Irish": "ga_IE",
    "Italian": "it_IT",
    "Japanese": "ja_JP first_romanized_names",
    "Latvian": "lv_LV",
    "Lithuanian": "lt_LT",
    "Norwegian": "no_NO",
    "Pakistani": "en_PK",
    "Polish": "pl_PL",
    "Portuguese": "pt_PT",
    "Romanian": "ro_RO",
    "Slovak": "sk_SK",
    "Slovenian": "sl_SI",
    "Spanish": "es_ES",
    "Swedish": "sv_SE",
    "Thai": "en_TH",
    "Turkish": "tr_TR",
    "Uzbek": "uz_UZ",
    "Yoruba": "yo_NG",
    "Zulu": "zu_ZA",
}
USUAL = {"surnames": "last_names", "first-names": "first_names"}

# Words of letters, with a gap, a hyphen or an apostrophe between them; a particle like "de" may
# come first. What else the tables hold is left out: "H.-Dieter", "Bourgondië, van", "VI", "kuhar".
_WORD = r"[^\W\d_]+"
_NAME = re.compile(rf"(?:{_WORD}|'s)(?:[ '’‘-]{{1,2}}{_WORD})*")


def clean(names: Iterable[str]) -> list[str]:
    """The names sorted, each once, in NFC, without spaces around; those left out that are not made
    of words, or have no capital at the start of a word, or capitals only.

    >>> clean(["Rossi", "de Boer ", "O'Brien", "VI", "Hans D.", "kuhar", "Rossi"])
    ["O'Brien", 'Rossi', 'de Boer']
    """
    found = set()
    for name in names:
        name = " ".join(unicodedata.normalize("NFC", name).split())
        capital = any(word[:1].isupper() for word in re.split(r"[ '’‘-]", name))
        if _NAME.fullmatch(name) and capital and not (len(name) > 1 and name.isupper()):
            found.add(name)
    return sorted(found)


def faker_version() -> str:
    """The version of Faker, to be named with any figure: "Faker 40.63.0".

    Raises RequestError if it is not installed.
    """
    try:
        importlib.import_module("faker.providers.person")
    except ImportError as error:
        raise RequestError(
            f"a corpus of names needs faker, which is not installed: {how_to_install('data')}"
        ) from error
    return f"Faker {version('faker')}"


def names(corpus: str) -> list[Pair]:
    """Names and their countries, by country and name; a name of two countries is in both.

    ``corpus`` is "surnames" or "first-names". Raises RequestError without Faker, and CorpusError
    if this version of it lacks one of the tables.
    """
    release = faker_version()
    pairs: list[Pair] = []
    for label, row in {"surnames": SURNAMES, "first-names": FIRST_NAMES}[corpus].items():
        locale, *tables = row.split()
        found: list[str] = []
        for table in tables or [USUAL[corpus]]:
            try:
                module = importlib.import_module(f"faker.providers.person.{locale}")
                found.extend(vars(module.Provider)[table])
            except (ImportError, KeyError, TypeError) as error:
                raise CorpusError(
                    f"{release} has no table {table} for {locale}; install another version: "
                    f"{how_to_install('data')}"
                ) from error
        pairs.extend((name, label) for name in clean(found))
    return pairs


def best_accuracy(pairs: Iterable[Pair]) -> float:
    """The accuracy that no classifier of these pairs can exceed, because one text has several
    labels: of each text it can give one, at best the most frequent."""
    counts: dict[str, Counter[str]] = {}
    for text, label in pairs:
        counts.setdefault(text, Counter())[label] += 1
    best = sum(max(each.values()) for each in counts.values())
    return best / sum(each.total() for each in counts.values())
