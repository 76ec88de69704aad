"""Records that are carried to the peer, and keys that are taken back from there."""

from typing import Annotated

from msgspec import Meta

from keyhop.core.records import RecordSource
from keyhop.network.hybrid.records import Masked
from keyhop.network.wire_types import (
    MAX_RECORDS_PER_BATCH,
    MAX_SEALED_BYTES,
    Id,
    Message,
    Name,
    Number,
    Position,
    Slaves,
    Words,
)


class Carry(Message, frozen=True):
    """Records for SAEs of the receiver: key bytes under a pad, all of it under a one-time MAC.

    From unit `pad` of the sender's stream come first the MAC key (32 bytes), then the pad; with a `number`, both are
    expanded by that number from the seed that was there. `ids` are 16 bytes a key and `sealed` is the keys one after
    the other. `made_by` is what made them. `combined`, they are parts of keys.
    """

    batch: Id
    made_by: RecordSource
    epoch: Number
    pad: Position
    master: Name
    slaves: Slaves
    ids: Annotated[bytes, Meta(max_length=16 * MAX_RECORDS_PER_BATCH)]
    sealed: Annotated[bytes, Meta(max_length=MAX_SEALED_BYTES)]
    tag: Annotated[bytes, Meta(max_length=16)] = b""
    number: Number = 0
    combined: Masked | None = None


class Carried(Message, frozen=True):
    """The receiver holds the batch durably, or has refused it, and says why."""

    batch: Id
    refusal: Words | None


class Reclaim(Message, frozen=True):
    """Keys are taken back, of streams and records, for these slaves at the receiver: which had none of them been given?

    `call` names the question, which may come again. With `spare_fetched`, what one of them was given stays for others.
    With a `batch`, only records that came in that one are meant.
    """

    call: Id
    master: Name
    slaves: Slaves
    ids: Annotated[bytes, Meta(max_length=16 * MAX_RECORDS_PER_BATCH)]
    spare_fetched: bool
    batch: Annotated[bytes, Meta(max_length=16)] = b""


class Reclaimed(Message, frozen=True):
    """These keys none of the slaves was given, and none will be."""

    call: Id
    ids: Annotated[bytes, Meta(max_length=16 * MAX_RECORDS_PER_BATCH)]
