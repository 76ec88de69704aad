"""Two KMSs of different domains in one place, joined by ETSI GS QKD 020, on virtual time and a wire that may fail."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.base import Slot
from keyhop.core.store.memory import MemoryStore
from keyhop.service.etsi020.calls import REACHED, Answer, Call, Reply
from keyhop.service.etsi020.interchange import Interchange, Other
from keyhop.service.etsi020.problems import KEY_ROUTING_ERROR, Problem
from keyhop.service.etsi020.transfer import Recalled, Relayed, Saes, Transfer
from keyhop.testing.audit import MemoryAudit
from keyhop.testing.virtual import VirtualClock

TICK_S = 0.25


@dataclass
class MemoryDomain:
    """A network of which nothing is there but what arrived. With `holding`, what comes waits until `release`.

    `failure` is why keys do not arrive, `refusal` why none of them leave.
    """

    saes: frozenset[SaeId]
    held: dict[bytes, Transfer] = field(default_factory=dict)
    delivered: set[bytes] = field(default_factory=set)
    relays: int = 0
    holding: bool = False
    failure: str | None = None
    refusal: str | None = None
    _waiting: list[Callable[[], None]] = field(default_factory=list)

    def check_route(self, saes: Saes) -> None:
        """Only to SAEs of this domain."""
        if not set(saes.targets) <= self.saes:
            raise Problem(400, KEY_ROUTING_ERROR)

    def check_allowed(self, saes: Saes) -> None:
        """Everything is."""

    def has_room(self, saes: Saes, count: int) -> bool:
        """Always."""
        return True

    def relay(self, transfer: Transfer, deadline: float, done: Relayed) -> None:
        """At once, or when released."""

        def arrive() -> None:
            if self.failure is None:
                self.held.update(dict.fromkeys(transfer.ids, transfer))
            done(self.failure)

        if self.refusal is not None:
            raise Problem(503, reason=self.refusal)
        self.relays += 1
        if self.holding:
            self._waiting.append(arrive)
        else:
            arrive()

    def forget(self, ids: tuple[bytes, ...], saes: Saes) -> None:
        """They are gone."""
        for key_id in ids:
            self.held.pop(key_id, None)

    def recall(self, ids: tuple[bytes, ...], saes: Saes, done: Recalled) -> None:
        """What was not delivered is gone."""
        gone = frozenset(ids) - self.delivered
        for key_id in gone:
            self.held.pop(key_id, None)
        done(gone)

    def release(self) -> None:
        """What waits arrives, or fails."""
        waiting, self._waiting = self._waiting, []
        for arrive in waiting:
            arrive()

    def key(self, key_id: bytes) -> KeyMaterial:
        """What an SAE would get."""
        transfer = self.held[key_id]
        return transfer.keys[transfer.ids.index(key_id)]


class VirtualKms:
    """One of the two: an interchange, a disk that survives crashes, memory that does not."""

    def __init__(self, other: Other, domain: MemoryDomain, clock: VirtualClock, make: Callable[[Call], None]) -> None:
        self._other = other
        self._clock = clock
        self._make = make
        self.domain = domain
        self.audit = MemoryAudit(clock)
        self.start({})

    def start(self, disk: Mapping[Slot, bytes]) -> None:
        """With what a disk holds."""
        self.store = MemoryStore(disk)
        self.journal = Journal(self.store, lambda: None, self.audit)
        self.interchange = Interchange(self._other, self.domain, self.store, self.journal, self._clock, self._make)
        self.interchange.resume()

    def crash(self) -> None:
        """Loses memory, keeps the disk, and starts again."""
        self.start(self.store.values)

    def send(self, transfer: Transfer, wait_s: float = 10.0) -> list[str | None]:
        """Hands keys over; what becomes of it is appended to the list."""
        outcomes: list[str | None] = []
        self.interchange.sending.send(transfer, self._clock.monotonic() + wait_s, outcomes.append)
        return outcomes

    def ask(self, path: str, body: bytes, method: str = "POST") -> list[Answer | Problem]:
        """A request that comes from nowhere; its answer is appended to the list."""
        answers: list[Answer | Problem] = []
        self.interchange.handle(method, path, body, answers.append)
        self.journal.flush()
        return answers

    def outcomes(self) -> dict[tuple[str, str], int]:
        """Keys by way and outcome."""
        return {(way, outcome): keys for way, outcome, keys in self.interchange.accounts}


class TwoKms:
    """`near` and `far`, which call each other. `lose_calls` and `lose_answers` name paths whose next ones are lost;
    `answer_instead` has what those who call a path hear, instead of having their calls arrive."""

    def __init__(self, *, edition: str = "1.1.1", synchronous: bool = False) -> None:
        self.clock = VirtualClock()
        self.lose_calls: list[str] = []
        self.lose_answers: list[str] = []
        self.answer_instead: dict[str, Reply] = {}
        self.calls: list[str] = []
        self._on_the_way: list[Callable[[], None]] = []
        self._cut = False

        def made(name: str, saes: set[str]) -> VirtualKms:
            mine, theirs = ("near", "far") if name == "near" else ("far", "near")
            other = Other(
                KmeId(theirs),
                (f"https://{theirs}",),
                f"https://{mine}/kmapi/v1/ext_keys/ack",
                edition,  # type: ignore[arg-type]
                synchronous,
            )
            domain = MemoryDomain(frozenset(map(SaeId, saes)))
            return VirtualKms(other, domain, self.clock, partial(self._called, theirs))

        self.near = made("near", {"alice", "anne"})
        self.far = made("far", {"bob", "ben"})
        self.tick()

    def cut(self, is_cut: bool = True) -> None:
        """Nothing goes through while it is cut."""
        self._cut = is_cut

    def settle(self) -> None:
        """Until nothing is on the way."""
        for _ in range(1000):
            self._flush()
            if not self._on_the_way:
                return
            self._on_the_way.pop(0)()
        raise AssertionError("it does not come to rest")

    def tick(self, seconds: float = TICK_S) -> None:
        """Time passes at both."""
        for _ in range(max(1, round(seconds / TICK_S))):
            self.clock.advance(TICK_S)
            for kms in (self.near, self.far):
                if kms.journal.failure is None:
                    kms.interchange.tick()
            self.settle()

    def _called(self, name: str, call: Call) -> None:
        path = call.target.removeprefix(f"https://{name}")
        self._on_the_way.append(lambda: self._arrive(name, path, call))

    def _arrive(self, name: str, path: str, call: Call) -> None:
        self.calls.append(path)
        if self._cut or path in self.lose_calls:
            if not self._cut:
                self.lose_calls.remove(path)
            call.answered(None)
            return
        if call.method is None or path in self.answer_instead:
            call.answered(self.answer_instead.get(path, REACHED))
            return

        def respond(answer: Answer | Problem) -> None:
            body = answer.document() if isinstance(answer, Problem) else answer.body
            reply: Reply | None = Reply(answer.status, body)
            if path in self.lose_answers:
                self.lose_answers.remove(path)
                reply = None
            self._on_the_way.append(lambda: call.answered(reply))

        kms = self.near if name == "near" else self.far
        kms.interchange.handle(call.method, path, call.body or b"", respond)

    def _flush(self) -> None:
        for kms in (self.near, self.far):
            kms.journal.flush()
