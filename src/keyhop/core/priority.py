"""Priorities, of keys that are relayed and of links: the highest comes first."""

MAX_PRIORITY = 7
USUAL_PRIORITY = 4
