"""Keys that a master voids: no slave that has not fetched them gets them any more.

The KMEs of the slaves say which of the keys none was given (`taking_back`). Only when all have said so, durably, does
the master hear of it.
"""

from collections.abc import Mapping

from keyhop.core.audit import event_record
from keyhop.core.errors import Unavailable
from keyhop.core.ids import KmeId, SaeId, each_id
from keyhop.core.journal import Journal
from keyhop.service.recall import Recall
from keyhop.service.requests import VoidedKeys, VoidKeys, VoidReply


class Voiding:
    """Answers void_keys."""

    def __init__(self, recall: Recall, journal: Journal) -> None:
        self._recall = recall
        self._journal = journal

    def void_keys(self, request: VoidKeys, homes: Mapping[SaeId, KmeId], reply: VoidReply) -> None:
        """Replies, once it is durable."""
        ids, master = request.ids, request.master
        shown = each_id(ids)

        def told(gone: frozenset[bytes], silent: KmeId | None) -> None:
            if self._journal.failure is not None:
                reply(self._journal.failure)
                return
            if silent is not None:
                reply(Unavailable(f"KME {silent} does not say which of the keys are void", retry_after_s=1.0))
                return
            voided = tuple(key_id in gone for key_id in shown)
            names = {"master": master, "slaves": " ".join(homes)}
            void = b"".join(key_id for key_id, is_void in zip(shown, voided, strict=True) if is_void)
            self._journal.record(event_record("void asked for", **names, asked=ids.hex(), voided=void.hex()))
            self._journal.then(lambda: reply(VoidedKeys(ids, voided)), reply)

        self._recall.reclaim(master, homes, ids, told)
