"""Acknowledgements that this KMS owes the other one: kept until they are taken, several in one call.

Those of one key arrive in their order. Others do not wait for each other: the other KMS may be far away, and whoever
waits for one there would wait for the answers to those before.
"""

from itertools import takewhile
from typing import Any

import msgspec

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId, key_id_text
from keyhop.core.journal import Journal
from keyhop.core.store.base import KeyStore, Slot
from keyhop.service.etsi020.calls import Call, Make, Reply, delay_s
from keyhop.service.etsi020.models import MAX_KEYS, Ack, AckedKey, AckStatus, write
from keyhop.service.etsi020.transfer import Saes

MAX_OWED = 1 << 17
"""Keys, those of all acknowledgements together."""
MAX_CALLS = 16
"""How many are under way at once."""
MAX_LOOKED_AT = MAX_CALLS * MAX_KEYS
"""Keys among which the next call is sought: those after them wait."""
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 30.0
_FINAL = (400, 401, 403, 404, 410, 413, 422)
"""They will not take it later either."""


class _Owed(msgspec.Struct, frozen=True):
    callback: str
    since: float
    ack: Ack

    @property
    def size(self) -> int:
        """How many keys it counts for."""
        return max(1, len(self.ack.key_id_container))


class Acknowledgements:
    """Those that one other KMS has coming."""

    def __init__(
        self,
        peer: KmeId,
        store: KeyStore,
        journal: Journal,
        clock: Clock,
        make: Make,
        lifetime_s: float,
        *,
        draft: bool,
    ) -> None:
        """A `draft` has an acknowledgement for each target, and no word for a void that came too late."""
        self._prefix = f"ack/{peer}/"
        self._journal = journal
        self._clock = clock
        self._make = make
        self._lifetime_s = lifetime_s
        self._draft = draft
        self._owed: dict[int, _Owed] = {
            int(slot.name[-16:], 16): msgspec.msgpack.decode(value, type=_Owed)
            for slot, value in store.scan("exchange", self._prefix)
            if len(slot.name) == len(self._prefix) + 16
        }
        self._keys = sum(owed.size for owed in self._owed.values())
        self._newest = {(owed.callback, owed.ack): number for number, owed in self._owed.items()}
        """Of those that say the same."""
        self._next = max(self._owed, default=0) + 1
        self._durable = self._next - 1
        self._under_way: set[int] = set()
        self._calls = 0
        self._attempts = 0
        self._not_before = 0.0

    def __len__(self) -> int:
        return len(self._owed)

    def owe(self, callback: str, status: AckStatus, saes: Saes, ids: tuple[bytes, ...], message: str = "") -> None:
        """From now on one is owed, unless the same waits to be sent already; it is sent once that is durable."""
        for ack in self._acks(status, saes, ids, message):
            newest = self._newest.get((callback, ack))
            if newest is None or newest in self._under_way:  # that call may be lost, or have come before what was asked
                self._add(_Owed(callback, self._clock.wall(), ack))
        last = self._next - 1
        self._journal.then(lambda: self._note_durable(last))

    def tick(self) -> None:
        """Time has passed."""
        before = self._clock.wall() - self._lifetime_s
        self._drop(list(takewhile(lambda number: self._owed[number].since < before, self._owed)))
        self._send()

    def acks_for(self, status: AckStatus, saes: Saes, ids: tuple[bytes, ...]) -> list[dict[str, Any]]:
        """The same as a body, for whoever waits for it in a synchronous call."""
        return [msgspec.to_builtins(ack) for ack in self._acks(status, saes, ids, "")]

    def _acks(self, status: AckStatus, saes: Saes, ids: tuple[bytes, ...], message: str) -> list[Ack]:
        if self._draft and status == "failed to void":
            status, message = "failed", message or "the keys were delivered"
        targets = [(target,) for target in saes.targets] if self._draft else [saes.targets]
        parts = [ids[at : at + MAX_KEYS] for at in range(0, len(ids), MAX_KEYS)] or [()]
        return [
            Ack(
                tuple(AckedKey(key_id_text(key_id)) for key_id in part),
                status,
                saes.initiator,
                each,
                message or None,
            )
            for part in parts
            for each in targets
        ]

    def _add(self, owed: _Owed) -> None:
        while self._owed and self._keys + owed.size > MAX_OWED:
            self._drop([next(iter(self._owed))])
        number, self._next = self._next, self._next + 1
        self._owed[number] = owed
        self._newest[owed.callback, owed.ack] = number
        self._keys += owed.size
        self._journal.save(self._slot(number), lambda: msgspec.msgpack.encode(owed))

    def _note_durable(self, last: int) -> None:
        self._durable = last
        self._send()

    def _send(self) -> None:
        while self._calls < MAX_CALLS and self._clock.monotonic() >= self._not_before:
            batch = self._next_batch()
            if not batch:
                return
            callback = self._owed[batch[0]].callback
            body = write([self._owed[number].ack for number in batch])
            self._under_way.update(batch)
            self._calls += 1
            self._make(Call("POST", callback, body, lambda reply, batch=batch: self._answered(batch, reply)))  # type: ignore[misc]

    def _next_batch(self) -> list[int]:
        """For one callback, as many as one call may have: we would not take more ourselves."""
        batch: list[int] = []
        keys, looked_at, callback, earlier = 0, 0, None, set[str]()
        for number, owed in self._owed.items():
            if number > self._durable or keys >= MAX_KEYS or looked_at >= MAX_LOOKED_AT:
                break
            looked_at += owed.size
            named = {key.key_id for key in owed.ack.key_id_container}
            waits = number in self._under_way or named & earlier or owed.callback != (callback or owed.callback)
            if not waits and (not batch or keys + len(named) <= MAX_KEYS):
                batch.append(number)
                callback, keys = owed.callback, keys + len(named)
            else:
                earlier |= named
        return batch

    def _answered(self, numbers: list[int], reply: Reply | None) -> None:
        self._calls -= 1
        self._under_way.difference_update(numbers)
        if reply is not None and (200 <= reply.status < 300 or reply.status in _FINAL):
            self._attempts, self._not_before = 0, 0.0
            self._drop(numbers)
            self._send()
            return
        now = self._clock.monotonic()
        if now >= self._not_before:  # else another of the calls that were under way together has failed before
            self._not_before = now + delay_s(self._attempts, FIRST_RETRY_S, LAST_RETRY_S)
            self._attempts += 1

    def _drop(self, numbers: list[int]) -> None:
        for number in numbers:
            if (owed := self._owed.pop(number, None)) is not None:
                self._keys -= owed.size
                if self._newest.get((owed.callback, owed.ack)) == number:
                    del self._newest[owed.callback, owed.ack]
                self._journal.delete(self._slot(number))

    def _slot(self, number: int) -> Slot:
        return Slot("exchange", f"{self._prefix}{number:016x}")
