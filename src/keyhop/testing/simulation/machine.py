"""One machine: a disk that survives, a wrong clock, and a KME of the production code while it is up.

It stands where `keyhop.node` does: it flushes the journal once per turn, ticks, and stops when the store has failed;
a supervisor starts it again.
"""

import random
from collections.abc import Callable
from functools import partial

from keyhop.core.clock import SteadyClock
from keyhop.core.errors import KeyhopError, PeerError, StoreFailure
from keyhop.core.ids import KmeId, LinkId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.witness import WitnessKeeper
from keyhop.network.psk.generations import NO_PSKS
from keyhop.service.kme import Kme
from keyhop.service.kme_options import KmeOptions, OtherDomains
from keyhop.testing.simulation.audit import SimulatedAudit
from keyhop.testing.simulation.clocks import MachineClock
from keyhop.testing.simulation.disk import Disk
from keyhop.testing.simulation.kem import SimulatedKem
from keyhop.testing.simulation.loop import Loop
from keyhop.testing.simulation.power import Power, PowerCut
from keyhop.testing.simulation.trace import Trace
from keyhop.testing.virtual import SeededEntropy

RESTART_S = (0.05, 2.0)
TOO_FAR_S = 10.0
TURN_S = (0.0, 0.0, 0.002, 0.01)
"""How long a turn of the event loop takes until its flush: what else comes in that time belongs to the same turn."""


class _SeenEntropy(SeededEntropy):
    """Tells what is drawn."""

    def __init__(self, seed: int, drew: Callable[[bytes], None]) -> None:
        super().__init__(seed)
        self._drew = drew

    def token(self, size: int) -> bytes:
        token = super().token(size)
        self._drew(token)
        return token


class Machine:
    """`kme` is there while the machine is up; `life` counts its starts."""

    def __init__(
        self,
        name: KmeId,
        peers: tuple[KmeId, ...],
        neighbours: tuple[KmeId, ...],
        home: Callable[[SaeId], KmeId | None],
        options: KmeOptions,
        loop: Loop,
        trace: Trace,
        draw: random.Random,
        tick_s: float,
        drew: Callable[[bytes], None],
    ) -> None:
        """`drew` hears of the random numbers that its KME draws."""
        self.name = name
        self.peers = peers
        self._neighbours = neighbours
        self._home = home
        self.options = self._usual_options = options
        self.loop = loop
        self.trace = trace
        self.draw = draw
        self.tick_s = tick_s
        self.clock = MachineClock(loop, draw.uniform(-1.0, 1.0))
        self.entropy = _SeenEntropy(draw.getrandbits(64), drew)
        self.power = Power()
        self.disk: Disk
        self.audit: SimulatedAudit
        self.keeper: WitnessKeeper | None = None
        self.abroad: OtherDomains | None = None
        self.psks = NO_PSKS
        self.kme: Kme | None = None
        self.life = 0
        self.aged = False
        """Whether a start found the wall clock so far from where it was that young and old bytes are mixed up."""
        self._skew_s = self.clock.skew_s
        self.frozen_until = self.down_until = 0.0
        self.dark: set[KmeId] = set()
        """Neighbours to which the link has stopped, as its device says."""
        self._waiting: list[Callable[[], None]] = []
        self.power_in_start: int | None = None
        self.started: list[Callable[[Machine], None]] = []
        self.gone: list[Callable[[Machine, bool], None]] = []
        self.ticked: list[Callable[[Machine], None]] = []
        self.broke: Callable[[Exception], None]

    @property
    def failed(self) -> bool:
        """Whether the store of the running KME has failed."""
        return self.kme is not None and self.kme.journal.failure is not None

    @property
    def frozen(self) -> bool:
        """Whether the machine stands still."""
        return self.loop.now < self.frozen_until

    def start(self) -> None:
        """The supervisor starts the node, until it succeeds."""
        if self.kme is not None:
            return
        self.life += 1
        self.clock.boot(self.draw.uniform(0.0, 1e5))
        self.aged = self.aged or abs(self.clock.skew_s - self._skew_s) > TOO_FAR_S
        self._skew_s = self.clock.skew_s
        self._steady = steady = SteadyClock(self.clock)
        self.power.in_points, self.power_in_start = self.power_in_start, None
        try:
            self.audit.start()
            self.kme = Kme(
                self.name,
                self.peers,
                self._neighbours,
                self._home,
                self.disk.start(),
                self.audit,
                steady,
                self.entropy,
                partial(self._wake, self.life),
                self.options,
                self.keeper,
                self.psks,
                abroad=self.abroad,
                kem=SimulatedKem(self.entropy),
            )
            self.kme.open()
        except PowerCut:
            self.note(f"crashed {self.power.phase}")
            self._stop(power_cut=True)
            return
        except StoreFailure as failure:
            self.note("did not start", failure.message)
            self._stop(power_cut=False)
            return
        except ValueError as error:  # its audit log lacks what it has written
            self.broke(error)
            return
        self.note("started", self.kme.restored or "")
        self.see_links()
        self.power.in_points = None
        self.kme.journal.on_failure.append(self._store_failed)
        self.loop.after(self.draw.uniform(0.0, self.tick_s), partial(self._tick, self.life))
        for tell in self.started:
            tell(self)

    def crash(self, *, power_cut: bool) -> None:
        """Ends the process between two turns; with the power, what was not synced is lost."""
        if self.kme is not None:
            self.note("crashed between two turns" if power_cut else "killed")
            self._stop(power_cut=power_cut)

    def stop_gracefully(self) -> None:
        """An operator stops the node; the supervisor starts it again."""
        kme = self.kme
        if kme is None or self.failed:
            return
        self.note("stopped")

        def seal() -> None:
            kme.seal()
            kme.flush()

        self.act(seal)
        if self.kme is kme:
            self._stop(power_cut=False)

    def act(self, does: Callable[[], object]) -> None:
        """Lets the KME do something: it may lose its power there, or find out that its store has failed."""
        try:
            does()
        except PowerCut:
            self.note(f"crashed {self.power.phase}")
            self._stop(power_cut=True)
        except StoreFailure:
            pass  # as in the node: whoever waits was told by the journal
        except ExceptionGroup as several:
            if not all(isinstance(one, KeyhopError) for one in several.exceptions):
                self.broke(several)
        except Exception as error:  # noqa: BLE001 - nothing may do this
            self.broke(error)

    def reconfigure(self, options: KmeOptions | None = None) -> None:
        """An operator changes the configuration of a node, which may be running; None: back to what it was at first."""
        self.options = options or self._usual_options
        if self.kme is not None and not self.failed:
            self.act(partial(self.kme.reconfigure, self.options))

    def see_links(self) -> None:
        """The node learns which of its links generate key."""
        if self.kme is not None:
            for neighbour in self._neighbours:
                self.kme.peers[neighbour].neighbour.generating = neighbour not in self.dark

    def receive(self, peer: KmeId, takes: Callable[[], None], refuse: Callable[[], None]) -> None:
        """A message from a peer; one that breaks the protocol, or that we cannot note, costs the connection."""

        def received() -> None:
            try:
                takes()
            except PeerError as error:
                self.note("refused a message", peer, error.message)
                refuse()
            except StoreFailure:
                refuse()

        self.act(received)

    def link_block(self, peer: KmeId, sequence: int, data: bytes) -> None:
        """The link to a neighbour produces a block; the adapter of a node that is down loses it."""
        kme = self.kme
        if kme is None or self.failed:
            return
        link = LinkId("-".join(sorted((self.name, peer))))
        material = KeyMaterial(data)
        self.act(lambda: kme.peers[peer].neighbour.link_block(link, sequence, material, self._steady.wall(), "virtual"))

    def note(self, what: str, *details: object) -> None:
        """Into the trace."""
        self.trace.note(self.loop.now, self.name, what, *details)

    def when_awake(self, life: int, does: Callable[[], None]) -> None:
        """Now, or when the machine is no longer frozen; not at all in another life."""
        if life != self.life or self.kme is None:
            return
        if self.frozen:
            self._waiting.append(partial(self.when_awake, life, does))
        else:
            does()

    def freeze(self, seconds: float) -> None:
        """The machine stands still; what comes in waits."""
        self.note("frozen", seconds)
        self.frozen_until = self.loop.now + seconds
        self.loop.at(self.frozen_until, self.thaw)

    def thaw(self) -> None:
        """It goes on, unless it was frozen anew."""
        if not self.frozen:
            waiting, self._waiting = self._waiting, []
            for does in waiting:
                does()

    def _wake(self, life: int) -> None:
        self.loop.after(self.draw.choice(TURN_S), partial(self.when_awake, life, self._flush))

    def _flush(self) -> None:
        assert self.kme is not None
        self.act(self.kme.flush)

    def _tick(self, life: int) -> None:
        if life != self.life or self.kme is None or self.failed:
            return
        self.loop.after(self.tick_s, partial(self._tick, life))
        if not self.frozen:
            self.act(self.kme.tick)
            for tell in self.ticked:
                tell(self)

    def _store_failed(self, failure: StoreFailure) -> None:
        self.note("store failed", failure.message)
        assert self.kme is not None
        self.kme.abandon()
        self.loop.after(self.draw.uniform(*RESTART_S), partial(self._end, self.life))

    def _end(self, life: int) -> None:
        if life == self.life and self.kme is not None:
            self._stop(power_cut=False)

    def _stop(self, *, power_cut: bool) -> None:
        self.kme = None
        self.power.in_points = None
        self.disk.stop(power_cut=power_cut)
        for tell in self.gone:
            tell(self, power_cut)
        self.loop.after(max(self.draw.uniform(*RESTART_S), self.down_until - self.loop.now), self.start)
