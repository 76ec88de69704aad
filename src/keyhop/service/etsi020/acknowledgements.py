"""Acknowledgements that this KMS owes the other one: kept until they are taken, in their order, several in one call."""

from typing import Any

import msgspec

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId, key_id_text
from keyhop.core.journal import Journal
from keyhop.core.store.base import KeyStore, Slot
from keyhop.service.etsi020.calls import Call, Make, Reply, delay_s
from keyhop.service.etsi020.models import MAX_KEYS, Ack, AckedKey, AckStatus, write
from keyhop.service.etsi020.transfer import Saes

MAX_OWED = 1 << 14
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 30.0
_FINAL = (400, 401, 403, 404, 410, 413, 422)
"""They will not take it later either."""


class _Owed(msgspec.Struct, frozen=True):
    callback: str
    since: float
    ack: Ack


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
        self._next = max(self._owed, default=0) + 1
        self._durable = self._next - 1
        self._sending = False
        self._attempts = 0
        self._not_before = 0.0

    def __len__(self) -> int:
        return len(self._owed)

    def owe(self, callback: str, status: AckStatus, saes: Saes, ids: tuple[bytes, ...], message: str = "") -> None:
        """From now on one is owed; it is sent once that is durable."""
        for ack in self._acks(status, saes, ids, message):
            if len(self._owed) >= MAX_OWED:
                oldest = next(iter(self._owed))
                self._drop([oldest])
            number, self._next = self._next, self._next + 1
            owed = self._owed[number] = _Owed(callback, self._clock.wall(), ack)
            self._journal.save(self._slot(number), lambda owed=owed: msgspec.msgpack.encode(owed))  # type: ignore[misc]
        last = self._next - 1
        self._journal.then(lambda: self._note_durable(last))

    def tick(self) -> None:
        """Time has passed."""
        before = self._clock.wall() - self._lifetime_s
        self._drop([number for number, owed in self._owed.items() if owed.since < before])
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

    def _note_durable(self, last: int) -> None:
        self._durable = last
        self._send()

    def _send(self) -> None:
        """One call at a time, so that they arrive in their order."""
        if self._sending or self._clock.monotonic() < self._not_before:
            return
        ready = [number for number in self._owed if number <= self._durable]
        if not ready:
            return
        callback = self._owed[ready[0]].callback
        batch = [number for number in ready if self._owed[number].callback == callback][:MAX_KEYS]
        keys, taken = 0, list[int]()
        for number in batch:  # bounded like everything that we would take ourselves
            keys += len(self._owed[number].ack.key_id_container)
            if taken and keys > MAX_KEYS:
                break
            taken.append(number)
        body = write([self._owed[number].ack for number in taken])
        self._sending = True
        self._make(Call("POST", callback, body, lambda reply: self._answered(taken, reply)))

    def _answered(self, numbers: list[int], reply: Reply | None) -> None:
        self._sending = False
        if reply is not None and (200 <= reply.status < 300 or reply.status in _FINAL):
            self._attempts, self._not_before = 0, 0.0
            self._drop(numbers)
            self._send()
            return
        self._not_before = self._clock.monotonic() + delay_s(self._attempts, FIRST_RETRY_S, LAST_RETRY_S)
        self._attempts += 1

    def _drop(self, numbers: list[int]) -> None:
        for number in numbers:
            if self._owed.pop(number, None) is not None:
                self._journal.delete(self._slot(number))

    def _slot(self, number: int) -> Slot:
        return Slot("exchange", f"{self._prefix}{number:016x}")
