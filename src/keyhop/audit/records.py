"""Lines of a log as data."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import msgspec

from keyhop.core.ids import KEY_ID_BYTES, each_id, key_id_text

_IDS = re.compile(rf"([0-9a-f]{{{2 * KEY_ID_BYTES}}})+")


class Event(msgspec.Struct):
    """Something befell the node."""

    seq: int
    time: datetime
    event: str


class KeysOfASize(msgspec.Struct, forbid_unknown_fields=True):
    """`ids` are 16 bytes each in hexadecimal, one after the other."""

    size_bits: int
    ids: str


class HandedOver(msgspec.Struct, forbid_unknown_fields=True):
    """An SAE was given keys."""

    seq: int
    time: datetime
    call: str
    interface: str
    sae: str
    master: str
    slaves: tuple[str, ...]
    paths: tuple[tuple[str, ...], ...]
    source: str
    keys: tuple[KeysOfASize, ...]


type Record = Event | HandedOver


class KeyRow(NamedTuple):
    """One key that was given to one SAE; `key_id` in the form in which SAEs write it."""

    time: str
    seq: int
    call: str
    interface: str
    sae: str
    master: str
    slaves: tuple[str, ...]
    paths: tuple[str, ...]
    source: str
    size_bits: int
    key_id: str


_keys = msgspec.json.Decoder(HandedOver)
_event = msgspec.json.Decoder(Event)


def record_of(line: bytes) -> Record | None:
    """What a line says, or None when it is no record."""
    try:
        if b',"event":' in line[:128]:
            return _event.decode(line)
        handed: HandedOver = _keys.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return handed if all(_IDS.fullmatch(keys.ids) for keys in handed.keys) else None


def rows_of(handed: HandedOver) -> Iterator[KeyRow]:
    """A row for each of its keys."""
    time = handed.time.isoformat()
    for keys in handed.keys:
        for key_id in each_id(bytes.fromhex(keys.ids)):
            yield KeyRow(
                time,
                handed.seq,
                handed.call,
                handed.interface,
                handed.sae,
                handed.master,
                handed.slaves,
                tuple(map(">".join, handed.paths)),
                handed.source,
                keys.size_bits,
                key_id_text(key_id),
            )
