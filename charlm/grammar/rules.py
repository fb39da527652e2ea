"""All rules of the grammar in one table."""

from __future__ import annotations

from charlm.grammar.rules_day import DAY
from charlm.grammar.rules_life import LIFE
from charlm.grammar.rules_role import ROLE
from charlm.grammar.rules_talk import TALK
from charlm.grammar.rules_year import YEAR

RULES: dict[str, tuple[str, ...]] = {**DAY, **LIFE, **YEAR, **TALK, **ROLE}
