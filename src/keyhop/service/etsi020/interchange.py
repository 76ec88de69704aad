"""Both roles of ETSI GS QKD 020 towards one other KMS.

What enters: its requests as bytes, answers to our calls, keys of this domain, time. What leaves: answers, our calls
(`make`), keys for this domain (`Domain`), entries in the store and in the audit log.
"""

from dataclasses import dataclass, replace
from typing import Literal

from keyhop.core.clock import Clock
from keyhop.core.errors import StoreFailure
from keyhop.core.ids import KmeId
from keyhop.core.journal import Journal
from keyhop.core.store.base import KeyStore
from keyhop.service.etsi020.accounts import Accounts
from keyhop.service.etsi020.acknowledgements import Acknowledgements
from keyhop.service.etsi020.callbacks import Callbacks
from keyhop.service.etsi020.calls import ACK, EXT_KEYS, VERSIONS, VOID, Answer, Call, Make, Reply, Respond, knock
from keyhop.service.etsi020.memory import KeyMemory
from keyhop.service.etsi020.models import SYNCHRONOUS, Acks, ExtKeyContainer, Versions, VoidContainer, read, write
from keyhop.service.etsi020.problems import Problem
from keyhop.service.etsi020.recalling import Recalling
from keyhop.service.etsi020.receiving import Receiving
from keyhop.service.etsi020.sending import Sending
from keyhop.service.etsi020.taking_back import TakingBack
from keyhop.service.etsi020.transfer import Domain
from keyhop.service.etsi020.voiding import Voiding
from keyhop.service.etsi020.waiting import Waiting

OURS = "v1"
ASK_AGAIN_S = 30.0
SILENT_AGAIN_S = 2.0
"""While it does not answer: no keys are handed over to it meanwhile."""
EXPIRE_S = 10.0

type Edition = Literal["1.1.1", "0.5.1"]


@dataclass(frozen=True, slots=True)
class Other:
    """The other KMS. `urls` are its addresses, `callback` is ours for its acknowledgements.

    With `synchronous`, keys are handed over in synchronous calls if it says that it can.
    """

    id: KmeId
    urls: tuple[str, ...]
    callback: str
    edition: Edition = "1.1.1"
    synchronous: bool = False
    remember_s: float = 3600.0

    @property
    def is_draft(self) -> bool:
        """Whether it speaks the draft, of which we know asynchronous transfers only."""
        return self.edition != "1.1.1"


class Interchange:
    """The state machine."""

    def __init__(
        self, other: Other, domain: Domain, store: KeyStore, journal: Journal, clock: Clock, make: Make
    ) -> None:
        self.other = other
        self._clock = clock
        self._make = make
        make = self._watched
        peer, lifetime_s = other.id, other.remember_s
        self.sent = sent = KeyMemory("sent", peer, store, journal, clock, lifetime_s)
        self.received = received = KeyMemory("received", peer, store, journal, clock, lifetime_s)
        self.accounts = accounts = Accounts(peer, journal)
        self.acknowledgements = Acknowledgements(peer, store, journal, clock, make, lifetime_s, draft=other.is_draft)
        self.voiding = Voiding(sent, clock, make, accounts, other.callback)
        self.sending = Sending(peer, sent, self.voiding, journal, clock, make, accounts, self._our_callback)
        self.recalling = Recalling(sent, self.sending, self.voiding, journal)
        callbacks, waiting = Callbacks(other.urls, required=other.is_draft), Waiting()
        shared = (domain, received, self.acknowledgements, callbacks, waiting, journal)
        self.receiving = Receiving(*shared, clock, accounts)
        self.taking_back = TakingBack(*shared, accounts)
        self.versions: Versions | None = None
        """What it last said that it speaks."""
        self.reachable: bool | None = None
        """Whether it was there when it was asked last; None before that."""
        self._ask_at = 0.0
        self._expire_at = clock.monotonic() + EXPIRE_S

    def resume(self) -> None:
        """Once, at the start."""
        self.sending.resume()
        self.receiving.resume()

    def handle(self, method: str, path: str, body: bytes, respond: Respond) -> None:
        """A request of the other KMS, which is authenticated."""
        try:
            self._dispatch(method, path, body, respond)
        except Problem as problem:
            if path == EXT_KEYS:
                self.accounts.refused()
            respond(problem)
        except StoreFailure as failure:
            respond(Problem(503, reason=failure.message))

    def tick(self) -> None:
        """Time has passed. Raises StoreFailure."""
        now = self._clock.monotonic()
        self.sending.tick()
        self.voiding.tick()
        self.acknowledgements.tick()
        if now >= self._expire_at:
            self._expire_at = now + EXPIRE_S
            for memory in (self.sent, self.received):
                memory.expire()
            self.voiding.forget()
        if now >= self._ask_at:
            self._ask_at = now + ASK_AGAIN_S
            self._make(self._question())

    @property
    def trouble(self) -> str | None:
        """What is wrong with the other KMS, for people."""
        if self.reachable is False:
            return "it does not answer"
        if self.versions is not None and OURS not in self.versions.versions:
            return f"it does not speak {OURS}"
        return None

    def _dispatch(self, method: str, path: str, body: bytes, respond: Respond) -> None:
        match method, path:
            case "GET", _ if path == VERSIONS:
                capabilities = () if self.other.is_draft else (SYNCHRONOUS,)
                respond(Answer(200, write(Versions((OURS,), capabilities))))
            case "POST", _ if path == EXT_KEYS:
                self.receiving.ext_keys(read(body, ExtKeyContainer), respond)
            case "POST", _ if path == VOID:
                self.taking_back.void(read(body, VoidContainer), respond)
            case "POST", _ if path == ACK:
                self.sending.acknowledged(read(body, Acks))
                respond(Answer(200))
            case _ if path in (VERSIONS, EXT_KEYS, VOID, ACK):
                raise Problem(405)
            case _:
                raise Problem(404)

    def _our_callback(self) -> str | None:
        can = self.versions is not None and SYNCHRONOUS in self.versions.capabilities
        return None if self.other.synchronous and can else self.other.callback

    def _watched(self, call: Call) -> None:
        """Makes a call; when it is not answered, the other KMS is soon asked whether it is there at all."""

        def answered(reply: Reply | None) -> None:
            if reply is None and self.reachable is not False:
                self._ask_at = self._clock.monotonic()
            call.answered(reply)

        self._make(replace(call, answered=answered))

    def _question(self) -> Call:
        """Is it there? The draft has no request for that, of which we know."""
        return knock(self._answered) if self.other.is_draft else Call("GET", VERSIONS, None, self._versions_answered)

    def _answered(self, reply: Reply | None) -> None:
        self.reachable = reply is not None
        if reply is None:
            self._ask_at = self._clock.monotonic() + SILENT_AGAIN_S

    def _versions_answered(self, reply: Reply | None) -> None:
        self._answered(reply)
        if reply is not None and reply.status == 200:
            try:
                self.versions = read(reply.body, Versions)
            except Problem:
                self.versions = None
