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
from keyhop.service.etsi020.voids import Void, Voids

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 60.0
MAX_CALLS = 4
"""How many are under way at once; the others wait."""
MAX_WAITS = 4096
"""How many masters may wait for answers; the others ask again."""


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
        self._voids = Voids()
        self._calls = 0
        self._waits: list[_Wait] = []

    def __len__(self) -> int:
        return len(self._voids)

    def void(self, saes: Saes, ids: tuple[bytes, ...], *, were_relayed: bool = False) -> None:
        """From now on, or from the next start on: their fate is open in the memory until the void is answered."""
        self._voids.add(saes, ids, self._clock.monotonic(), were_relayed=were_relayed)
        self._ask_now()

    def when_answered(self, ids: Iterable[bytes], deadline: float, told: Callable[[bool], None]) -> None:
        """Tells once that no void of these keys is under way any more, or that the deadline (monotonic seconds) is
        over; at once when none is."""
        if self._voids.concern(ids := frozenset(ids)) and len(self._waits) < MAX_WAITS:
            self._waits.append(_Wait(ids, deadline, told))
        else:
            told(not self._voids.concern(ids))

    def abandon(self) -> None:
        """The store has failed: nobody waits any longer."""
        waits, self._waits = self._waits, []
        for wait in waits:
            wait.told(False)

    def acknowledged(self, ack: Ack, ids: list[bytes]) -> bool:
        """The other KMS says what became of keys at some of their targets; whether they were to be voided."""
        found = self._voids.of(ids)
        for void, keys in found:
            self._answered(void, keys, ack.ack_status, ack.target_sae_ids)
        return bool(found)

    def tick(self) -> None:
        """Time has passed."""
        self._ask_now()
        self._tell()

    def forget(self) -> None:
        """The memory may have forgotten keys: they are asked for no longer."""
        self._voids.done([key_id for key_id in self._voids if key_id not in self._memory])

    def _ask_now(self) -> None:
        now = self._clock.monotonic()
        while self._calls < MAX_CALLS and (void := self._voids.next_due(now)) is not None:
            self._ask(void)

    def _ask(self, void: Void) -> None:
        keys = void.take_next()
        void.asking = True
        self._calls += 1
        saes, texts = void.saes, tuple(map(key_id_text, keys))
        body = write(VoidContainer(texts, saes.initiator, saes.targets, self._callback))
        self._make(Call("POST", VOID, body, lambda reply: self._asked(void, keys, reply)))

    def _asked(self, void: Void, keys: tuple[bytes, ...], reply: Reply | None) -> None:
        void.asking = False
        self._calls -= 1
        if reply is not None and reply.status in (200, 202):
            void.most = MAX_KEYS
            for ack, ids in acks_in(reply.body):  # to a call with a callback 200 says nothing by itself
                if concerns(ack, void.saes):
                    self.acknowledged(ack, ids)
        elif reply is not None and reply.status in (400, 401):
            self._refused(void, keys)
        no_news = all(key_id in void.missing for key_id in keys)
        pause_s = 0.0 if void.fresh else delay_s(void.attempts, FIRST_RETRY_S, LAST_RETRY_S)
        void.attempts = void.attempts + 1 if no_news else 0
        self._voids.schedule(void, self._clock.monotonic() + pause_s)

    def _refused(self, void: Void, keys: tuple[bytes, ...]) -> None:
        """Some are not there. Of keys that were relayed it counts which: they are asked for by themselves."""
        if void.were_relayed and len(keys) > 1:
            void.most = len(keys) // 2
            void.fresh |= dict.fromkeys(key_id for key_id in keys if key_id in void.missing)
        else:
            still = [key_id for key_id in keys if key_id in void.missing]
            self._answered(void, still, "key not present", void.saes.targets)

    def _answered(self, void: Void, ids: list[bytes], status: AckStatus, targets: Iterable[str]) -> None:
        """Keys are void when no target has them; that one of them keeps them is the last word."""
        is_void = status == "voided" or (status == "key not present" and not void.were_relayed)
        answered = ids
        if is_void:
            for key_id in ids:
                void.missing[key_id].difference_update(map(SaeId, targets))
            answered = [key_id for key_id in ids if not void.missing[key_id]]
        if answered:
            relied_on: Fate = "relayed" if void.were_relayed else "uncertain"
            self._memory.settle(sorted(answered), "voided" if is_void else relied_on)
            self._accounts.note("sent", status, void.saes, tuple(sorted(answered)))
            self._voids.done(answered)
        self._tell()

    def _tell(self) -> None:
        """Those whose wait is over."""
        waits, self._waits = self._waits, []
        now = self._clock.monotonic()
        for wait in waits:
            if not self._voids.concern(wait.ids):
                wait.told(True)
            elif wait.deadline <= now:
                wait.told(False)
            else:
                self._waits.append(wait)
