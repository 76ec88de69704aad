"""Each end tells the other why it cannot go on, so that a fault is seen at both: texts of this end, shortened.

Reasons hold addresses, paths and names, and never key bytes; what comes from the far end is cleaned before it is shown.
"""

from keyhop.link.adapter import LinkEnd
from keyhop.link.vendors.health import Health
from keyhop.link.vendors.messages import MAX_TOLD_LENGTH, Told, encode

LOOK_S = 1.0
REPEAT_S = 3.0


async def keep_telling(health: Health, end: LinkEnd) -> None:
    """Runs from start to stop: what this end suffers goes to the far end when it changes, and again and again."""
    told, told_s = Told("", fault=False), 0.0
    while True:
        await end.sleep(LOOK_S)
        fault = health.own_fault
        now = Told((fault or health.awaited)[:MAX_TOLD_LENGTH], fault=bool(fault))
        if now != told or (now.reason and end.clock.monotonic() - told_s >= REPEAT_S):
            told, told_s = now, end.clock.monotonic()
            end.channel.send(encode(now))
