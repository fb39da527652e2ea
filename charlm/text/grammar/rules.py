"""All rules of the grammar in one table."""

from __future__ import annotations

from charlm.text.grammar.rules_day import DAY
from charlm.text.grammar.rules_life import LIFE
from charlm.text.grammar.rules_number import NUMBER
from charlm.text.grammar.rules_role import ROLE
from charlm.text.grammar.rules_talk import TALK
from charlm.text.grammar.rules_year import YEAR

RULES: dict[str, tuple[str, ...]] = {**DAY, **LIFE, **YEAR, **TALK, **ROLE, **NUMBER}
