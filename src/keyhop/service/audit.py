"""Keys leave through here, whoever asked for them: the audit log's record first, then the reply.

Keys that an SAE inserts come in through here. A request leaves one record, or one for each source and each way that its
keys came. It names the call, the interface, the SAE that gets or gives the keys, the master and the slaves, the KMEs
that the bytes crossed, what made them, and all key IDs: 16 bytes each in hexadecimal, one after the other, so that
`grep` finds one.
"""

from binascii import hexlify
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Literal

import msgspec

from keyhop.core.ids import SaeId
from keyhop.core.journal import Journal
from keyhop.core.origin import Path
from keyhop.service.requests import InsertedKeys, InsertReply, Interface, KeyReply, KeyRun, Keys

MAX_REMEMBERED = 4096
"""How many beginnings of records are kept ready; there is one for each pair of SAEs and call."""


Call = Literal["enc_keys", "dec_keys", "redelivery", "insert"]


class Handover(msgspec.Struct, frozen=True, cache_hash=True):
    """Who gets keys, how: what is the same from one request of an SAE to the next."""

    call: Call
    interface: Interface
    sae: SaeId
    master: SaeId
    slaves: tuple[SaeId, ...]
    paths: tuple[Path, ...]
    """None of a redelivery: the record of the first time has them."""
    source: str
    """What made the bytes; `memory` for those of a redelivery."""


type Handed = Mapping[Handover, Sequence[KeyRun]]
"""Each way in which keys of one answer are handed over, and which."""


class AuditedReplies:
    """Gives keys to SAEs. Nothing else of the service layer may call a reply with keys."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._beginnings: dict[Handover, bytes] = {}

    def give(self, keys: Keys, handed: Handed, reply: KeyReply) -> None:
        """Replies once the records are written and everything noted so far is durable. Raises StoreFailure."""
        self._note(handed)
        self._journal.then(partial(reply, keys), reply)

    def taken_in(self, inserted: InsertedKeys, handed: Handed, reply: InsertReply) -> None:
        """The same, of keys that an SAE gives. Raises StoreFailure."""
        self._note(handed)
        self._journal.then(partial(reply, inserted), reply)

    def _note(self, handed: Handed) -> None:
        for handover, runs in handed.items():
            self._journal.record(self._record(handover, runs))

    def _record(self, handover: Handover, runs: Sequence[KeyRun]) -> bytes:
        beginning = self._beginnings.get(handover)
        if beginning is None:
            beginning = self._remember(handover)
        if len(runs) == 1:
            (run,) = runs
            return b'%s{"size_bits":%d,"ids":"%s"}]' % (beginning, 8 * run.size_bytes, hexlify(run.ids))
        sizes = groupby(runs, lambda run: run.size_bytes)
        keys = [b'{"size_bits":%d,"ids":"%s"}' % (8 * n, hexlify(b"".join(r.ids for r in same))) for n, same in sizes]
        return b"%s%s]" % (beginning, b",".join(keys))

    def _remember(self, handover: Handover) -> bytes:
        if len(self._beginnings) >= MAX_REMEMBERED:
            self._beginnings.clear()
        beginning = msgspec.json.encode(handover)[1:-1] + b',"keys":['
        self._beginnings[handover] = beginning
        return beginning
