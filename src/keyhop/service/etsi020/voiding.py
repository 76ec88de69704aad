"""Voids that this KMS asks the other one for: of keys whose outcome is not known, and of keys that were recalled."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from keyhop.core.clock import Clock
from keyhop.core.ids import SaeId, key_id_text
from keyhop.service.etsi020.accounts import Accounts
from keyhop.service.etsi020.acks import acks_in, concerns
from keyhop.service.etsi020.calls import VOID, Call, Make, Reply, delay_s
from keyhop.service.etsi020.memory import Fate, KeyMemory
from keyhop.service.etsi020.models import MAX_KEYS, Ack, AckStatus, VoidContainer, write
from keyhop.service.etsi020.transfer import Saes

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 60.0
MAX_CALLS = 4
"""How many are under way at once; the others wait."""
MAX_WAITS = 4096
"""How many masters may wait for answers; the others ask again."""


@dataclass(slots=True)
class _Void:
    saes: Saes
    missing: dict[bytes, set[SaeId]]
    """The keys, each with those of its targets that may still have it."""
    attempts: int = 0
    next_at: float = 0.0
    asking: bool = False
    were_relayed: bool = False
    """Then somebody may have been given them, before the other KMS forgot them."""


@dataclass(slots=True)
class _Wait:
    ids: frozenset[bytes]
    deadline: float
    told: Callable[[bool], None]


class Voiding:
    """Asks until it is answered, or until the keys are forgotten: the other KMS has forgotten them then too."""

    def __init__(
        self,
        memory: KeyMemory,
        clock: Clock,
        make: Make,
        accounts: Accounts,
        callback: str,
    ) -> None:
        self._memory = memory
        self._clock = clock
        self._make = make
        self._accounts = accounts
        self._callback = callback
        self._voids: list[_Void] = []
        self._asked_for: set[bytes] = set()
        """All of their IDs: masters that wait are looked after at each tick."""
        self._waits: list[_Wait] = []

    def __len__(self) -> int:
        return len(self._asked_for)

    def void(self, saes: Saes, ids: tuple[bytes, ...], *, were_relayed: bool = False) -> None:
        """From now on, or from the next start on: their fate is open in the memory until the void is answered."""
        self._asked_for.update(ids)
        for at in range(0, len(ids), MAX_KEYS):
            missing = {key_id: set(saes.targets) for key_id in ids[at : at + MAX_KEYS]}
            self._voids.append(_Void(saes, missing, were_relayed=were_relayed))
        self._ask_now()

    def when_answered(self, ids: Iterable[bytes], deadline: float, told: Callable[[bool], None]) -> None:
        """Tells once that no void of these keys is under way any more, or that the deadline (monotonic seconds) is
        over; at once when none is."""
        if self._concern(ids := frozenset(ids)) and len(self._waits) < MAX_WAITS:
            self._waits.append(_Wait(ids, deadline, told))
        else:
            told(not self._concern(ids))

    def abandon(self) -> None:
        """The store has failed: nobody waits any longer."""
        waits, self._waits = self._waits, []
        for wait in waits:
            wait.told(False)

    def acknowledged(self, ack: Ack, ids: list[bytes]) -> bool:
        """The other KMS says what became of keys at some of their targets; whether they were to be voided."""
        found = self._asked_for & set(ids)
        if found:
            self._answered(found, ack.ack_status, ack.target_sae_ids)
        return bool(found)

    def tick(self) -> None:
        """Time has passed."""
        for void in self._voids:
            self._done(void, [key_id for key_id in void.missing if key_id not in self._memory])
        self._voids = [void for void in self._voids if void.missing]
        self._ask_now()
        self._tell()

    def _ask_now(self) -> None:
        now = self._clock.monotonic()
        room = MAX_CALLS - sum(void.asking for void in self._voids)
        for void in [each for each in self._voids if not each.asking and each.next_at <= now][:room]:
            self._ask(void)

    def _ask(self, void: _Void) -> None:
        void.asking = True
        texts = tuple(map(key_id_text, sorted(void.missing)))
        body = write(VoidContainer(texts, void.saes.initiator, void.saes.targets, self._callback))
        self._make(Call("POST", VOID, body, lambda reply: self._asked(void, reply)))

    def _asked(self, void: _Void, reply: Reply | None) -> None:
        void.asking = False
        void.next_at = self._clock.monotonic() + delay_s(void.attempts, FIRST_RETRY_S, LAST_RETRY_S)
        void.attempts += 1
        if reply is not None and reply.status == 200:  # to a call with a callback it says nothing by itself
            for ack, ids in acks_in(reply.body):
                if concerns(ack, void.saes):
                    self.acknowledged(ack, ids)
        elif reply is not None and reply.status in (400, 401):
            self._answered(set(void.missing), "key not present", void.saes.targets)

    def _answered(self, ids: set[bytes], status: AckStatus, targets: Iterable[str]) -> None:
        """Keys are void when no target has them; that one of them keeps them is the last word."""
        for void in self._voids:
            answered = void.missing.keys() & ids
            is_void = status == "voided" or (status == "key not present" and not void.were_relayed)
            if is_void:
                for key_id in answered:
                    void.missing[key_id].difference_update(map(SaeId, targets))
                answered = {key_id for key_id in answered if not void.missing[key_id]}
            if answered:
                relied_on: Fate = "relayed" if void.were_relayed else "uncertain"
                self._memory.settle(sorted(answered), "voided" if is_void else relied_on)
                self._accounts.note("sent", status, void.saes, tuple(sorted(answered)))
                self._done(void, answered)
        self._tell()

    def _done(self, void: _Void, ids: Iterable[bytes]) -> None:
        for key_id in ids:
            del void.missing[key_id]
            self._asked_for.discard(key_id)

    def _concern(self, ids: frozenset[bytes]) -> bool:
        return not self._asked_for.isdisjoint(ids)

    def _tell(self) -> None:
        """Those whose wait is over."""
        waits, self._waits = self._waits, []
        now = self._clock.monotonic()
        for wait in waits:
            if not self._concern(wait.ids):
                wait.told(True)
            elif wait.deadline <= now:
                wait.told(False)
            else:
                self._waits.append(wait)
