"""Voids that this KMS asks the other one for: of keys whose outcome is not known, and of keys that were recalled."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from keyhop.core.clock import Clock
from keyhop.core.ids import key_id_text
from keyhop.service.etsi020.accounts import Accounts
from keyhop.service.etsi020.calls import VOID, Call, Make, Reply, delay_s
from keyhop.service.etsi020.memory import Fate, KeyMemory
from keyhop.service.etsi020.models import MAX_KEYS, AckStatus, VoidContainer, write
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
    ids: set[bytes]
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
        callback: str | None,
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
        """From now on, or from the next start on: these keys are under way in the memory until the void is answered."""
        self._asked_for.update(ids)
        for at in range(0, len(ids), MAX_KEYS):
            self._voids.append(_Void(saes, set(ids[at : at + MAX_KEYS]), were_relayed=were_relayed))
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

    def acknowledged(self, status: AckStatus, ids: list[bytes]) -> bool:
        """The other KMS says what became of keys; whether they were to be voided."""
        found = self._asked_for & set(ids)
        if found:
            self._answered(found, status)
        return bool(found)

    def tick(self) -> None:
        """Time has passed."""
        for void in self._voids:
            forgotten = {key_id for key_id in void.ids if key_id not in self._memory}
            void.ids -= forgotten
            self._asked_for -= forgotten
        self._voids = [void for void in self._voids if void.ids]
        self._ask_now()
        self._tell()

    def _ask_now(self) -> None:
        now = self._clock.monotonic()
        room = MAX_CALLS - sum(void.asking for void in self._voids)
        for void in [each for each in self._voids if not each.asking and each.next_at <= now][:room]:
            self._ask(void)

    def _ask(self, void: _Void) -> None:
        void.asking = True
        texts = tuple(map(key_id_text, sorted(void.ids)))
        body = write(VoidContainer(texts, void.saes.initiator, void.saes.targets, self._callback))
        self._make(Call("POST", VOID, body, lambda reply: self._asked(void, reply)))

    def _asked(self, void: _Void, reply: Reply | None) -> None:
        void.asking = False
        void.next_at = self._clock.monotonic() + delay_s(void.attempts, FIRST_RETRY_S, LAST_RETRY_S)
        void.attempts += 1
        if reply is not None and reply.status == 200:
            self._answered(set(void.ids), "voided")
        elif reply is not None and reply.status in (400, 401):
            self._answered(set(void.ids), "key not present")

    def _answered(self, ids: set[bytes], status: AckStatus) -> None:
        for void in self._voids:
            if answered := tuple(sorted(void.ids & ids)):
                is_void = status == "voided" or (status == "key not present" and not void.were_relayed)
                relied_on: Fate = "relayed" if void.were_relayed else "uncertain"
                self._memory.settle(answered, "voided" if is_void else relied_on)
                self._accounts.note("sent", status, void.saes, answered)
                void.ids -= ids
        self._asked_for -= ids
        self._tell()

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
