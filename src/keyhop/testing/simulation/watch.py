"""What must hold inside the KMEs and between them, whatever SAEs see of it.

forward        what a KME made durable never goes back: epochs, positions, marks, what was delivered
conservation   the ledger of each end balances, and they agree: nothing is delivered that no master was given
held           a key that was given out is at every slave's KME until it is fetched or old, and on no other disk
in step        after healing, both ends of every stream remember the same
"""

from collections import Counter
from collections.abc import Callable, Collection

from keyhop.core.ids import KmeId, SaeId, each_id
from keyhop.core.store.base import Slot
from keyhop.core.streams import FollowedStream, OwnedStream, Route, StreamRef
from keyhop.core.units import UNIT_BYTES
from keyhop.network.pair import Pair
from keyhop.network.peer import Peer
from keyhop.network.wire import Body
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.history import Held, History, Seen
from keyhop.testing.material import STREAM_ID_VERSION
from keyhop.testing.simulation.machine import Machine
from keyhop.testing.simulation.padded import Padded
from keyhop.testing.simulation.recovered import Recovered
from keyhop.testing.simulation.saes import Saes
from keyhop.testing.simulation.sites import Sites
from keyhop.testing.violation import Violation

WATCHED = 24
"""How many of the latest keys are looked for on the disks."""

type Direction = tuple[KmeId, KmeId]


class Watch:
    """Over all machines of a network. `violated` hears of what is broken."""

    def __init__(
        self,
        machines: dict[KmeId, Machine],
        sites: Sites,
        lifetime_s: float,
        history: History,
        violated: Callable[[Violation], None],
    ) -> None:
        self._machines = machines
        self._sites = sites
        self._home = sites.home
        self._lifetime_s = lifetime_s
        self._history = history
        self._violated = violated
        self._recovered = {name: Recovered(machine) for name, machine in machines.items()}
        self._reached: dict[tuple[KmeId, KmeId, Route], tuple[tuple[int, ...], ...]] = {}
        self._given = Counter[Direction]()
        self._fetched = Counter[Direction]()
        self._fetched_ids: set[bytes] = set()
        self._pairs: dict[tuple[KmeId, int], dict[Slot, Pair]] = {}
        """By where their state is kept, of each life of a KME."""
        self._padded = Padded()
        self._restored: set[KmeId] = set()

    # What is told

    def got(self, request: GetKey | GetKeyWithIds, keys: Keys) -> None:
        """An SAE got keys."""
        slave = request.slave
        direction = (self._home[request.master], self._home[slave])
        streams = [run for run in keys.runs if run.ids[6] >> 4 == STREAM_ID_VERSION]
        if isinstance(request, GetKey):
            self._given[direction] += sum(len(run.material) for run in streams)
            return
        for run in streams:
            ids = set(each_id(run.ids)) - self._fetched_ids  # one that is sent again was booked before
            self._fetched_ids |= ids
            self._fetched[direction] += len(ids) * run.size_bytes

    def transmitted(self, stream: StreamRef, message: Body) -> None:
        """A KME sent something, perhaps under a pad of a stream."""
        self._padded.transmitted(stream, message)

    @property
    def ever_restored(self) -> bool:
        """Whether a KME went back to a copy of its store."""
        return bool(self._restored)

    def restored(self, name: KmeId) -> None:
        """A KME goes back to a copy of its store: it may know less than before, and its books are an old copy's."""
        self._restored.add(name)
        for direction in list(self._reached):
            if direction[0] == name:
                del self._reached[direction]

    # What is checked

    def started(self, machine: Machine) -> None:
        """A machine is up, and knows what its disk holds."""
        assert machine.kme is not None
        pairs = self._pairs[machine.name, machine.life] = {}
        for pair in machine.kme.pairs():
            pairs[pair.owned.ref.slot("owner")] = pairs[pair.followed.ref.slot("follower")] = pair
        self.forward(machine, pairs)

    def forward(self, machine: Machine, slots: Collection[Slot]) -> None:
        """After each commit, of these slots; what a start commits is looked at when it is over."""
        pairs = self._pairs.get((machine.name, machine.life), {})
        for pair in {id(pair): pair for slot in slots if (pair := pairs.get(slot))}.values():
            peer = (pair.peer, pair.route)
            now = (*_owner_reached(pair.owned), *_follower_reached(pair.followed))
            before = self._reached.get((machine.name, *peer), now)
            self._reached[machine.name, *peer] = now
            for earlier, later in zip(before, now, strict=True):
                if later < earlier:
                    what = (
                        f"what {machine.name} knows of its streams with {pair.peer} goes back from {earlier} to {later}"
                    )
                    self._violated(Violation(0, what))

    def conservation(self) -> None:
        """The books of every KME that is up."""
        for machine in self._machines.values():
            if machine.kme is not None and not machine.failed:
                for peer in machine.kme.peers.values():
                    self._books(machine, peer)

    def held(self, now: float, saes: Saes) -> None:
        """The latest keys are where they were given out for."""
        seen = [key for key in list(self._history.keys.values())[-WATCHED:] if key.got_at > now - self._lifetime_s / 2]
        for key in seen:
            for slave in key.slaves:
                if self.aged(key.master, slave):
                    continue
                gone = saes.may_be_gone[key.name, slave]
                if gone:
                    continue
                held = self.holds(key.key_id, key.master, slave)
                if held is None or held.key != key.key:
                    self._violated(Violation(5, f"a key was lost to {slave}"))
        self._unknown_to_others(seen)

    def _unknown_to_others(self, seen: list[Seen]) -> None:
        """Nothing of a key is on the disk of a KME that it only came through."""
        for name, machine in self._machines.items():
            elsewhere = [key for key in seen if name not in {self._home[sae] for sae in (key.master, *key.slaves)}]
            kept = b"".join(machine.disk.worst_case().values.values()) if elsewhere else b""
            if any(key.key[:UNIT_BYTES] in kept for key in elsewhere):
                self._violated(Violation(4, f"{name} keeps a key that is for SAEs of other KMEs"))

    def holds(self, key_id: bytes, master: SaeId, slave: SaeId) -> Held | None:
        """What the slave's KME could give him if its machine lost power now."""
        home = self._home[slave]
        foreign = self._sites.is_foreign(home, master)
        return self._recovered[home].key(key_id, master, slave, None if foreign else self._home[master])

    def aged(self, master: SaeId, slave: SaeId) -> bool:
        """Whether the two KMEs may disagree on what is too old to be used."""
        return any(self._machines[self._home[sae]].aged for sae in (master, slave))

    def apart(self) -> str | None:
        """What is not in step; None when everything is."""
        for name, machine in self._machines.items():
            if machine.kme is None or machine.failed:
                return f"{name} is down"
            for pair in machine.kme.pairs():
                if not pair.synchronised or not pair.windows.ready:
                    return f"{name} does not synchronise with {pair.peer}"
                other = self._machines[pair.peer].kme
                if other is None or not any(_in_step(pair, theirs) for theirs in other.peers[name].pairs):
                    return f"{name} and {pair.peer} do not remember the same"
        return None

    def unsettled(self) -> str | None:
        """What a gateway has still to do with keys that it handed over, or took; None when there is nothing."""
        for name, machine in self._machines.items():
            for interchange in machine.kme.gateway if machine.kme else ():
                sent, received = interchange.sent, interchange.received
                if any([*sent.that_are("under way"), *sent.that_are("voiding"), *received.that_are("under way")]):
                    return f"{name} does not know what became of keys"
                if len(interchange.acknowledgements):
                    return f"{name} owes acknowledgements"
        return None

    def _books(self, machine: Machine, state: Peer) -> None:
        peer = state.id
        for stream in (stream for pair in state.pairs for stream in (pair.owned, pair.followed)):
            if not stream.ledger.balances(stream.available_bytes):
                self._violated(Violation(2, f"the ledger of {stream.ref} at {machine.name} does not balance"))
        if {machine.name, peer} & self._restored:
            return
        mine, theirs = (machine.name, peer), (peer, machine.name)
        delivered = sum(pair.followed.ledger.delivered for pair in state.pairs)
        if not self._fetched[theirs] <= delivered <= self._given[theirs]:
            self._disagree(machine, f"{delivered} bytes delivered of {self._given[theirs]} given")
        for pair in state.pairs:
            self._pads(machine, pair)
        given = sum(pair.owned.ledger.delivered for pair in state.pairs)
        if machine.life == 1 and given < self._given[mine]:
            self._disagree(machine, f"{given} bytes delivered but {self._given[mine]} given")

    def _pads(self, machine: Machine, pair: Pair) -> None:
        """Each route has pads of its own."""
        received, sent = pair.followed.ledger.pad, pair.owned.ledger.pad
        if received > self._padded.bytes_of(pair.followed.ref):
            self._disagree(machine, f"{received} bytes of pads received from {pair.peer}")
        if machine.life == 1 and sent < self._padded.bytes_of(pair.owned.ref):
            self._disagree(machine, f"{sent} bytes of pads sent to {pair.peer}")

    def _disagree(self, machine: Machine, what: str) -> None:
        self._violated(Violation(2, f"the ledger of {machine.name} disagrees with what was seen: {what}"))


def _owner_reached(stream: OwnedStream) -> tuple[tuple[int, ...], ...]:
    return (stream.epoch, stream.produced, stream.taken), (stream.mark_seen,)


def _follower_reached(stream: FollowedStream) -> tuple[tuple[int, ...], ...]:
    ledger = stream.ledger
    # of a new epoch, whose first placement the owner may have forgotten, nothing can have been taken
    position = (stream.epoch, stream.taken if stream.confirmed else 0)
    return position, (stream.mark,), (ledger.produced,), (ledger.delivered,), (ledger.pad + ledger.mac,)


def _in_step(one: Pair, other: Pair) -> bool:
    """Whether the other end of a stream that one end owns remembers the same."""
    owned, followed = one.owned, other.followed
    if owned.ref != followed.ref:
        return False
    if owned.produced == 0:
        return followed.epoch <= owned.epoch and followed.untaken_units == 0
    ours = (owned.epoch, owned.produced, owned.taken, owned.history, owned.available_units, owned.mark_seen)
    theirs = (
        followed.epoch,
        followed.produced,
        followed.taken,
        followed.history,
        followed.untaken_units,
        followed.mark,
    )
    return ours == theirs
