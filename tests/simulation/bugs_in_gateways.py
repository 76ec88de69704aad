"""Bugs in what the gateways of two domains do with keys."""

from collections.abc import Iterable
from typing import Any

import pytest
from bugs_in_streams import Plant

from keyhop.core.ids import KEY_ID_BYTES, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.service.copies import Copies
from keyhop.service.etsi020.calls import Reply
from keyhop.service.etsi020.receiving import Receiving
from keyhop.service.etsi020.sending import Sending
from keyhop.service.etsi020.transfer import Relayed, Saes, Transfer
from keyhop.service.etsi020.under_way import Request
from keyhop.service.gateway import Gateway
from keyhop.service.gateway.importing import Importing


def accepted_is_relayed(patch: pytest.MonkeyPatch) -> None:
    """A master gets its key once the other gateway has it, wherever its slave is."""
    answered = Sending._answered

    def hasty(self: Sending, request: Request, reply: Reply | None) -> None:
        if reply is not None and reply.status == 202 and request in self._under_way:
            self._good(request)
            return
        answered(self, request, reply)

    patch.setattr(Sending, "_answered", hasty)


def acknowledged_before_it_is_relayed(patch: pytest.MonkeyPatch) -> None:
    """The other gateway says that keys are there when it has begun to send them."""
    relay = Importing.relay

    def hasty(self: Importing, transfer: Transfer, deadline: float, done: Relayed) -> None:
        relay(self, transfer, deadline, lambda failure: None)
        done(None)

    patch.setattr(Importing, "relay", hasty)


def what_was_handed_over_has_arrived(patch: pytest.MonkeyPatch) -> None:
    """A KME that asks again hears that the other domain has the key, whatever became of it."""
    outcome = Gateway.outcome

    def hopeful(self: Gateway, master: SaeId, slaves: Iterable[str], ids: bytes, batch: bytes) -> Any:
        known = any(interchange.sent.get(ids[:KEY_ID_BYTES]) for interchange in self)
        return "yes" if known else outcome(self, master, slaves, ids, batch)

    patch.setattr(Gateway, "outcome", hopeful)


def keys_change_on_the_way(patch: pytest.MonkeyPatch) -> None:
    """Keys of one size and request are taken for each other."""
    copies = Importing._copies

    def turned(self: Importing, transfer: Transfer, size: int, policies: Any) -> Copies:
        made = copies(self, transfer, size, policies)
        data = made.keys.reveal()
        object.__setattr__(made, "keys", KeyMaterial(data[size:] + data[:size] if len(data) > size else data[::-1]))
        return made

    patch.setattr(Importing, "_copies", turned)


def what_is_void_stays_at_the_slaves(patch: pytest.MonkeyPatch) -> None:
    """A gateway says that keys are void and takes nothing back."""

    def nothing(self: Importing, ids: tuple[bytes, ...], saes: Saes, done: Any) -> None:
        done(frozenset(ids))

    patch.setattr(Importing, "recall", nothing)


def what_failed_is_not_voided(patch: pytest.MonkeyPatch) -> None:
    """What a gateway gives up stays where it may have come to."""

    def give_up(self: Sending, request: Request, reason: str) -> None:
        self._end(request, reason)

    patch.setattr(Sending, "_give_up", give_up)


def a_restart_forgets_what_was_under_way(patch: pytest.MonkeyPatch) -> None:
    """Nobody ever asks again what became of it."""
    patch.setattr(Sending, "resume", lambda self: None)


def a_receiver_waits_for_what_it_has_lost(patch: pytest.MonkeyPatch) -> None:
    """After a restart, keys that were in memory only are still said to be under way."""
    patch.setattr(Receiving, "resume", lambda self: None)


PLANTED: dict[Plant, set[int]] = {
    accepted_is_relayed: {5},
    acknowledged_before_it_is_relayed: {5},
    what_was_handed_over_has_arrived: {5},
    keys_change_on_the_way: {1},
    what_is_void_stays_at_the_slaves: {3, 4},
    what_failed_is_not_voided: {0},
    a_restart_forgets_what_was_under_way: {0},
    a_receiver_waits_for_what_it_has_lost: {0},
}
"""Which promise each of them breaks first."""
