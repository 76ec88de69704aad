"""Calls between the gateways of two domains, as the shells of ETSI GS QKD 020 hand them over.

A call, or its answer, may be lost or come late, also after whoever called has given it up, has crashed and has started
again: then nobody takes the answer.
"""

import random
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from keyhop.core.ids import KmeId
from keyhop.service.etsi020.calls import REACHED, Answer, Call, Reply
from keyhop.service.etsi020.interchange import Edition, Other
from keyhop.service.etsi020.problems import Problem
from keyhop.service.gateway import Joint
from keyhop.service.kme_options import OtherDomains
from keyhop.testing.handed_over import HandedOver
from keyhop.testing.simulation.loop import Loop
from keyhop.testing.simulation.machine import Machine
from keyhop.testing.simulation.sites import Sites
from keyhop.testing.simulation.wires import Wires

ANSWERED_WITHIN_S = 6.0
"""Then a call counts as not answered."""

LATE, LATE_S = 0.15, 12.0
"""How many of the calls and answers come late in bad weather, and by how much at most."""


class Manners(NamedTuple):
    """How the gateways speak."""

    edition: Edition = "1.1.1"
    synchronous: bool = False


class _UnderWay:
    """One call."""

    def __init__(self, caller: Machine, kms: KmeId, call: Call) -> None:
        self.caller = caller
        self.life = caller.life
        self.call = call
        self.path = call.target.removeprefix(f"https://{kms}")
        self.over = False


class Crossing:
    """Between the two gateways of a network that has them. `noting` tells a checker something."""

    def __init__(
        self,
        loop: Loop,
        draw: random.Random,
        machines: dict[KmeId, Machine],
        wires: Wires,
        handed_over: HandedOver,
        noting: Callable[[Callable[[], None]], None],
    ) -> None:
        self._loop = loop
        self._draw = draw
        self._machines = machines
        self._wires = wires
        self._handed_over = handed_over
        self._noting = noting

    def abroad(self, machine: Machine, sites: Sites, manners: Manners) -> OtherDomains:
        """What a KME knows of the other domain."""
        other = sites.joined_to(machine.name)
        if other is None:
            return OtherDomains(foreign=partial(sites.is_foreign, machine.name))
        callback = f"https://{machine.name}/kmapi/v1/ext_keys/ack"
        kms = Other(other, (f"https://{other}",), callback, manners.edition, manners.synchronous)
        saes = tuple(sae for sae in sites.saes if sites.is_foreign(machine.name, sae))
        make = partial(self._make, machine)
        return OtherDomains((Joint(kms, saes),), partial(sites.is_foreign, machine.name), make)

    def _make(self, caller: Machine, kms: KmeId, call: Call) -> None:
        caller.power.point("before a call leaves")
        way = _UnderWay(caller, kms, call)
        self._noting(partial(self._handed_over.called, call, way.path))
        caller.note("called", kms, call.method or "connection", way.path)
        self._loop.after(ANSWERED_WITHIN_S, partial(self._end, way, None))
        self._carry(caller.name, kms, partial(self._arrive, way, self._machines[kms]))

    def _carry(self, source: KmeId, target: KmeId, arrives: Callable[[], None]) -> None:
        weather = self._wires.weather
        if not self._wires.passes(source, target) or self._draw.random() < weather.loss:
            self._machines[source].note("lost on the way across", target)
            return
        takes_s = weather.latency_s * (1.0 + self._draw.random() * (30.0 if weather.reorder else 0.2))
        if weather.reorder and self._draw.random() < LATE:
            takes_s += self._draw.uniform(0.0, LATE_S)
        self._loop.after(takes_s, arrives)

    def _arrive(self, way: _UnderWay, callee: Machine) -> None:
        if callee.kme is None or not self._wires.passes(way.caller.name, callee.name):
            self._end(way, None)
            return
        callee.when_awake(callee.life, partial(callee.act, partial(self._handle, way, callee)))

    def _handle(self, way: _UnderWay, callee: Machine) -> None:
        def respond(answer: Answer | Problem) -> None:
            callee.power.point("before an answer leaves")
            callee.note("answered across", way.caller.name, way.path, answer.status)
            self._noting(partial(self._handed_over.answered, way.call, way.path, answer.status))
            body = answer.document() if isinstance(answer, Problem) else answer.body
            self._carry(callee.name, way.caller.name, partial(self._end, way, Reply(answer.status, body)))

        if way.call.method is None:
            self._carry(callee.name, way.caller.name, partial(self._end, way, REACHED))
            return
        assert callee.kme is not None
        interchange = callee.kme.gateway[way.caller.name]
        interchange.handle(way.call.method, way.path, way.call.body or b"", respond)

    def _end(self, way: _UnderWay, reply: Reply | None) -> None:
        if not way.over:
            way.over = True
            answered = partial(way.call.answered, reply)
            way.caller.when_awake(way.life, partial(way.caller.act, answered))
