"""The IDs of records: those that a KME draws, and those that somebody else has chosen."""

import hashlib

from keyhop.core.ids import SaeId

_CHOSEN_VERSIONS = (1, 2, 3, 5, 6, 7)


def is_chosen(key_id: bytes) -> bool:
    """Whether that is the ID of a key that its master brought: no stream's key has such an ID, nor a record that a KME
    named. It is a UUID (RFC 9562) of any version but 4 and 8."""
    return key_id[6] >> 4 in _CHOSEN_VERSIONS and key_id[8] >> 6 == 0b10


def chosen_record_id(master: SaeId, key_id: bytes) -> bytes:
    """Under which ID a key is kept whose own ID its master, or another domain, has chosen.

    They may choose any ID, also one that is taken; so a key is kept under a hash of it and of the master's name.
    A slave shows the ID as it was chosen.
    """
    return record_ids(hashlib.blake2b(key_id + master.encode(), digest_size=16, person=b"keyhop foreign").digest())


def kept_as(master: SaeId, key_id: bytes, *, foreign: bool) -> bytes:
    """The ID of the record of a master's key, `foreign` if it is of another domain, whose IDs are all its own."""
    return chosen_record_id(master, key_id) if foreign or is_chosen(key_id) else key_id


def record_ids(random: bytes) -> bytes:
    """Turns 16 random bytes a key into UUIDs of version 4, one after the other."""
    ids = bytearray(random)
    ids[6::16] = bytes(0x40 | b & 0x0F for b in ids[6::16])
    ids[8::16] = bytes(0x80 | b & 0x3F for b in ids[8::16])
    return bytes(ids)
