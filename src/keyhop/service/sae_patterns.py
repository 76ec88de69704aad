"""Patterns of SAE IDs: `*` stands for any characters, everything else for itself."""

import re
from collections.abc import Iterable

ANY = "*"


def one_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """Matches an ID in full that one of these patterns means."""
    return re.compile("|".join(".*".join(map(re.escape, each.split(ANY))) for each in patterns), re.DOTALL)
