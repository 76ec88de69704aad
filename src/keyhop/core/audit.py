"""Where records of the audit log go, and how they are written down.

A record is the inside of a JSON object, without its braces: the log adds number and time (`keyhop.audit`). It says who
got which key IDs, or what befell the node. It never holds key bytes.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from keyhop.core.errors import StoreFailure


class AuditSink(Protocol):
    """Takes the records of one turn of the event loop."""

    def write(self, records: Sequence[bytes]) -> None:
        """Appends the records in their order. Raises StoreFailure; then it takes no more."""
        ...


class NoAudit:
    """The sink of a journal that nobody gave one: a KME without an audit log gives out nothing."""

    def write(self, records: Sequence[bytes]) -> None:
        raise StoreFailure("there is no audit log")


def event_record(event: str, **details: str | int | bool | None) -> bytes:
    """The record of something that befell the node, such as `event_record("started", version="1.2")`."""
    return msgspec.json.encode({"event": event, **details})[1:-1]
