"""What SAEs ask and get. Each answer is held against the promises at once.

A request is answered once by the KME that it went to, in the life in which it was asked, or never if that life ends.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import SaeId, each_id
from keyhop.service.policy import Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, InsertedKeys, InsertKeys, Keys, VoidedKeys, VoidKeys
from keyhop.testing.history import record_name
from keyhop.testing.simulation.machine import Machine
from keyhop.testing.violation import Violation

ANSWERED_WITHIN_S = 14.0
"""Longer than anything waits: for key bytes, for a delivery window, for a KME that is frozen, for another domain."""

type Question = GetKey | GetKeyWithIds | InsertKeys | VoidKeys
type Success = Keys | InsertedKeys | VoidedKeys


@dataclass(slots=True)
class Asked:
    """A request at a KME, and what came of it."""

    number: int
    request: Question
    machine: Machine
    life: int
    at: float
    policy: Policy = field(default_factory=Policy)
    """What its KME went by when it arrived."""
    answers: list[Success | KeyhopError] = field(default_factory=list)

    @property
    def keys(self) -> Keys | None:
        """The keys that it was answered with."""
        return self.answers[0] if self.answers and isinstance(self.answers[0], Keys) else None


class Saes:
    """All SAEs. `got` sees each answer that is no error; `violated` hears of broken promises."""

    def __init__(self, got: Callable[[Asked, Success], None], violated: Callable[[Violation], None]) -> None:
        self._got = got
        self._violated = violated
        self._open: list[Asked] = []
        self._count = 0
        self.may_be_gone = Counter[tuple[bytes, SaeId]]()
        """Keys, by `record_name`, that a slave's KME need not hold any more."""

    def ask(self, machine: Machine, request: Question) -> Asked:
        """Sends a request to a KME. One that is down answers nothing."""
        self._count += 1
        asked = Asked(self._count, request, machine, machine.life, machine.loop.now)
        kme = machine.kme
        machine.note("asked" if kme else "asked in vain", asked.number, request)
        if kme is None:
            return asked
        self._open.append(asked)
        self.may_be_gone.update(_may_end(request))
        machine.when_awake(machine.life, lambda: machine.act(lambda: self._arrive(asked)))
        return asked

    def check(self) -> None:
        """Everybody who has waited too long: his KME is not the one any more that he asked."""
        now = self._open[0].machine.loop.now if self._open else 0.0
        waiting = [asked for asked in self._open if not asked.answers]
        self._open = [asked for asked in waiting if asked.life == asked.machine.life and asked.machine.kme]
        for asked in self._open:
            if now - max(asked.at, asked.machine.frozen_until) > ANSWERED_WITHIN_S:
                self._violated(Violation(0, f"request {asked.number} is not answered"))

    def _arrive(self, asked: Asked) -> None:
        kme, request, reply = asked.machine.kme, asked.request, partial(self._reply, asked)
        assert kme is not None  # only a machine that is up is awake
        asked.policy = asked.machine.options.policy
        match request:
            case GetKey():
                kme.delivery.get_key(request, reply)
            case GetKeyWithIds():
                kme.delivery.get_key_with_ids(request, reply)
            case InsertKeys():
                kme.delivery.insert_keys(request, reply)
            case VoidKeys():
                kme.delivery.void_keys(request, reply)

    def _reply(self, asked: Asked, answer: Success | KeyhopError) -> None:
        machine = asked.machine
        if not isinstance(answer, KeyhopError):
            machine.power.point("before an answer leaves")
        if asked.answers:
            self._violated(Violation(0, f"request {asked.number} was answered twice"))
        asked.answers.append(answer)
        if asked.life != machine.life:
            self._violated(Violation(0, f"{machine.name} answers request {asked.number} of an earlier life"))
        if not isinstance(answer, KeyhopError):
            self._note(asked, answer)
            if _keys_in(asked.request) > asked.policy.base.max_keys_per_request:
                self._violated(Violation(0, f"request {asked.number} is for more keys than its policy allows"))
            if machine.failed:
                self._violated(Violation(0, f"{machine.name} says yes although its store has failed"))
            self._got(asked, answer)
        else:
            machine.note("answered with an error", asked.number, type(answer).__name__, answer.message)
            machine.trace.counts[f"answer: {_without_names(answer.message)}"] += 1
            if isinstance(asked.request, GetKeyWithIds) and not machine.failed:
                self.may_be_gone.subtract(_may_end(asked.request))

    def _note(self, asked: Asked, answer: Success) -> None:
        match answer:
            case Keys():
                asked.machine.note("answered with keys", asked.number, *(run.ids for run in answer.runs))
            case InsertedKeys():
                asked.machine.note("has taken in", asked.number, answer.ids)
            case VoidedKeys():
                asked.machine.note("has voided", asked.number, answer.ids, answer.voided)


def _keys_in(request: Question) -> int:
    """How many keys are asked for, or brought."""
    match request:
        case GetKey():
            return request.number or 1
        case VoidKeys():
            return 0
        case _:
            return request.count


def _may_end(request: Question) -> list[tuple[bytes, SaeId]]:
    """Keys that a slave's KME need not hold any more when that was asked."""
    match request:
        case GetKeyWithIds():
            return [(record_name(request.master, key_id), request.slave) for key_id in request.key_ids]
        case VoidKeys():
            slaves = (request.slave, *request.additional_slaves)
            return [(record_name(request.master, key_id), slave) for key_id in each_id(request.ids) for slave in slaves]
    return []


def _without_names(message: str) -> str:
    words = message.split()
    return " ".join("…" if before == "KME" else word for before, word in pairwise(("", *words)))


def ids_of(keys: Keys) -> tuple[bytes, ...]:
    """The IDs of an answer."""
    return tuple(key_id for run in keys.runs for key_id in each_id(run.ids))
