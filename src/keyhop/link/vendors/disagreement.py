"""Blocks for which both devices gave different bytes: one alarm per spell; the link is stopped while none agree."""

from keyhop.link.adapter import LinkEnd, LinkEvent
from keyhop.link.vendors.health import Health

SPELL_S = 30.0
"""A spell is over when no block has differed for so long."""

IN_A_ROW = 2
"""So many blocks in a row stop the link; a single one is dropped."""

_ACTIVITY = "agreement"


class Disagreement:
    """Of one start of one end."""

    def __init__(self, health: Health, end: LinkEnd) -> None:
        self._health = health
        self._end = end
        self._in_a_row = 0
        self._quiet_from_s = 0.0

    def differ(self, text: str) -> None:
        """Another block that is dropped."""
        now_s = self._end.clock.monotonic()
        if now_s >= self._quiet_from_s:
            self._end.report(LinkEvent(alarm=True, text=text))
        self._quiet_from_s = now_s + SPELL_S
        self._in_a_row += 1
        if self._in_a_row >= IN_A_ROW:
            self._health.fault(_ACTIVITY, text)

    def agree(self) -> None:
        """A block that both ends have."""
        self._in_a_row = 0
        self._health.works(_ACTIVITY)
